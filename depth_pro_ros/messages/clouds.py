"""Point clouds from depth: organised, x y z and colour, in the layout that RViz, PCL, octomap and nvblox read."""

from __future__ import annotations

import math

import cv2
import numpy as np

from depth_pro_ros.errors import CalibrationError, ConfigurationError, ImageError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics

NAMES = ("x", "y", "z", "rgb")
"""The fields of a point, float32 each, in their order."""
BAND = 3 << 15  # points that stay in the processor's cache while they are made
NEAREST, FARTHEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)  # of a point with coordinates


def points_from_depth(
    depth_m: np.ndarray,
    rgb: np.ndarray | None,
    intrinsics: Intrinsics,
    stride: int = 1,
    max_range_m: float = math.inf,
    min_range_m: float = 0.0,
    left_out: np.ndarray | None = None,
) -> np.ndarray:
    """Return (h, w, 4) float32, `NAMES` of every `stride`-th pixel, one point per pixel, optical frame, metres.

    depth_m (H, W) float32 with its own `intrinsics`; rgb (h, w, 3) uint8 of the same view in any size, or None for
    points (h, w, 3) without a colour. A point is NaN in x, y and z where the depth is not finite, not positive, nearer
    than `min_range_m` or beyond `max_range_m` along z, and where `left_out` (h, w) bool says so. Colour is 0x00RRGGBB
    in the bits of a float32 (PCL). Raises CalibrationError when depth and intrinsics differ in size,
    ConfigurationError for a stride below 1, ImageError for an rgb of another kind.
    """
    _check(depth_m, rgb, intrinsics, stride)
    rgb = None if rgb is None else _resized(rgb, depth_m.shape)
    near, reach = max(min_range_m, NEAREST), min(max_range_m, FARTHEST)
    coarse = pinhole.subsample(intrinsics, stride)
    ray_x, ray_y = pinhole.rays(coarse)
    points = np.empty((coarse.height, coarse.width, 3 if rgb is None else len(NAMES)), np.float32)
    height = max(1, BAND // coarse.width)
    for top in range(0, coarse.height, height):
        band = slice(top, top + height)
        rows = slice(top * stride, (top + height) * stride, stride)
        z = _thinned(depth_m[rows], stride)
        if not (z.min() >= near and z.max() <= reach):  # NaN as well; seldom in most bands, and soon seen
            z[~((z >= near) & (z <= reach))] = np.nan
        if left_out is not None:
            z[left_out[band]] = np.nan
        colour = () if rgb is None else (_packed(rgb[rows], stride),)
        cv2.merge((z * ray_x, z * ray_y[band], z, *colour), points[band])
    return points


def colours(points: np.ndarray) -> np.ndarray:
    """Return the RGB colours (..., 3) uint8 of points (..., 4) as `points_from_depth` makes them."""
    packed = np.ascontiguousarray(points[..., NAMES.index("rgb")]).view("<u4")
    return np.stack([packed >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8)


def _check(depth_m: np.ndarray, rgb: np.ndarray | None, intrinsics: Intrinsics, stride: int) -> None:
    """Raise the errors of `points_from_depth`."""
    if stride < 1:
        raise ConfigurationError(f"a cloud stride of {stride}; it must be 1 (every pixel) or more")
    if rgb is not None and (rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3):
        raise ImageError(f"an image of shape {rgb.shape} and type {rgb.dtype}; a cloud takes (H, W, 3) uint8")
    if depth_m.shape != (intrinsics.height, intrinsics.width):
        raise CalibrationError(
            f"depth of shape {depth_m.shape} but intrinsics for {intrinsics.width}x{intrinsics.height}: resize the "
            "intrinsics with the depth"
        )


def _resized(rgb: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the colours on the depth's grid: averaged when it is coarser, repeated when it is finer."""
    height, width = shape
    if rgb.shape[:2] == shape:
        return rgb
    smaller = height <= rgb.shape[0] and width <= rgb.shape[1]
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)


def _packed(rgb: np.ndarray, stride: int) -> np.ndarray:
    """Return float32 of every `stride`-th pixel of a row with the bits 0x00RRGGBB: on little-endian B, G, R, 0."""
    bgra = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA).view("<u4")[:, :, 0]
    packed = _thinned(bgra, stride) if stride > 1 else bgra
    packed &= np.uint32(0x00FFFFFF)
    return packed.view(np.float32)


def _thinned(plane: np.ndarray, stride: int) -> np.ndarray:
    """Return a contiguous copy of every `stride`-th element of the rows of (H, W), whose elements have 4 bytes.

    For stride 2 each pair of elements is taken for an integer of 8 bytes, whose low half, on little-endian the first of
    the pair, is kept: processors do this to many at once, and to elements that lie apart they do not.
    """
    if stride == 2 and plane.shape[1] % 2 == 0 and plane.strides[1] == plane.itemsize:
        return plane.view("<u8").astype("<u4").view(plane.dtype)
    return np.array(plane[:, ::stride], order="C")
