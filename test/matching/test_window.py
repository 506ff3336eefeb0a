"""Keyframes by parallax, and the observations that a window holds."""

import numpy as np
from matching.panels import CAMERA, pose

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.matching.tracks import Tracks
from depth_pro_ros.matching.window import View, Window, parallax_px

POINTS = np.random.default_rng(0).uniform((-1, -0.8, 3), (1, 0.8, 5), (50, 3))


def seen(T, first=0):
    """Return the view of POINTS[first:] from T."""
    inside = (POINTS[first:] - T[:3, 3]) @ T[:3, :3]
    return View(Tracks(np.arange(first, 50), pinhole.project(inside, CAMERA)), T)


def test_a_sideways_step_makes_a_keyframe_and_a_turn_does_not():
    window = Window(CAMERA, 5, 5.0)
    assert window.add(seen(pose()))
    assert not window.add(seen(pose(turn=(0, 8, 0))))
    assert not window.add(seen(pose(x=0.02)))  # 260 px * 0.02 m / 4 m = 1.3 px
    assert window.add(seen(pose(x=0.2)))  # 13 px
    assert len(window.views) == 2


def test_few_shared_tracks_make_a_keyframe():
    window = Window(CAMERA, 5, 5.0)
    window.add(seen(pose()))
    assert not window.add(seen(pose(), first=20))
    assert window.add(seen(pose(), first=30))


def test_observations_and_poses():
    window = Window(CAMERA, 2, 1.0)
    for x in (0.0, 0.3, 0.6, 0.9):
        window.add(seen(pose(x=x, turn=(0, 5 * x, 0)), first=round(x * 10)))
    uv, T = window.observations(np.array([4, 9, 60]))
    assert uv.shape == (3, 3, 2)
    assert np.isfinite(uv[..., 0]).tolist() == [[True, False, False], [True, True, True], [False] * 3]
    newest = window.views[-1].T_world_camera
    for index, view in enumerate(window.views):
        assert np.allclose(view.T_world_camera @ T[index], newest)


def test_parallax_of_no_tracks_is_none():
    assert parallax_px(np.empty((0, 2)), np.empty((0, 2)), np.eye(3), CAMERA) == 0.0
