"""Corners followed from image to image: pyramidal Lucas-Kanade with a check forth and back (KLT).

Corners are Shi and Tomasi's (Good Features to Track, CVPR 1994), spread over the image by buckets and only where
the texture is stronger than noise, so that a blank wall gives none rather than bad ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError, ImageError

CORNER_WINDOW_PX = 5
LEVELS = 4  # of the pyramid above the image itself: motion up to about 100 px
MIN_EIGENVALUE = 4e-4  # of cv2.cornerMinEigenVal on 8 bits: contrast of about 8 grey levels
MAX_BACK_PX = 0.7  # between a corner and itself after the way forth and back
MIN_TRACK_QUALITY = 1e-4  # of calcOpticalFlowPyrLK, below which its normal matrix is taken for singular
BORDER_PX = 6
REFILL_BELOW = 0.85  # new corners are searched when fewer than this share is left
_AHEAD = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02)
_BACK = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.05)  # only to be compared with MAX_BACK_PX


@dataclass(frozen=True, eq=False)
class Tracks:
    """Corners in one image: `ids` (N,) int64, increasing and never used again; `uv` (N, 2) float64 pixels."""

    ids: np.ndarray
    uv: np.ndarray

    def common(self, other: Tracks) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices here and in `other` of the corners that both have."""
        there, known = other.find(self.ids)
        return np.flatnonzero(known), there[known]

    def find(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the index (N,) here of each of `ids` (N,) int64, and whether it is here (N,) bool at all."""
        if not len(self.ids):
            return np.zeros(len(ids), np.intp), np.zeros(len(ids), bool)
        index = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return index, self.ids[index] == ids

    def only(self, keep: np.ndarray) -> Tracks:
        """Return the tracks that the mask (N,) bool or the indices select."""
        return Tracks(self.ids[keep], self.uv[keep])


NO_TRACKS = Tracks(np.empty(0, np.int64), np.empty((0, 2)))


class Tracker:
    """Follows up to `max_tracks` corners; `cell_px` is the side of a bucket, `window_px` that of the patch."""

    def __init__(self, max_tracks: int = 400, cell_px: int = 40, window_px: int = 15) -> None:
        if max_tracks < 1 or cell_px < 4 or window_px < 5:
            raise ConfigurationError(
                f"a tracker of {max_tracks} tracks, cells of {cell_px} px, windows of {window_px} px; "
                "it needs at least 1, 4 and 5"
            )
        self._max_tracks, self._cell_px, self._window = max_tracks, cell_px, (window_px, window_px)
        self._next_id = 0
        self._gray: np.ndarray | None = None
        self._tracks = NO_TRACKS

    def update(self, gray: np.ndarray) -> Tracks:
        """Return the corners of `gray` (H, W) uint8: those followed from the image before, then new ones.

        Raises ImageError for another kind of array, or another size than before.
        """
        self._check(gray)
        followed = self._follow(self._gray, gray) if self._gray is not None and len(self._tracks.ids) else NO_TRACKS
        if len(followed.ids) < REFILL_BELOW * self._max_tracks:
            followed = self._refill(gray, followed)
        self._gray, self._tracks = gray.copy(), followed
        return followed

    def rewind(self, gray: np.ndarray, tracks: Tracks) -> None:
        """Go on from an earlier image and its tracks, as after losing the way."""
        self._check(gray)
        self._gray, self._tracks = gray.copy(), tracks

    def _check(self, gray: np.ndarray) -> None:
        if gray.ndim != 2 or gray.dtype != np.uint8:
            raise ImageError(f"an image of shape {gray.shape} and type {gray.dtype}; tracking takes (H, W) uint8 grey")
        if self._gray is not None and gray.shape != self._gray.shape:
            raise ImageError(
                f"an image of {gray.shape[1]}x{gray.shape[0]} after ones of "
                f"{self._gray.shape[1]}x{self._gray.shape[0]}: make a new tracker when the camera's size changes"
            )

    def _follow(self, before: np.ndarray, gray: np.ndarray) -> Tracks:
        """Return the tracks of `before` that reach `gray` and whose way back ends where it began."""
        start = self._tracks.uv.astype(np.float32)
        ahead, ahead_found = self._flow(before, gray, start, _AHEAD)
        back, back_found = self._flow(gray, before, ahead, _BACK)
        height, width = gray.shape
        inside = (ahead >= BORDER_PX).all(axis=1) & (ahead < (width - BORDER_PX, height - BORDER_PX)).all(axis=1)
        returned = np.linalg.norm(back - start, axis=1) <= MAX_BACK_PX
        keep = ahead_found & back_found & inside & returned
        return Tracks(self._tracks.ids[keep], ahead[keep].astype(np.float64))

    def _flow(
        self, before: np.ndarray, after: np.ndarray, points: np.ndarray, termination: tuple[int, int, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where `points` (N, 2) float32 of `before` are in `after`, and which were found.

        The way back is searched without a hint: from where a corner began, even a false match finds back.
        """
        moved, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            before, after, points, None, None, None, self._window, LEVELS, termination, 0, MIN_TRACK_QUALITY
        )
        return moved.reshape(-1, 2), found.ravel().astype(bool)

    def _refill(self, gray: np.ndarray, tracks: Tracks) -> Tracks:
        """Return `tracks` with new corners, the strongest of each bucket that has room."""
        corners, strength = self._corners(gray, tracks.uv)
        order = np.argsort(-strength, kind="stable")
        corners = corners[order]
        columns = -(-gray.shape[1] // self._cell_px)
        rows = -(-gray.shape[0] // self._cell_px)
        taken = np.bincount(self._cells(tracks.uv, columns), minlength=rows * columns)
        room = max(1, -(-self._max_tracks // (rows * columns))) - taken
        cells = self._cells(corners, columns)
        fits = _rank_within(cells) < room[cells]
        new = corners[fits][: max(0, self._max_tracks - len(tracks.ids))]
        ids = self._next_id + np.arange(len(new), dtype=np.int64)
        self._next_id += len(new)
        return Tracks(np.concatenate([tracks.ids, ids]), np.concatenate([tracks.uv, new]))

    def _corners(self, gray: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the local maxima (N, 2) float64 of the corner measure away from `taken`, and their strength."""
        measure = cv2.cornerMinEigenVal(gray, CORNER_WINDOW_PX)
        apart = max(3, self._cell_px // 3) | 1
        peak = measure >= cv2.dilate(measure, np.ones((apart, apart), np.uint8))
        free = np.ones(gray.shape, np.uint8)
        u, v = np.rint(taken).astype(int).T
        free[v, u] = 0
        peak &= cv2.erode(free, np.ones((apart, apart), np.uint8)).astype(bool)
        peak &= measure > MIN_EIGENVALUE
        peak[:BORDER_PX] = peak[-BORDER_PX:] = peak[:, :BORDER_PX] = peak[:, -BORDER_PX:] = False
        v, u = np.nonzero(peak)
        return np.stack([u, v], axis=1).astype(np.float64), measure[v, u]

    def _cells(self, uv: np.ndarray, columns: int) -> np.ndarray:
        """Return the bucket (N,) of each corner, row by row."""
        u, v = (np.rint(uv).astype(int) // self._cell_px).T
        return v * columns + u


def _rank_within(groups: np.ndarray) -> np.ndarray:
    """Return for each entry how many of the same group came before it: [3, 5, 3, 3] -> [0, 0, 1, 2]."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.searchsorted(ordered, ordered)
    rank = np.empty(len(groups), int)
    rank[order] = np.arange(len(groups)) - first
    return rank
