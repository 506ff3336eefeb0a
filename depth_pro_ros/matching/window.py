"""The images that a landmark was seen in: keyframes by parallax, and the newest image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_pro_ros.matching.tracks import Tracks
from depth_pro_ros.records import Intrinsics

MIN_SHARED = 0.5  # of the tracks: a keyframe that shares fewer with the newest image needs a successor


@dataclass(frozen=True, eq=False)
class View:
    """The tracks of one image and its pose, camera-to-world."""

    tracks: Tracks
    T_world_camera: np.ndarray


class Window:
    """Up to `length` keyframes and the newest image, in order.

    An image stays as keyframe when, against the keyframe before, its tracks moved by `keyframe_px` more than
    the rotation explains (median), or when it shares too few tracks with it.
    """

    def __init__(self, intrinsics: Intrinsics, length: int, keyframe_px: float) -> None:
        self._intrinsics = intrinsics
        self._length = length
        self._keyframe_px = keyframe_px
        self.views: list[View] = []
        self.newest_is_keyframe = False

    def add(self, view: View) -> bool:
        """Take the newest image; return whether it is a keyframe."""
        if self.views and not self.newest_is_keyframe:
            self.views.pop()
        self.newest_is_keyframe = not self.views or self._is_keyframe(self.views[-1], view)
        self.views = [*self.views, view][-self._length - 1 :]
        return self.newest_is_keyframe

    def clear(self) -> None:
        """Forget every image."""
        self.views, self.newest_is_keyframe = [], False

    def observations(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where each track `ids` (N,) was in each image, (N, M, 2) pixels with NaN, and the M poses.

        The poses (M, 4, 4) map points of the newest camera into each camera.
        """
        uv = np.full((len(ids), len(self.views), 2), np.nan)
        for index, view in enumerate(self.views):
            there, known = view.tracks.find(ids)
            uv[known, index] = view.tracks.uv[there[known]]
        newest = self.views[-1].T_world_camera
        return uv, np.stack([np.linalg.solve(view.T_world_camera, newest) for view in self.views])

    def _is_keyframe(self, last: View, view: View) -> bool:
        here, there = last.tracks.common(view.tracks)
        if len(here) < MIN_SHARED * max(len(last.tracks.ids), 1):
            return True
        R_new_last = view.T_world_camera[:3, :3].T @ last.T_world_camera[:3, :3]
        moved = parallax_px(last.tracks.uv[here], view.tracks.uv[there], R_new_last, self._intrinsics)
        return moved > self._keyframe_px


def parallax_px(uv_a: np.ndarray, uv_b: np.ndarray, R_b_a: np.ndarray, intrinsics: Intrinsics) -> float:
    """Return the median motion in pixels from (N, 2) to (N, 2) that the rotation alone does not explain."""
    if len(uv_a) == 0:
        return 0.0
    turned = rays(uv_a, intrinsics) @ R_b_a.T
    expected = turned[:, :2] / turned[:, 2:] * (intrinsics.fx, intrinsics.fy) + (intrinsics.cx, intrinsics.cy)
    return float(np.median(np.linalg.norm(uv_b - expected, axis=1)))


def rays(uv: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Return K^-1 (u, v, 1), (N, 3), of pixels (N, 2)."""
    image = (uv - (intrinsics.cx, intrinsics.cy)) / (intrinsics.fx, intrinsics.fy)
    return np.concatenate([image, np.ones((len(uv), 1))], axis=1)
