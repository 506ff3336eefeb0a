"""Point clouds from depth as messages; the points themselves are made in depth_pro_ros.messages and outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.messages.clouds import NAMES, colours, points_from_depth
from depth_pro_ros.outputs.flying_pixels import flying_pixels
from depth_pro_ros.outputs.thinning import nearest, voxel_means
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.map_messages import cloud_from_voxels
from depth_pro_ros.ros.standins import point_cloud2


@dataclass(frozen=True)
class CloudSettings:
    """What of a depth image goes into a cloud, of every `stride`-th pixel; lengths in metres, ranges along z.

    `edge_share` above 0 leaves out pixels between two surfaces that are farther apart than this share of the depth,
    where edges are blurred over at most `edge_width`, a share of the image's width. `voxel_m` above 0 makes one point
    of all that lie in a voxel, and `most_points` above 0 keeps the nearest of those.
    """

    stride: int = 1
    min_range_m: float = 0.0
    max_range_m: float = math.inf
    edge_share: float = 0.0
    edge_width: float = 0.01
    voxel_m: float = 0.0
    most_points: int = 0


def cloud_from_depth(
    depth_m: np.ndarray,
    rgb: np.ndarray | None,
    intrinsics: Intrinsics,
    header: Header,
    stride: int = 1,
    max_range_m: float = math.inf,
) -> PointCloud2:
    """Return the organised cloud of every `stride`-th pixel under `header`; see messages.clouds.points_from_depth."""
    return filtered_cloud(depth_m, rgb, intrinsics, header, CloudSettings(stride, max_range_m=max_range_m))


def filtered_cloud(
    depth_m: np.ndarray, rgb: np.ndarray | None, intrinsics: Intrinsics, header: Header, settings: CloudSettings
) -> PointCloud2:
    """Return the cloud of depth (H, W) float32 in metres: x y z, and rgb when colours (h, w, 3) uint8 are given.

    Without voxels it is organised, one point for each pixel that the stride takes, NaN where it has none. With
    voxels it is one row of points that are all finite. Raises as points_from_depth and voxel_means.
    """
    edge_px = settings.edge_width * depth_m.shape[1]
    flying = flying_pixels(depth_m, settings.edge_share, edge_px, settings.stride) if settings.edge_share > 0 else None
    ranges = settings.max_range_m, settings.min_range_m
    points = points_from_depth(depth_m, rgb, intrinsics, settings.stride, *ranges, flying)
    if settings.voxel_m == 0:
        return _organised(points, header)
    solid = points[np.isfinite(points[..., 2])]
    means, mean_colours = voxel_means(solid[:, :3], settings.voxel_m, None if rgb is None else colours(solid))
    if settings.most_points > 0:
        kept = nearest(means, settings.most_points)
        means, mean_colours = means[kept], None if mean_colours is None else mean_colours[kept]
    return cloud_from_voxels(means, mean_colours, header)


def _organised(points: np.ndarray, header: Header) -> PointCloud2:
    """Return the message of (H, W, 3 or 4) float32 in image order.

    The points go in flat and get their shape afterwards, since create_cloud takes the first axis of an
    organised array for its width, which would transpose the image's.
    """
    height, width, count = points.shape
    names = NAMES[:count]
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(names)]
    rows = points.reshape(-1).view(np.dtype([(name, np.float32) for name in names]))
    cloud = point_cloud2.create_cloud(header, fields, rows)
    cloud.height, cloud.width = height, width
    cloud.row_step = cloud.point_step * width
    cloud.is_dense = False
    return cloud
