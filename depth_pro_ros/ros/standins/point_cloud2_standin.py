"""Stand-in for `sensor_msgs_py.point_cloud2`: clouds from structured arrays and back.

Signatures and results are those of the ROS package, its axis order for organised clouds included: there
the *first* axis of a two-dimensional array counts as the width. Callers that want image order pass a flat
array and set height, width and row_step themselves, which every version of the package understands.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

_TYPES = {
    PointField.INT8: "i1",
    PointField.UINT8: "u1",
    PointField.INT16: "i2",
    PointField.UINT16: "u2",
    PointField.INT32: "i4",
    PointField.UINT32: "u4",
    PointField.FLOAT32: "f4",
    PointField.FLOAT64: "f8",
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """Return the structured dtype of a point; a field of count n > 1 becomes name_0 to name_{n-1}."""
    names: list[str] = []
    formats: list[np.dtype] = []
    offsets: list[int] = []
    for index, field in enumerate(fields):
        item = np.dtype(_TYPES[field.datatype])
        assert field.count > 0, "Can't process fields with count = 0."
        for part in range(field.count):
            stem = field.name or f"unnamed_field_{index}"
            names.append(f"{stem}_{part}" if field.count > 1 else stem)
            formats.append(item)
            offsets.append(field.offset + part * item.itemsize)
    assert len(set(names)) == len(names), "Duplicate field names are not allowed!"
    layout = {"names": names, "formats": formats, "offsets": offsets}
    return np.dtype(layout if point_step is None else {**layout, "itemsize": point_step})


def create_cloud(
    header: Header, fields: Iterable[PointField], points: Iterable, point_step: int | None = None
) -> PointCloud2:
    """Return a cloud of `points`: a structured array, an array (N, len(fields)) of one type, or tuples."""
    dtype = dtype_from_fields(fields, point_step)
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype)
    elif points.dtype.names is None:
        assert len({field.datatype for field in fields}) == 1, "All fields need to have the same datatype."
        points = unstructured_to_structured(points, dtype)
    assert points.dtype == dtype, f"the points' dtype {points.dtype} is not that of the fields, {dtype}"
    assert points.ndim <= 2, "Too many dimensions for organized cloud!"
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(points)).cast("B"))
    cloud = PointCloud2(header=header, fields=fields, is_bigendian=sys.byteorder == "big", is_dense=False)
    cloud.width = points.shape[0]
    cloud.height = points.shape[1] if points.ndim == 2 else 1
    cloud.point_step = dtype.itemsize
    cloud.row_step = dtype.itemsize * cloud.width
    cloud.data = data
    return cloud


def read_points(
    cloud: PointCloud2,
    field_names: list[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Return the points as a structured array (N,), a view of the message where nothing has to change.

    `skip_nans` drops points with a NaN in any read field (unless the cloud is dense), `uvs` picks points by
    index, `reshape_organized_cloud` gives (width, height) for an organised cloud.
    """
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    if bool(cloud.is_bigendian) != (sys.byteorder == "big"):
        dtype = dtype.newbyteorder()
    points = np.ndarray((cloud.width * cloud.height,), dtype, cloud.data)
    if field_names is not None:
        assert set(field_names) <= set(dtype.names), "Requests field is not in the fields of the PointCloud!"
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        points = points[~np.any([np.isnan(points[name]) for name in points.dtype.names], axis=0)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: list[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Return the points as a plain array (N, fields); the read fields must share one type."""
    read = [field.datatype for field in cloud.fields if field_names is None or field.name in field_names]
    assert len(set(read)) <= 1, "All fields need to have the same datatype. Use `read_points()` otherwise."
    return structured_to_unstructured(read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud))
