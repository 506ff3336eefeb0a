"""The pinhole camera: focal length and field of view, resizing, cropping, projection (Hartley & Zisserman ch. 6).

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


def focal_from_mm(focal_mm: float, sensor_mm: float, pixels: int) -> float:
    """Return the focal length in pixels of a lens of `focal_mm` before a sensor side of `sensor_mm` that has `pixels`.

    Width goes with width and height with height; the two differ where pixels are not square.
    """
    if not (math.isfinite(focal_mm) and focal_mm > 0 and math.isfinite(sensor_mm) and sensor_mm > 0):
        raise CalibrationError(
            f"a focal length of {focal_mm} mm before a sensor of {sensor_mm} mm: both must be positive and finite: "
            "take them from the camera's data sheet"
        )
    return focal_mm * pixels / sensor_mm


def focal_to_mm(focal_px: float, sensor_mm: float, pixels: int) -> float:
    """Return the focal length in mm; the inverse of `focal_from_mm`."""
    return focal_px * sensor_mm / pixels


def from_fov(width: int, height: int, horizontal_deg: float, vertical_deg: float | None = None) -> Intrinsics:
    """Return intrinsics of a camera that sees these angles about its centre; without the second, of square pixels."""
    fy = None if vertical_deg is None else focal_from_fov(vertical_deg, height)
    return centred(width, height, focal_from_fov(horizontal_deg, width), fy)


def from_lens(width: int, height: int, focal_mm: float, sensor_mm: tuple[float, float]) -> Intrinsics:
    """Return intrinsics of a lens centred before a sensor of `sensor_mm` (width, height), all of which is read out."""
    across, down = sensor_mm
    return centred(width, height, focal_from_mm(focal_mm, across, width), focal_from_mm(focal_mm, down, height))


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


def crop(intrinsics: Intrinsics, left: int, top: int, width: int, height: int) -> Intrinsics:
    """Return the intrinsics of image[top : top + height, left : left + width], where u' = u - left.

    Raises CalibrationError unless the window is a part of the image.
    """
    fits = 0 <= left and 0 <= top and left + width <= intrinsics.width and top + height <= intrinsics.height
    if not fits or width < 1 or height < 1:
        raise CalibrationError(
            f"a crop of {width}x{height} at ({left}, {top}) must be a part of the "
            f"{intrinsics.width}x{intrinsics.height} image: correct the window"
        )
    cx, cy = intrinsics.cx - left, intrinsics.cy - top
    return Intrinsics(width, height, intrinsics.fx, intrinsics.fy, cx, cy)


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


def rays(intrinsics: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Return x / z of each column (W,) and y / z of each row (H, 1), float32: K^-1 (u, v, 1) with its third entry 1."""
    x = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
    y = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
    return x.astype(np.float32), y.astype(np.float32)[:, None]


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
    ray_x, ray_y = rays(intrinsics)
    points = np.empty((height, width, 3), np.float32)
    z = np.where(np.isfinite(depth_m), depth_m, np.float32(np.nan))
    np.multiply(z, ray_x, out=points[..., 0])
    np.multiply(z, ray_y, out=points[..., 1])
    points[..., 2] = z
    return points


def project(points_m: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Return pixel coordinates (..., 2) float64 of points (..., 3) in the optical frame (NaN when z <= 0)."""
    points = np.asarray(points_m, np.float64)
    z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    u = intrinsics.fx * points[..., 0] / z + intrinsics.cx
    v = intrinsics.fy * points[..., 1] / z + intrinsics.cy
    return np.stack((u, v), axis=-1)
