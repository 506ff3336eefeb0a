"""Point clouds from depth as messages; the points themselves are made in depth_pro_ros.messages.clouds."""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.messages.clouds import NAMES, points_from_depth
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.standins import point_cloud2

_POINT = np.dtype([(name, np.float32) for name in NAMES])


def cloud_from_depth(
    depth_m: np.ndarray,
    rgb: np.ndarray,
    intrinsics: Intrinsics,
    header: Header,
    stride: int = 1,
    max_range_m: float = math.inf,
) -> PointCloud2:
    """Return the organised cloud of every `stride`-th pixel under `header`; see messages.clouds.points_from_depth."""
    return _organised(points_from_depth(depth_m, rgb, intrinsics, stride, max_range_m), header)


def _organised(points: np.ndarray, header: Header) -> PointCloud2:
    """Return the message of (H, W, 4) float32 in image order.

    The points go in flat and get their shape afterwards, since create_cloud takes the first axis of an
    organised array for its width, which would transpose the image's.
    """
    height, width = points.shape[:2]
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(NAMES)]
    cloud = point_cloud2.create_cloud(header, fields, points.reshape(-1).view(_POINT))
    cloud.height, cloud.width = height, width
    cloud.row_step = cloud.point_step * width
    cloud.is_dense = False
    return cloud
