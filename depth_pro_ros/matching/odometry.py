"""Visual odometry from images with depth: corners that have depth become points, later images are resected (PnP)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import CalibrationError, TrackingError
from depth_pro_ros.geometry import motion, pinhole
from depth_pro_ros.matching import pnp
from depth_pro_ros.matching.tracks import NO_TRACKS, Tracker, Tracks
from depth_pro_ros.matching.window import parallax_px, rays
from depth_pro_ros.records import Intrinsics

MAX_DEPTH_STEP = 0.05  # of the depth, over 3x3 pixels: a corner on an edge belongs to no one depth


@dataclass(frozen=True)
class OdometrySettings:
    """How corners are followed, and when an image becomes a keyframe; see odometry_node's parameters."""

    max_tracks: int = 800
    cell_px: int = 28
    keyframe_px: float = 10.0
    keyframe_share: float = 0.7
    min_depth_m: float = 0.1
    max_depth_m: float = 20.0


@dataclass(frozen=True, eq=False)
class OdometryEstimate:
    """The camera's pose `T_world_camera` (4, 4), metres; the world is the first image's optical frame.

    `covariance` (6, 6) of (x, y, z, rotation about X, Y, Z) in the world's fixed axes, grows from keyframe to
    keyframe; `inliers` is how many points agree with the pose, out of `points` in view.
    """

    T_world_camera: np.ndarray
    covariance: np.ndarray
    inliers: int
    points: int
    keyframe: bool


@dataclass(frozen=True, eq=False)
class _Keyframe:
    gray: np.ndarray
    tracks: Tracks
    T_world_camera: np.ndarray
    covariance: np.ndarray


class VisualOdometry:
    """Tells where the camera is, relative to where it was at first; or raises, and never guesses.

    The world's points are those of the corners' depth when each was first seen in a keyframe. After an image
    that fixes no pose the search goes on from the last keyframe, so that turning the camera back is enough.
    """

    def __init__(self, intrinsics: Intrinsics, settings: OdometrySettings | None = None) -> None:
        """Prepare for undistorted images of `intrinsics`; raises CalibrationError for those of no camera."""
        self._intrinsics = pinhole.check(intrinsics)
        self._settings = settings or OdometrySettings()
        self._tracker = Tracker(self._settings.max_tracks, self._settings.cell_px)
        self._ids, self._world = NO_TRACKS.ids, np.empty((0, 3))
        self._keyframe: _Keyframe | None = None

    def update(self, gray: np.ndarray, depth_m: np.ndarray) -> OdometryEstimate:
        """Return the pose of `gray` (H, W) uint8 with `depth_m` (H, W), NaN unknown, both undistorted.

        Raises TrackingError when the image fixes no pose ("lost"), CalibrationError for another size.
        """
        self._check(gray, depth_m)
        tracks = self._tracker.update(gray)
        if self._keyframe is None:
            return self._start(gray, depth_m, tracks)
        try:
            estimate, moving = self._locate(tracks, self._keyframe)
        except TrackingError:
            self._tracker.rewind(self._keyframe.gray, self._keyframe.tracks)
            raise
        self._forget(moving, tracks, self._keyframe)
        if estimate.keyframe:
            self._add_points(tracks, depth_m, estimate.T_world_camera)
            self._keyframe = _Keyframe(gray.copy(), tracks, estimate.T_world_camera, estimate.covariance)
        return estimate

    def _check(self, gray: np.ndarray, depth_m: np.ndarray) -> None:
        expected = (self._intrinsics.height, self._intrinsics.width)
        if gray.shape != expected or depth_m.shape != expected:
            raise CalibrationError(
                f"an image of shape {gray.shape} and depth of shape {depth_m.shape} for intrinsics of "
                f"{expected[1]}x{expected[0]}: register the depth to the image, in its size (depth_image_proc)"
            )

    def _start(self, gray: np.ndarray, depth_m: np.ndarray, tracks: Tracks) -> OdometryEstimate:
        """Return the first pose, the origin; raises TrackingError when the image cannot carry one."""
        self._add_points(tracks, depth_m, np.eye(4))
        if len(self._ids) < pnp.MIN_POINTS:
            known = int(np.isfinite(depth_m).sum())
            raise TrackingError(
                f"{len(self._ids)} of {len(tracks.ids)} corners have depth ({known} pixels do), at least "
                f"{pnp.MIN_POINTS} are needed to begin: give the camera texture and light, and depth within "
                f"{self._settings.min_depth_m:g} to {self._settings.max_depth_m:g} m"
            )
        self._keyframe = _Keyframe(gray.copy(), tracks, np.eye(4), np.zeros((6, 6)))
        return OdometryEstimate(np.eye(4), np.zeros((6, 6)), len(self._ids), len(self._ids), True)

    def _locate(self, tracks: Tracks, last: _Keyframe) -> tuple[OdometryEstimate, np.ndarray]:
        """Return the pose, and the ids of corners that do not agree with it."""
        _, known, seen = np.intersect1d(self._ids, tracks.ids, assume_unique=True, return_indices=True)
        fit = pnp.solve(self._world[known], tracks.uv[seen], self._intrinsics)
        covariance = fit.covariance + carried(last.covariance, last.T_world_camera, fit.T_world_camera)
        inliers = int(fit.inliers.sum())
        keyframe = self._is_keyframe(tracks, last, fit.T_world_camera, inliers)
        estimate = OdometryEstimate(fit.T_world_camera, covariance, inliers, len(known), keyframe)
        return estimate, self._ids[known[~fit.inliers]]

    def _is_keyframe(self, tracks: Tracks, last: _Keyframe, T_world_camera: np.ndarray, inliers: int) -> bool:
        """Return whether new points are wanted: few are left in view, or the camera has moved on."""
        if inliers < self._settings.keyframe_share * len(tracks.ids):
            return True
        then, now = last.tracks.common(tracks)
        R_now_then = T_world_camera[:3, :3].T @ last.T_world_camera[:3, :3]
        moved = parallax_px(last.tracks.uv[then], tracks.uv[now], R_now_then, self._intrinsics)
        return moved > self._settings.keyframe_px

    def _forget(self, moving: np.ndarray, tracks: Tracks, last: _Keyframe) -> None:
        """Drop points that contradict the pose, and those out of view; the last keyframe's stay, to return to."""
        kept = np.isin(self._ids, tracks.ids) | np.isin(self._ids, last.tracks.ids)
        kept &= ~np.isin(self._ids, moving)
        self._ids, self._world = self._ids[kept], self._world[kept]

    def _add_points(self, tracks: Tracks, depth_m: np.ndarray, T_world_camera: np.ndarray) -> None:
        """Make points of the corners that have none yet and have depth."""
        new = tracks.only(~np.isin(tracks.ids, self._ids))
        depth = depth_at(depth_m, new.uv)
        usable = (depth >= self._settings.min_depth_m) & (depth <= self._settings.max_depth_m)
        points = rays(new.uv[usable], self._intrinsics) * depth[usable, None]
        world = motion.transform(T_world_camera, points)
        self._ids = np.concatenate([self._ids, new.ids[usable]])
        self._world = np.concatenate([self._world, world])


def depth_at(depth_m: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Return the median depth (N,) of the 3x3 pixels about each of `uv` (N, 2); NaN where it has a step or a hole."""
    height, width = depth_m.shape
    u, v = np.rint(uv).astype(int).T
    u, v = np.clip(u, 1, width - 2), np.clip(v, 1, height - 2)
    around = np.stack([depth_m[v + dv, u + du] for dv in (-1, 0, 1) for du in (-1, 0, 1)]).astype(np.float64)
    centre = np.median(around, axis=0)
    with np.errstate(invalid="ignore"):
        flat = np.ptp(around, axis=0) <= MAX_DEPTH_STEP * centre
    return np.where(flat & np.isfinite(centre), centre, np.nan)


def carried(covariance: np.ndarray, T_world_then: np.ndarray, T_world_now: np.ndarray) -> np.ndarray:
    """Return what an earlier pose's covariance (6, 6) makes uncertain in a later pose that was told from it.

    A rotation error dr at `then` moves `now` by dr x (t_now - t_then): J = [[1, -[t_now - t_then]x], [0, 1]].
    """
    x, y, z = T_world_now[:3, 3] - T_world_then[:3, 3]
    J = np.eye(6)
    J[:3, 3:] = [[0, z, -y], [-z, 0, x], [y, -x, 0]]
    return J @ covariance @ J.T
