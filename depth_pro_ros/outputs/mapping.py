"""A map from depth images with poses: each is fused into voxels, and what it sees through is carved away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import CalibrationError, ConfigurationError
from depth_pro_ros.geometry import motion, pinhole
from depth_pro_ros.outputs.voxels import VoxelMap
from depth_pro_ros.records import Intrinsics

CLEARLY_VOXELS = 1.5  # a voxel is seen through when the surface lies this far behind it,
CLEARLY_SIGMAS = 3.0  # and this many standard deviations of its depth


@dataclass(frozen=True)
class MapSettings:
    """Lengths in metres. `window_m` is half the side of the cube about the camera that is kept.

    Of each image every `stride`-th pixel between `min_depth_m` and `max_depth_m` is fused, unless the depth about it
    changes by more than `edge_share` (a pixel between foreground and background lies in the air). `sigma_relative`
    is the depth's standard deviation where none is given.
    """

    voxel_m: float = 0.1
    max_voxels: int = 500_000
    window_m: float = 30.0
    min_depth_m: float = 0.2
    max_depth_m: float = 10.0
    stride: int = 2
    sigma_relative: float = 0.03
    edge_share: float = 0.1
    most_evidence: float = 10.0

    def __post_init__(self) -> None:
        """Raise ConfigurationError for depths the wrong way round."""
        if not 0 < self.min_depth_m < self.max_depth_m:
            raise ConfigurationError(
                f"depth from {self.min_depth_m} to {self.max_depth_m} m: the first must be the smaller one"
            )


@dataclass(frozen=True)
class Added:
    """What one image did: voxels in the map afterwards, carved away, and dropped for window and bound."""

    voxels: int
    carved: int
    dropped: int


class DepthMapper:
    """Fuses depth images into a voxel map of their poses' world."""

    def __init__(self, settings: MapSettings) -> None:
        self._settings = settings
        self.voxels = VoxelMap(settings.voxel_m, settings.max_voxels, settings.most_evidence)

    def add(
        self,
        depth_m: np.ndarray,
        intrinsics: Intrinsics,
        T_world_camera: np.ndarray,
        rgb: np.ndarray | None = None,
        sigma_relative: np.ndarray | None = None,
    ) -> Added:
        """Take in depth (H, W) float32 in metres, +Inf seen as far, NaN not seen, taken at `T_world_camera` (4, 4).

        rgb (H, W, 3) uint8 and sigma_relative (H, W), a share of the depth, are on the same pixels; where that sigma
        is not a positive number the pixel is not fused. Raises CalibrationError when sizes differ, OutputError beyond
        the map's reach.
        """
        shape = (intrinsics.height, intrinsics.width)
        others = [array for array in (rgb, sigma_relative) if array is not None]
        if any(array.shape[:2] != shape for array in (depth_m, *others)):
            raise CalibrationError(
                f"depth, colours and sigma of shapes {[array.shape for array in (depth_m, *others)]} but intrinsics "
                f"for {intrinsics.width}x{intrinsics.height}: resize them alike"
            )
        points, sigma_m, colours = self._points(depth_m, intrinsics, rgb, sigma_relative)
        self.voxels.add(motion.transform(T_world_camera, points), sigma_m, colours)
        carved = self.voxels.carve(self._seen_through(depth_m, intrinsics, T_world_camera))
        centre = T_world_camera[:3, 3]
        dropped = self.voxels.keep_within(centre, self._settings.window_m) + self.voxels.keep_bound(centre)
        return Added(len(self.voxels), carved, dropped)

    def _points(
        self, depth_m: np.ndarray, intrinsics: Intrinsics, rgb: np.ndarray | None, sigma_relative: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the points to fuse (N, 3) in the camera's frame, their sigmas (N,) and colours (N, 3)."""
        settings, step = self._settings, self._settings.stride
        steady = on_surface(depth_m, settings.edge_share)[::step, ::step]
        depth = depth_m[::step, ::step]
        fused = steady & (depth >= settings.min_depth_m) & (depth <= settings.max_depth_m)
        relative = np.full(depth.shape, settings.sigma_relative, np.float32)
        if sigma_relative is not None:
            relative = sigma_relative[::step, ::step]
            fused &= np.isfinite(relative) & (relative > 0)
        points = pinhole.unproject(depth, pinhole.subsample(intrinsics, step))[fused].astype(np.float64)
        return points, relative[fused] * depth[fused], None if rgb is None else rgb[::step, ::step][fused]

    def _seen_through(self, depth_m: np.ndarray, intrinsics: Intrinsics, T_world_camera: np.ndarray) -> np.ndarray:
        """Return the voxels (N,) bool that lie clearly before the surface that this image measured there.

        A voxel's mean point is projected, and stands before the nearest depth of the 3 x 3 pixels about it; unknown
        depth sees through nothing. Voxels that this very image has filled stay.
        """
        points = motion.transform(motion.inverse(T_world_camera), self.voxels.points_m)
        z = points[:, 2]
        u, v = np.rint(np.nan_to_num(pinhole.project(points, intrinsics), nan=-1.0)).T
        inside = (z > 0) & (u >= 0) & (u < intrinsics.width) & (v >= 0) & (v < intrinsics.height)
        nearest = cv2.erode(np.nan_to_num(depth_m, nan=0.0, posinf=math.inf), np.ones((3, 3), np.uint8))
        margin = CLEARLY_VOXELS * self._settings.voxel_m + CLEARLY_SIGMAS * self._settings.sigma_relative * z
        free = inside & ~self.voxels.seen_now
        free[free] = (z + margin)[free] < nearest[v[free].astype(int), u[free].astype(int)]
        return free


def on_surface(depth_m: np.ndarray, edge_share: float) -> np.ndarray:
    """Return where (H, W) bool the 3 x 3 depths about a pixel differ by at most `edge_share`, unknown ones aside."""
    known = depth_m > 0
    kernel = np.ones((3, 3), np.uint8)
    farthest = cv2.dilate(np.where(known, depth_m, np.float32(0)), kernel)
    nearest = cv2.erode(np.where(known, depth_m, np.float32(np.inf)), kernel)
    return known & (farthest / np.float32(1 + edge_share) <= nearest)


class Keyframes:
    """Chooses which images are worth fusing: those that moved, turned, or come after a while."""

    def __init__(self, distance_m: float, angle_deg: float, period_s: float) -> None:
        self._distance_m, self._angle_rad = distance_m, math.radians(angle_deg)
        self._period_ns = round(period_s * 1e9)
        self._last: tuple[int, np.ndarray] | None = None

    def take(self, stamp_ns: int, T_world_camera: np.ndarray) -> bool:
        """Return whether the image is a keyframe, and remember it if so."""
        if self._last is not None:
            before_ns, before = self._last
            moved = np.linalg.norm(T_world_camera[:3, 3] - before[:3, 3])
            turned = np.linalg.norm(motion.vector_from_rotation(before[:3, :3].T @ T_world_camera[:3, :3]))
            waited = abs(stamp_ns - before_ns)
            if moved < self._distance_m and turned < self._angle_rad and waited < self._period_ns:
                return False
        self._last = (stamp_ns, T_world_camera)
        return True
