"""Point clouds from depth: organised, x y z and colour, in the layout that RViz, PCL, octomap and nvblox read."""

from __future__ import annotations

import math

import cv2
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.errors import CalibrationError, ConfigurationError, ImageError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.standins import point_cloud2

_NAMES = ("x", "y", "z", "rgb")
FARTHEST = float(np.finfo(np.float32).max)  # an infinitely far point has no coordinates
_POINT = np.dtype([(name, np.float32) for name in _NAMES])


def cloud_from_depth(
    depth_m: np.ndarray,
    rgb: np.ndarray,
    intrinsics: Intrinsics,
    header: Header,
    stride: int = 1,
    max_range_m: float = math.inf,
) -> PointCloud2:
    """Return the organised cloud of every `stride`-th pixel, one point per pixel, optical frame, metres.

    depth_m (H, W) float32 with its own `intrinsics`; rgb (h, w, 3) uint8 of the same view in any size. A point
    is NaN in x, y and z where the depth is not finite, not positive, or beyond `max_range_m` along z. Colour
    is 0x00RRGGBB in the bits of a float32 (PCL). Raises CalibrationError when depth and intrinsics differ in
    size, ConfigurationError for a stride below 1, ImageError for an rgb of another kind.
    """
    if stride < 1:
        raise ConfigurationError(f"a cloud stride of {stride}; it must be 1 (every pixel) or more")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f"an image of shape {rgb.shape} and type {rgb.dtype}; a cloud takes (H, W, 3) uint8")
    if depth_m.shape != (intrinsics.height, intrinsics.width):
        raise CalibrationError(
            f"depth of shape {depth_m.shape} but intrinsics for {intrinsics.width}x{intrinsics.height}: resize the "
            "intrinsics with the depth"
        )
    z = depth_m[::stride, ::stride]
    reach = min(max_range_m, FARTHEST)
    z = np.where((z > 0) & (z <= reach), z, np.float32(np.nan))
    ray_x, ray_y = pinhole.rays(pinhole.subsample(intrinsics, stride))
    colour = _packed(_resized(rgb, depth_m.shape)[::stride, ::stride])
    return _organised(cv2.merge((z * ray_x, z * ray_y, z, colour.view(np.float32))), header)


def _resized(rgb: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the colours on the depth's grid: averaged when it is coarser, repeated when it is finer."""
    height, width = shape
    if rgb.shape[:2] == shape:
        return rgb
    smaller = height <= rgb.shape[0] and width <= rgb.shape[1]
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)


def _packed(rgb: np.ndarray) -> np.ndarray:
    """Return (H, W) uint32, 0x00RRGGBB: in memory B, G, R, 0 on the little-endian machines that robots have."""
    bgra = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGRA)
    return bgra.view("<u4")[..., 0] & np.uint32(0x00FFFFFF)


def _organised(points: np.ndarray, header: Header) -> PointCloud2:
    """Return the message of (H, W, 4) float32 in image order.

    The points go in flat and get their shape afterwards, since create_cloud takes the first axis of an
    organised array for its width, which would transpose the image's.
    """
    height, width = points.shape[:2]
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(_NAMES)
    ]
    cloud = point_cloud2.create_cloud(header, fields, points.reshape(-1).view(_POINT))
    cloud.height, cloud.width = height, width
    cloud.row_step = cloud.point_step * width
    cloud.is_dense = False
    return cloud
