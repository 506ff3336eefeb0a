"""The pinhole camera: focal length and field of view, resizing, projection (Hartley & Zisserman ch. 6).

Convention: pixel centres at integer coordinates, u right, v down; the image of width w spans
[-0.5, w - 0.5]. Points are in the optical frame (z forward, x right, y down; REP 103) in metres.
"""

from __future__ import annotations

import math

import numpy as np

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.records import Intrinsics

FULL_FRAME_MM = (36.0, 24.0)


def centred(width: int, height: int, fx: float, fy: float | None = None) -> Intrinsics:
    """Return intrinsics with the principal point at the image's centre and, by default, square pixels."""
    return Intrinsics(width, height, fx, fx if fy is None else fy, (width - 1) / 2, (height - 1) / 2)


def check(intrinsics: Intrinsics) -> Intrinsics:
    """Return `intrinsics`, or raise CalibrationError when they describe no real camera."""
    values = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
    if intrinsics.width < 1 or intrinsics.height < 1:
        raise CalibrationError(
            f"intrinsics are for a {intrinsics.width}x{intrinsics.height} image; both sides must be positive: "
            "set width and height of the calibration"
        )
    if not all(math.isfinite(v) for v in values) or intrinsics.fx <= 0 or intrinsics.fy <= 0:
        raise CalibrationError(
            f"intrinsics fx={intrinsics.fx} fy={intrinsics.fy} cx={intrinsics.cx} cy={intrinsics.cy}: all must be "
            "finite and both focal lengths positive: calibrate the camera, or let the network estimate the focal length"
        )
    return intrinsics


def focal_from_fov(fov_deg: float, width: int, cx: float | None = None) -> float:
    """Return the focal length in pixels of a camera that sees `fov_deg` across `width` pixels.

    For a centred principal point f = 0.5 w / tan(fov / 2) (Depth Pro's own formula). With a = cx + 0.5
    pixels left and b = w - a right of the axis, fov = atan(a/f) + atan(b/f) solves to
    f = (w cot(fov) + sqrt(w^2 cot^2(fov) + 4ab)) / 2.
    """
    if not (math.isfinite(fov_deg) and 0.0 < fov_deg < 180.0):
        raise CalibrationError(f"a field of view of {fov_deg} degrees: a pinhole camera has between 0 and 180")
    if cx is None:
        return 0.5 * width / math.tan(math.radians(fov_deg) / 2)
    left = cx + 0.5
    if not 0.0 < left < width:
        return 0.5 * width / math.tan(math.radians(fov_deg) / 2)
    w_cot = width / math.tan(math.radians(fov_deg))
    return (w_cot + math.sqrt(w_cot**2 + 4 * left * (width - left))) / 2


def fov_from_focal(focal_px: float, width: int, cx: float | None = None) -> float:
    """Return the angle in degrees that `width` pixels span at `focal_px`; the inverse of `focal_from_fov`."""
    left = width / 2 if cx is None else cx + 0.5
    return math.degrees(math.atan(left / focal_px) + math.atan((width - left) / focal_px))


def focal_from_35mm(focal_35mm: float, width: int, height: int) -> float:
    """Return the focal length in pixels from EXIF's 35 mm equivalent, which compares image diagonals."""
    return focal_35mm * math.hypot(width, height) / math.hypot(*FULL_FRAME_MM)


def focal_to_35mm(focal_px: float, width: int, height: int) -> float:
    """Return the 35 mm equivalent in mm; the inverse of `focal_from_35mm`."""
    return focal_px * math.hypot(*FULL_FRAME_MM) / math.hypot(width, height)


def resize(intrinsics: Intrinsics, width: int, height: int) -> Intrinsics:
    """Return the intrinsics of the image resized to `width` x `height`.

    u' = (u + 0.5) w'/w - 0.5, the mapping of cv2.resize and of torch's align_corners=False: focal
    lengths scale by the ratio, the principal point by the ratio about the image's corner at -0.5.
    """
    sx, sy = width / intrinsics.width, height / intrinsics.height
    return Intrinsics(
        width,
        height,
        intrinsics.fx * sx,
        intrinsics.fy * sy,
        (intrinsics.cx + 0.5) * sx - 0.5,
        (intrinsics.cy + 0.5) * sy - 0.5,
    )


def subsample(intrinsics: Intrinsics, stride: int) -> Intrinsics:
    """Return the intrinsics of image[::stride, ::stride], where u' = u / stride exactly."""
    return Intrinsics(
        -(-intrinsics.width // stride),
        -(-intrinsics.height // stride),
        intrinsics.fx / stride,
        intrinsics.fy / stride,
        intrinsics.cx / stride,
        intrinsics.cy / stride,
    )


def unproject(depth_m: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Return the points (H, W, 3) float32, metres, optical frame, of a depth image: depth * K^-1 (u, v, 1).

    Non-finite depth gives NaN points, since an infinitely far point has no coordinates.
    """
    height, width = depth_m.shape
    if (width, height) != (intrinsics.width, intrinsics.height):
        raise CalibrationError(
            f"depth is {width}x{height} but the intrinsics are for {intrinsics.width}x{intrinsics.height}: "
            "resize the intrinsics with the image"
        )
    ray_x = ((np.arange(width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)
    ray_y = ((np.arange(height) - intrinsics.cy) / intrinsics.fy).astype(np.float32)
    points = np.empty((height, width, 3), np.float32)
    z = np.where(np.isfinite(depth_m), depth_m, np.float32(np.nan))
    np.multiply(z, ray_x[None, :], out=points[..., 0])
    np.multiply(z, ray_y[:, None], out=points[..., 1])
    points[..., 2] = z
    return points


def project(points_m: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Return pixel coordinates (..., 2) float64 of points (..., 3) in the optical frame (NaN when z <= 0)."""
    points = np.asarray(points_m, np.float64)
    z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    u = intrinsics.fx * points[..., 0] / z + intrinsics.cx
    v = intrinsics.fy * points[..., 1] / z + intrinsics.cy
    return np.stack((u, v), axis=-1)
