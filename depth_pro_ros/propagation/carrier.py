"""A keyframe's depth as later views see it, with what is known of its error."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from depth_pro_ros.errors import ImageError, TrackingError
from depth_pro_ros.geometry import motion
from depth_pro_ros.propagation.fill import fill
from depth_pro_ros.propagation.warp import (
    UNKNOWN,
    close_cracks,
    depth_from_inverse,
    inverse_from_depth,
    softness,
    warp,
)
from depth_pro_ros.records import DepthMap, Intrinsics, Pose

# The relative error of filled pixels on recorded sequences, rms: 9 % beside what is known, 17 % a tenth of the image's
# width away from it.
FILLED_SIGMA, FILLED_SIGMA_GROWTH, FILLED_AT = 0.09, 0.17, 0.1
FLYING_PX = 1.0  # pixels of soft edges that part by more are left behind


@dataclass(frozen=True)
class CarrySettings:
    """How far depth is carried, what is assumed of the error on the way, and which holes are filled.

    Poses drift by `drift` of the way between the views, and things in the scene move at `scene_speed_m_s`, both one
    standard deviation. Holes are filled up to `fill_reach` of the image's width from what is known; 0 fills none.
    """

    max_age_s: float = 3.0
    max_baseline_m: float = 10.0
    drift: float = 0.02
    scene_speed_m_s: float = 0.1
    fill_reach: float = 0.1


@dataclass(frozen=True, eq=False)
class Carried:
    """Depth of a view that no network has looked at.

    `sigma_relative` (H, W) float32 is the depth's relative standard deviation, NaN where it is not finite; `filled`
    (H, W) bool marks what no pixel of the keyframe landed on or beside. `age_s` and `baseline_m` tell how far away the
    keyframe is, negative ages that it is the later one; the shares are of all pixels, and `filled_share` holds what
    was filled alone.
    """

    depth: DepthMap
    sigma_relative: np.ndarray
    filled: np.ndarray
    age_s: float
    baseline_m: float
    carried_share: float
    filled_share: float


class Carrier:
    """One keyframe, ready to be carried to any number of views; it never changes, so that threads may share it."""

    def __init__(self, depth: DepthMap, pose: Pose, sigma_relative: np.ndarray | float):
        """Take the keyframe's depth, its pose, and its relative standard deviation, (H, W) or one for all pixels."""
        self.depth, self.pose = depth, pose
        self._inverse = inverse_from_depth(depth.depth_m)
        self._softness = softness(self._inverse)
        self._sigma = np.where(self._inverse > 0, np.asarray(sigma_relative, np.float32), np.float32(0))

    def carry(
        self,
        pose: Pose,
        rgb: np.ndarray,
        settings: CarrySettings | None = None,
        camera: Intrinsics | None = None,
    ) -> Carried:
        """Return the keyframe's depth as the view at `pose` sees it; `rgb` (h, w, 3) uint8 is what is seen there.

        The depth is on the grid of `camera`, by default the keyframe's own; `rgb` may have any size that shows the same
        view. Raises TrackingError when the keyframe is too old or too far away, CalibrationError for a pose that is
        none, ImageError for an image of another kind.
        """
        settings, camera = settings or CarrySettings(), camera or self.depth.intrinsics
        start = time.perf_counter()
        grey = _grey(rgb, (camera.height, camera.width))
        T_view_keyframe = motion.compose(motion.inverse(pose.T_world_camera), self.pose.T_world_camera)
        age_s = (pose.stamp_ns - self.pose.stamp_ns) / 1e9
        baseline_m = float(np.linalg.norm(T_view_keyframe[:3, 3]))
        _check_reach(age_s, baseline_m, settings)
        firm = self._without_soft_edges(baseline_m)
        landed = warp(firm, T_view_keyframe, self.depth.intrinsics, camera, self._sigma)
        inverse, sigma = cast("tuple[np.ndarray, np.ndarray]", close_cracks(*landed))  # a sigma was given
        known = inverse >= 0
        warped = time.perf_counter()
        inverse, distance_px = fill(inverse, grey, settings.fill_reach * camera.width)
        filled = (inverse >= 0) & ~known
        sigma[filled] = _filled_sigma(sigma[::4, ::4], distance_px[filled] / camera.width)
        moved_m = settings.drift * baseline_m + settings.scene_speed_m_s * abs(age_s)
        sigma = cv2.magnitude(sigma, inverse * np.float32(moved_m))
        sigma[inverse <= 0] = np.nan
        timings = {"warp": 1e3 * (warped - start), "fill": 1e3 * (time.perf_counter() - warped)}
        focal_px = camera.fx * rgb.shape[1] / camera.width
        depth = DepthMap(depth_from_inverse(inverse), camera, focal_px, timings_ms=timings)
        return Carried(depth, sigma, filled, age_s, baseline_m, float(known.mean()), float(filled.mean()))

    def _without_soft_edges(self, baseline_m: float) -> np.ndarray:
        """Return inverse depth (H, W) without the pixels that would fly about when seen from `baseline_m` away."""
        parting_px = self._softness * np.float32(self.depth.intrinsics.fx * baseline_m)
        return np.where(parting_px > FLYING_PX, UNKNOWN, self._inverse)


def _grey(rgb: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the image (H, W) uint8 in grey values, of `shape`."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f"an image of shape {rgb.shape} and type {rgb.dtype}; carrying takes (H, W, 3) uint8 RGB")
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return grey if grey.shape == shape else cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA)


def _check_reach(age_s: float, baseline_m: float, settings: CarrySettings) -> None:
    """Raise TrackingError when the keyframe is older or farther away than it may be."""
    if abs(age_s) > settings.max_age_s:
        raise TrackingError(
            f"the last keyframe is {age_s:.2f} s old, and depth is carried for {settings.max_age_s:g} s: wait for the "
            "next one, or allow a greater age"
        )
    if baseline_m > settings.max_baseline_m:
        raise TrackingError(
            f"the camera is {baseline_m:.2f} m from the last keyframe, and depth is carried over "
            f"{settings.max_baseline_m:g} m: wait for the next one, allow a longer way, or check the poses for a jump"
        )


def _filled_sigma(carried: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Return the relative sigma (N,) of filled pixels `away` (N,) image widths from those that `carried` is of."""
    known = carried[carried > 0]
    typical = float(np.sqrt(np.mean(known**2))) if known.size else 0.0
    own = FILLED_SIGMA + (FILLED_SIGMA_GROWTH - FILLED_SIGMA) * np.sqrt(away / FILLED_AT)
    return np.hypot(own, typical).astype(np.float32)
