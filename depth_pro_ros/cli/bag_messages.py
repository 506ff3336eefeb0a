"""Depth, camera_info and clouds as CDR, made with rosbags' types."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from depth_pro_ros.cli.bag_input import IMAGE, INFO, Stamped, typestore
from depth_pro_ros.messages.camera_info import undistorted_fields
from depth_pro_ros.messages.clouds import NAMES, points_from_depth
from depth_pro_ros.messages.images import depth_pixels
from depth_pro_ros.records import Intrinsics

CLOUD = "sensor_msgs/msg/PointCloud2"


def _make(name: str, **fields: Any) -> Any:
    """Return a message of the type `name`."""
    return typestore().types[name](**fields)


def _header(source: Stamped) -> Any:
    """Return the header of an image, as it was."""
    sec, nanosec = divmod(source.stamp_ns, 1_000_000_000)
    return _make(
        "std_msgs/msg/Header",
        stamp=_make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec),
        frame_id=source.frame_id,
    )


def depth_cdr(depth_m: np.ndarray, encoding: str, source: Stamped) -> memoryview:
    """Return an Image of (H, W) float32 under the header of `source`; see messages.images.depth_pixels."""
    pixels = np.ascontiguousarray(depth_pixels(depth_m, encoding))
    height, width = pixels.shape
    message = _make(
        IMAGE,
        header=_header(source),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8),
    )
    return typestore().serialize_cdr(message, IMAGE)


def info_cdr(intrinsics: Intrinsics, source: Stamped) -> memoryview:
    """Return the CameraInfo of an undistorted image under the header of `source`."""
    fields = undistorted_fields(intrinsics)
    for name in "dkrp":
        fields[name] = np.array(fields[name], np.float64)
    region = _make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    message = _make(INFO, header=_header(source), binning_x=0, binning_y=0, roi=region, **fields)
    return typestore().serialize_cdr(message, INFO)


def cloud_cdr(
    depth_m: np.ndarray,
    rgb: np.ndarray,
    intrinsics: Intrinsics,
    source: Stamped,
    stride: int = 1,
    max_range_m: float = math.inf,
) -> memoryview:
    """Return the organised PointCloud2 under the header of `source`; see messages.clouds.points_from_depth."""
    points = np.ascontiguousarray(points_from_depth(depth_m, rgb, intrinsics, stride, max_range_m), "<f4")
    height, width, size = points.shape
    field = typestore().types["sensor_msgs/msg/PointField"]
    message = _make(
        CLOUD,
        header=_header(source),
        height=height,
        width=width,
        fields=[field(name=name, offset=4 * i, datatype=field.FLOAT32, count=1) for i, name in enumerate(NAMES)],
        is_bigendian=False,
        point_step=4 * size,
        row_step=4 * size * width,
        data=points.reshape(-1).view(np.uint8),
        is_dense=False,
    )
    return typestore().serialize_cdr(message, CLOUD)
