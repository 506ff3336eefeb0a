"""Landmarks with metric depth from one moving camera whose poses are known (odometry, TF, motion capture)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from depth_pro_ros.errors import CalibrationError, TrackingError
from depth_pro_ros.geometry import motion, pinhole
from depth_pro_ros.geometry.triangulation import Triangulation, triangulate
from depth_pro_ros.matching import pnp
from depth_pro_ros.matching.tracks import NO_TRACKS, Tracker, Tracks
from depth_pro_ros.matching.window import View, Window
from depth_pro_ros.records import Intrinsics, MetricSamples

SOURCE = "landmarks"
MIN_TEXTURE = 20  # tracks, below which an image says nothing
MAX_DISAGREEMENT_DEG = 2.0  # between landmarks and where the given pose puts them (median): else it jumped or stopped


@dataclass(frozen=True)
class LandmarkSettings:
    """What counts as a landmark, and how corners are followed; see landmark_node's parameters for the meanings."""

    max_tracks: int = 1000
    cell_px: int = 24
    keyframes: int = 8
    keyframe_px: float = 3.0
    min_parallax_deg: float = 1.75
    min_views: int = 3
    max_reprojection_px: float = 1.2
    relative_sigma: float = 0.015


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Landmarks seen in the newest image.

    `points_camera` (N, 3) float64 metres in its optical frame, `sigma_m` (N,) the standard deviation of their
    depth, `uv` (N, 2) where they are seen, `ids` (N,) int64 the same as in images before. `state` says in words
    why there are none; it is empty when there are some. `tracks` is how many corners were followed.
    """

    points_camera: np.ndarray
    sigma_m: np.ndarray
    uv: np.ndarray
    ids: np.ndarray
    tracks: int
    state: str = ""


NO_LANDMARKS = Landmarks(np.empty((0, 3)), np.empty(0), NO_TRACKS.uv, NO_TRACKS.ids, 0, "no image has come yet")


class Triangulator:
    """Follows corners through images of known pose and triangulates them in each newest one."""

    def __init__(self, intrinsics: Intrinsics, settings: LandmarkSettings | None = None) -> None:
        """Prepare for undistorted images of `intrinsics`; raises CalibrationError for those of no camera."""
        self._intrinsics = pinhole.check(intrinsics)
        self._settings = settings or LandmarkSettings()
        self._tracker = Tracker(self._settings.max_tracks, self._settings.cell_px)
        self._window = Window(intrinsics, self._settings.keyframes, self._settings.keyframe_px)
        self._newest = NO_LANDMARKS
        self._T_world_camera = np.eye(4)
        self._trusted = self.world()
        self.noise = Noise()

    def add(self, gray: np.ndarray, T_world_camera: np.ndarray) -> Landmarks:
        """Return the landmarks in `gray` (H, W) uint8, undistorted, taken at `T_world_camera` (4, 4), metres.

        Raises ImageError for another kind or size of image, and as `add_tracks` does.
        """
        size = (self._intrinsics.width, self._intrinsics.height)
        if gray.shape != size[::-1]:
            raise CalibrationError(
                f"an image of shape {gray.shape} for intrinsics of {size[0]}x{size[1]}: resize the intrinsics with it"
            )
        return self.add_tracks(self._tracker.update(gray), T_world_camera)

    def add_tracks(self, tracks: Tracks, T_world_camera: np.ndarray) -> Landmarks:
        """Return the landmarks among `tracks`, the newest image's.

        Raises TrackingError when the pose is no rigid motion, and when it contradicts the image: then the next
        landmarks begin with this image.
        """
        T = _rigid(T_world_camera)
        self._compare(tracks, T)
        self._window.add(View(tracks, T))
        uv, T_camera_newest = self._window.observations(tracks.ids)
        fit = triangulate(uv, T_camera_newest, self._intrinsics)
        limits = self._settings
        good = fit.good(limits.max_reprojection_px, limits.min_parallax_deg, limits.min_views)
        self.noise.add_residuals(fit.squared_error_px2[good], fit.views[good])
        sigma_m = self._sigma(fit, good)
        state = "" if good.any() else self._reason(fit, tracks)
        kept = tracks.only(good)
        self._newest = Landmarks(fit.points_m[good], sigma_m, kept.uv, kept.ids, len(tracks.ids), state)
        self._T_world_camera = T
        if len(kept.ids) >= MIN_TEXTURE:
            self._trusted = self.world()
        return self._newest

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ids (N,) and points (N, 3) in the world's frame of the newest landmarks."""
        return self._newest.ids, motion.transform(self._T_world_camera, self._newest.points_camera)

    def samples(self) -> MetricSamples:
        """Return the newest landmarks as metric samples of their image; empty when there are none."""
        newest, size = self._newest, (self._intrinsics.width, self._intrinsics.height)
        u, v = newest.uv.T
        return MetricSamples(u, v, newest.points_camera[:, 2], newest.sigma_m, *size, SOURCE)

    def _sigma(self, fit: Triangulation, good: np.ndarray) -> np.ndarray:
        """Return the depth's standard deviation (N,) in metres of the points that `good` selects.

        Depth is 1 / rho, so sigma_z = z^2 sigma_rho; the noise of a pixel is the tracker's and, z metres away,
        that of the poses. What no residual can show, a trajectory too long or too short, is relative.
        """
        depth = fit.points_m[good, 2]
        noise_px = self.noise.pixels(depth, self._intrinsics.fx)
        return depth * np.hypot(depth * fit.inverse_depth_sigma[good] * noise_px, self._settings.relative_sigma)

    def _compare(self, tracks: Tracks, T: np.ndarray) -> None:
        """Measure how the given pose differs from the one at which the last landmarks would be seen so."""
        ids, world = self._trusted
        index, found = tracks.find(ids)
        known, seen = np.flatnonzero(found), index[found]
        if len(known) < MIN_TEXTURE:
            return
        try:
            fit = pnp.solve(world[known], tracks.uv[seen], self._intrinsics)
        except TrackingError:
            return  # a pose cannot be judged by an image that fixes none; the landmarks' own gates remain
        difference = motion.compose(motion.inverse(T), fit.T_world_camera)
        expected = pinhole.project(motion.transform(motion.inverse(T), world[known]), self._intrinsics)
        away_px = np.linalg.norm(tracks.uv[seen] - expected, axis=1)[fit.inliers]
        away_deg = np.degrees(np.median(np.where(np.isfinite(away_px), away_px, np.inf)) / self._intrinsics.fx)
        if away_deg <= MAX_DISAGREEMENT_DEG:
            self.noise.add_pose(difference)
            return
        self._window.clear()
        self._window.add(View(tracks, T))
        self._newest, self._T_world_camera = NO_LANDMARKS, T
        self._trusted = self.world()
        angle_deg = np.degrees(np.linalg.norm(motion.vector_from_rotation(difference[:3, :3])))
        raise TrackingError(
            f"the given pose is {np.linalg.norm(difference[:3, 3]):.2f} m and {angle_deg:.1f} degrees from where the "
            "image was taken: it jumped, or it stands still while the camera moves; landmarks begin anew, check the "
            "odometry, its stamps and the camera's mounting"
        )

    def _reason(self, fit: Triangulation, tracks: Tracks) -> str:
        """Return why there is no landmark."""
        limits = self._settings
        if len(tracks.ids) < MIN_TEXTURE:
            return f"{len(tracks.ids)} corners in view, too few: the image lacks texture, light or focus"
        shared = fit.views >= 2
        if not shared.any():
            return "no corner has been followed from one image to another yet"
        widest = float(np.percentile(fit.parallax_deg[shared], 90))
        if widest < limits.min_parallax_deg:
            return (
                f"a parallax of {widest:.2f} degrees, {limits.min_parallax_deg:g} are needed: the camera stands still "
                "or only turns; move it sideways"
            )
        if not (fit.views >= limits.min_views).any():
            return f"no corner has been followed through {limits.min_views} images yet"
        return (
            f"no corner agrees with the poses within {limits.max_reprojection_px:g} px: check the odometry, its stamps "
            "and the camera's mounting"
        )


@dataclass
class Noise:
    """The noise of tracks and poses, measured as images come; the values it begins with count as few images.

    Poses are judged by resection: the newest landmarks and their pixels give a pose, and what lies between it
    and the given one is the poses' noise.
    """

    squared_px2: float = 20.0
    freedom: float = 20.0
    moves: deque[np.ndarray] = field(default_factory=lambda: deque([np.full(3, 1.5e-3)], maxlen=40))
    turns: deque[np.ndarray] = field(default_factory=lambda: deque([np.full(3, 1e-3)], maxlen=40))

    _FORGET = 0.95
    _NORMAL = 1.4826  # standard deviation over median absolute deviation of a normal distribution

    def add_residuals(self, squared_error_px2: np.ndarray, views: np.ndarray) -> None:
        """Take the residuals of points (N,), each of which used up three degrees of freedom."""
        self.squared_px2 = self._FORGET * self.squared_px2 + float(squared_error_px2.sum())
        self.freedom = self._FORGET * self.freedom + float((2 * views - 3).sum())

    def add_pose(self, difference: np.ndarray) -> None:
        """Take the motion (4, 4) between a given pose and the one that the image tells."""
        self.moves.append(np.abs(difference[:3, 3]))
        self.turns.append(np.abs(motion.vector_from_rotation(difference[:3, :3])))

    @property
    def track_px(self) -> float:
        """Return the standard deviation of a track's pixel, in each coordinate."""
        return float(np.sqrt(self.squared_px2 / self.freedom))

    @property
    def position_m(self) -> float:
        """Return the standard deviation of a pose's position, in each axis."""
        return float(self._NORMAL * np.median(self.moves))

    @property
    def rotation_rad(self) -> float:
        """Return the standard deviation of a pose's rotation, about each axis."""
        return float(self._NORMAL * np.median(self.turns))

    def pixels(self, depth_m: np.ndarray, focal_px: float) -> np.ndarray:
        """Return the standard deviation (N,) in pixels of an observation of points at `depth_m` (N,)."""
        poses = np.hypot(self.position_m / depth_m, self.rotation_rad) * focal_px
        return np.hypot(self.track_px, poses)


def _rigid(T: np.ndarray) -> np.ndarray:
    """Return the pose (4, 4) as float64, or raise TrackingError."""
    T = np.asarray(T, np.float64)
    rotation = T[:3, :3] if T.shape == (4, 4) else np.zeros((3, 3))
    if not np.isfinite(T).all() or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4):
        raise TrackingError(
            f"the pose {T.tolist()} is not a rigid motion (4, 4): the odometry sends an unset or broken orientation"
        )
    return T
