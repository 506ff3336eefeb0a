"""The frozen records that cross folders; they hold facts and no behaviour beyond naming them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion, in pixels of an image of `width` x `height`.

    Pixel centres lie at integer coordinates (OpenCV, sensor_msgs/CameraInfo): the image spans
    [-0.5, width - 0.5] x [-0.5, height - 0.5], and a centred principal point is
    ((width - 1) / 2, (height - 1) / 2).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def matrix(self) -> np.ndarray:
        """Return K, (3, 3) float64, which maps optical-frame points to pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class DepthMap:
    """Metric depth of one image.

    `depth_m` is (H, W) float32 along the optical axis (REP 118): NaN where nothing is known, +Inf
    beyond the range (sky), never 0. `intrinsics` belong to `depth_m`'s own pixel grid.
    `focal_px` is the horizontal focal length that set the scale and `focal_estimated_px` what the
    network believes (None when it was not asked), both in pixels of the *input* image.
    `timings_ms` maps each stage (preprocess, network, metric) to its wall time.
    """

    depth_m: np.ndarray
    intrinsics: Intrinsics
    focal_px: float
    focal_estimated_px: float | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pose:
    """A camera's pose: `T_world_camera`, (4, 4) float64, camera-to-world, optical axes, metres."""

    T_world_camera: np.ndarray
    stamp_ns: int


@dataclass(frozen=True)
class MetricSamples:
    """Metric depth that is known at some pixels of an image of `width` x `height`, from `source`.

    `u`, `v` (N,) float32 or float64 are pixels (centres at integers), `depth_m` (N,) is along the optical axis,
    positive and finite, `sigma_m` (N,) its standard deviation, positive.
    """

    u: np.ndarray
    v: np.ndarray
    depth_m: np.ndarray
    sigma_m: np.ndarray
    width: int
    height: int
    source: str
