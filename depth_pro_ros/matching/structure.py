"""Structure from motion over a sequence of one calibrated camera without odometry: poses and points up to scale.

Two images with enough parallax set the unit of length (their distance is 1); every later image is resected
against the points (PnP) and then adds its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.matching import pnp
from depth_pro_ros.matching.landmarks import LandmarkSettings, Triangulator
from depth_pro_ros.matching.tracks import Tracker, Tracks
from depth_pro_ros.matching.two_view import relative_pose
from depth_pro_ros.records import Intrinsics

START_PARALLAX_DEG = 2.5  # of the two images that begin
MIN_COMMON = 60  # tracks that the two share
MAX_STARTS = 4  # pairs that are tried, of which the one that locates most images is kept


@dataclass(frozen=True, eq=False)
class Structure:
    """Poses and points in the first located camera's optical frame, in a unit that is unknown.

    `poses` holds `T_world_camera` (4, 4) for each image, None where it could not be located; `points` (N, 3)
    with `ids` (N,), `uv` (N, 2) and `image` (N,), the image that each was last seen in and where.
    """

    poses: list[np.ndarray | None]
    points: np.ndarray
    ids: np.ndarray
    uv: np.ndarray
    image: np.ndarray


def reconstruct(
    images: Iterable[np.ndarray],
    intrinsics: Intrinsics,
    settings: LandmarkSettings | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Structure:
    """Return what a sequence of undistorted images (H, W) uint8 tells; `note` is told why images are left out.

    Raises TrackingError when no two images have enough parallax to begin.
    """
    settings = replace(settings or LandmarkSettings(), relative_sigma=0.0)
    tracker = Tracker(settings.max_tracks, settings.cell_px)
    sequence = [tracker.update(gray) for gray in images]
    tries = [_build(sequence, start, intrinsics, settings) for start in _starts(sequence, intrinsics)]
    structure, reasons = max(tries, key=lambda found: len(found[0].poses) - len(found[1]))
    for reason in reasons:
        note(reason)
    return structure


def _starts(sequence: list[Tracks], intrinsics: Intrinsics) -> list[tuple[int, Points]]:
    """Return up to MAX_STARTS images whose cameras may be the world, with the points that a later image shares.

    Several, since an essential matrix may have a second, wrong minimum, which shows only when the sequence does not
    go on from it.
    """
    starts: list[tuple[int, Points]] = []
    reason = "there are fewer than two images"
    for first in range(len(sequence)):
        for second in range(first + 1, len(sequence)):
            here, there = sequence[first].common(sequence[second])
            if len(here) < MIN_COMMON or len(starts) == MAX_STARTS:
                break
            try:
                fit = relative_pose(sequence[first].uv[here], sequence[second].uv[there], intrinsics)
            except TrackingError as error:
                reason = str(error)
                continue
            if fit.parallax_deg < START_PARALLAX_DEG:
                reason = f"the widest parallax is {fit.parallax_deg:.1f} degrees, {START_PARALLAX_DEG:g} are needed"
                continue
            seen = sequence[first].only(here[fit.inliers])
            starts.append((first, Points(seen.ids, fit.points_a[fit.inliers], seen.uv, np.full(len(seen.ids), first))))
    if not starts:
        raise TrackingError(f"no two images to begin with: {reason}: record the scene while the camera moves sideways")
    return starts


def _build(
    sequence: list[Tracks], start: tuple[int, Points], intrinsics: Intrinsics, settings: LandmarkSettings
) -> tuple[Structure, list[str]]:
    """Return what comes of one start, and a sentence for each image that could not be located."""
    first, points = start
    poses: list[np.ndarray | None] = [None] * len(sequence)
    reasons = [f"image {index} is left out: it comes before the start" for index in range(first)]
    builder = Builder(intrinsics, settings, points)
    for index in range(first, len(sequence)):
        try:
            poses[index] = builder.add(sequence[index], index)
        except TrackingError as error:
            reasons.append(f"image {index} is left out: {error}")
    return builder.structure(poses), reasons


@dataclass(frozen=True, eq=False)
class Points:
    """Points by track: `ids` (N,), `world` (N, 3), and the `image` (N,) that each was last seen in, at `uv` (N, 2)."""

    ids: np.ndarray
    world: np.ndarray
    uv: np.ndarray
    image: np.ndarray

    def updated(self, newer: Points) -> Points:
        """Return all of both, the newer where a track is in both."""
        old = ~np.isin(self.ids, newer.ids)
        pairs = ((getattr(self, name)[old], getattr(newer, name)) for name in ("ids", "world", "uv", "image"))
        return Points(*(np.concatenate(pair) for pair in pairs))


NO_POINTS = Points(np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 2)), np.empty(0, int))


class Builder:
    """Adds one image after another to poses and points, which begin with `points`."""

    def __init__(self, intrinsics: Intrinsics, settings: LandmarkSettings, points: Points) -> None:
        self._intrinsics = intrinsics
        self._triangulator = Triangulator(intrinsics, settings)
        self._points = points

    def add(self, tracks: Tracks, index: int) -> np.ndarray:
        """Return the pose (4, 4) of an image; raises TrackingError when it cannot be told."""
        _, known, seen = np.intersect1d(self._points.ids, tracks.ids, assume_unique=True, return_indices=True)
        fit = pnp.solve(self._points.world[known], tracks.uv[seen], self._intrinsics)
        landmarks = self._triangulator.add_tracks(tracks, fit.T_world_camera)
        ids, world = self._triangulator.world()
        self._points = self._points.updated(Points(ids, world, landmarks.uv, np.full(len(ids), index)))
        return fit.T_world_camera

    def structure(self, poses: list[np.ndarray | None]) -> Structure:
        """Return everything so far."""
        points = self._points
        return Structure(poses, points.world, points.ids, points.uv, points.image)
