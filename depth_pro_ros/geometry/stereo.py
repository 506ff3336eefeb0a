"""A rectified stereo pair: disparity to depth and back, with its uncertainty.

Disparity is d = u_left - u_right of one point, in pixels of the images, so it is larger the nearer the point is.
With principal points cx_left and cx_right, Z = f B / (d + doffs) and doffs = cx_right - cx_left (Middlebury 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry.distortion import Distortion, Rectifier
from depth_pro_ros.records import Intrinsics

SAME_PX = 0.5  # how far the two cameras' focal lengths and rows may differ before a match is lost or depth is bent


@dataclass(frozen=True)
class StereoRig:
    """What a rectified pair's calibration says: the left camera, the baseline, the principal points' difference."""

    left: Intrinsics
    baseline_m: float
    doffs_px: float = 0.0

    def __post_init__(self) -> None:
        """Raise CalibrationError for a baseline that is no distance from left to right."""
        if self.baseline_m == 0:
            raise CalibrationError(
                "the baseline is 0: P[3] of the right camera_info must be -f * baseline (in metres); take the "
                "camera_info of a stereo calibration, not of each camera alone"
            )
        if not (math.isfinite(self.baseline_m) and self.baseline_m > 0 and math.isfinite(self.doffs_px)):
            raise CalibrationError(
                f"the baseline is {self.baseline_m} m (doffs {self.doffs_px} px); it must be positive: left and right "
                "are swapped, or P[3] of the right camera has the wrong sign"
            )


@dataclass(frozen=True)
class StereoCalibration:
    """The rig of the rectified pair, and what rectifies the left and the right image (None: nothing to do)."""

    rig: StereoRig
    left: Rectifier | None = None
    right: Rectifier | None = None

    def rectify(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both images, (H, W) or (H, W, 3) uint8, as the rectified cameras see them."""
        return (
            left if self.left is None else self.left.rectify(left),
            right if self.right is None else self.right.rectify(right),
        )


def rig_from_projections(left: Intrinsics, right: Intrinsics, tx_left: float, tx_right: float) -> StereoRig:
    """Return the rig of two rectified cameras; `tx` is P[0, 3] = -f x (metres right of the reference camera).

    Raises CalibrationError when rows or focal lengths differ, as they may not after one stereo rectification,
    or when the baseline is not positive.
    """
    if (left.width, left.height) != (right.width, right.height):
        raise CalibrationError(
            f"left is {left.width}x{left.height}, right {right.width}x{right.height}; both must have one size: "
            "calibrate them as a pair"
        )
    for name in ("fx", "fy", "cy"):
        ours, theirs = getattr(left, name), getattr(right, name)
        if abs(ours - theirs) > SAME_PX:
            raise CalibrationError(
                f"{name} of P is {ours} left and {theirs} right; a rectified pair has one: calibrate both cameras "
                "together (stereo calibration fills R and P)"
            )
    return StereoRig(left, tx_left / left.fx - tx_right / right.fx, right.cx - left.cx)


def rectifier(distortion: Distortion, width: int, height: int) -> Rectifier | None:
    """Return what rectifies the raw image of one camera of a pair, None where it is rectified as it comes.

    That is: no distortion, R the identity and K equal to P. P must be given.
    """
    straight = not np.any(distortion.coefficients) and np.allclose(distortion.R, np.eye(3), atol=1e-9)
    if straight and distortion.P is not None and np.allclose(distortion.K, distortion.P, atol=1e-6):
        return None
    return Rectifier(distortion, width, height)


def depth_from_disparity(
    disparity_px: np.ndarray, focal_px: float, baseline_m: float, doffs_px: float = 0.0
) -> np.ndarray:
    """Return Z = f B / (d + doffs), float32 metres; +Inf where d + doffs is 0, NaN below that and for NaN."""
    seen = np.asarray(disparity_px, np.float32) + np.float32(doffs_px)
    with np.errstate(divide="ignore"):
        depth_m = np.float32(focal_px * baseline_m) / np.abs(seen)
    return np.where(seen >= 0, depth_m, np.float32(np.nan))


def disparity_from_depth(depth_m: np.ndarray, focal_px: float, baseline_m: float, doffs_px: float = 0.0) -> np.ndarray:
    """Return d = f B / Z - doffs, float32 pixels; -doffs for +Inf, NaN for NaN and for depth that is not positive."""
    depth_m = np.asarray(depth_m, np.float32)
    with np.errstate(divide="ignore"):
        seen = np.float32(focal_px * baseline_m) / np.abs(depth_m)
    return np.where(depth_m > 0, seen, np.float32(np.nan)) - np.float32(doffs_px)


def sigma_from_disparity(
    disparity_px: np.ndarray,
    sigma_px: np.ndarray | float,
    focal_px: float,
    baseline_m: float,
    doffs_px: float = 0.0,
) -> np.ndarray:
    """Return the standard deviation of depth, sigma_Z = Z^2 sigma_d / (f B), float32 metres (first order)."""
    depth_m = depth_from_disparity(disparity_px, focal_px, baseline_m, doffs_px)
    return depth_m**2 * (np.asarray(sigma_px, np.float32) / np.float32(focal_px * baseline_m))
