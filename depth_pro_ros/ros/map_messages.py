"""The voxel map as a point cloud, and as a file on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs.files import make_folder, write_ply
from depth_pro_ros.ros.standins import point_cloud2

_RED_GREEN_BLUE = np.array([1 << 16, 1 << 8, 1], np.uint32)


def cloud_from_voxels(points_m: np.ndarray, rgb: np.ndarray | None, header: Header) -> PointCloud2:
    """Return points (N, 3) in metres, with colours (N, 3) uint8 if given, as x y z (rgb), float32, every one finite.

    Colour is 0x00RRGGBB in the bits of a float32 (PCL).
    """
    names = ("x", "y", "z") if rgb is None else ("x", "y", "z", "rgb")
    rows = np.empty(len(points_m), np.dtype([(name, np.float32) for name in names]))
    for name, column in zip("xyz", points_m.T, strict=True):
        rows[name] = column
    if rgb is not None:
        rows["rgb"] = (rgb @ _RED_GREEN_BLUE).view(np.float32)
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(names)]
    cloud = point_cloud2.create_cloud(header, fields, rows)
    cloud.is_dense = True
    return cloud


def save_map(points_m: np.ndarray, rgb: np.ndarray | None, folder: str, frame_id: str, stamp_ns: int) -> str:
    """Write the map into `folder` as PLY; return the sentence that says where.

    Raises OutputError when the map is empty or cannot be written.
    """
    if not len(points_m):
        raise OutputError("the map is empty: it needs depth images with poses first, see the diagnostics")
    path = make_folder(Path(folder).expanduser()) / f"map_{stamp_ns}.ply"
    count = write_ply(path, points_m, rgb, frame=f"frame {frame_id!a}, metres")
    return f"saved {count} voxels to {path}"
