"""Foreground and layers of made-up depths, and of a real motorcycle before a wall."""

import json

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.outputs.layers import separate


def disc(depth, u, v, radius, depth_m):
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    inside = (columns - u) ** 2 + (rows - v) ** 2 < radius**2
    depth[inside] = depth_m
    return inside


@pytest.fixture
def scene():
    """Return depth of two discs before a slanted wall under a sky, and the discs' masks."""
    depth = np.tile(np.linspace(8, 10, 200, dtype=np.float32), (150, 1))
    depth[:30] = np.inf
    near = disc(depth, 60, 80, 30, 2.0)
    middle = disc(depth, 140, 90, 25, 4.0)
    return depth, near, middle


def test_the_foreground_ends_at_jumps(scene):
    depth, near, middle = scene
    layers = separate(depth)
    assert (layers.foreground == (near | middle)).all() or (layers.foreground == near).all()
    assert layers.on_jumps == 1.0


def test_layers_go_from_near_to_far(scene):
    depth, near, middle = scene
    layers = separate(depth)
    wall, sky = np.isfinite(depth) & ~near & ~middle, np.isinf(depth)
    assert [set(layers.labels[part]) for part in (near, middle, wall, sky)] == [{1}, {2}, {3}, {4}]
    assert 2 < layers.limits_m[0] < 4 < layers.limits_m[1] < 8 and 10 < layers.limits_m[2]


def test_the_foreground_can_be_set(scene):
    depth, near, middle = scene
    assert (separate(depth, split_m=3.0).foreground == near).all()
    assert (separate(depth, split_m=6.0).foreground == (near | middle)).all()
    assert separate(depth, split_m=6.0).split_m == 6.0
    assert not separate(depth, split_m=0.5).foreground.any()
    assert separate(depth, max_layers=2).labels.max() == 2


def test_a_surface_is_not_cut_where_an_outline_can_be(scene):
    """A floor from 1.5 to 12 m holds most pixels; Otsu alone would cut through it, the jumps cut round the disc."""
    floor = 1.0 / np.linspace(1 / 12, 1 / 4.2, 150, dtype=np.float32)
    depth = np.repeat(floor[:, None], 200, axis=1)
    near = disc(depth, 100, 75, 40, 2.0)
    layers = separate(depth)
    assert (layers.foreground == near).all() and layers.on_jumps > 0.95


def test_without_a_jump_otsu_decides():
    depth = 1.0 / np.repeat(np.linspace(0.1, 1.0, 150, dtype=np.float32)[:, None], 100, axis=1)
    layers = separate(depth)
    assert layers.on_jumps == 0.0
    assert layers.foreground.mean() == pytest.approx(0.5, abs=0.02)


def test_islands_and_holes_are_filled_and_large_unknown_stays(scene):
    depth, near, _ = scene
    depth[80, 60] = 9.0  # a far pixel in the near disc
    depth[100, 5] = 2.0  # a near pixel on the wall
    depth[82:84, 60:62] = np.nan
    depth[120:, 150:] = np.nan
    layers = separate(depth, split_m=3.0)
    expected = near.copy()
    expected[120:, 150:] = False
    assert (layers.foreground == expected).all()
    assert (layers.labels[120:, 150:] == 0).all()


@pytest.mark.parametrize("depth", [np.full((20, 20), np.nan), np.full((20, 20), 3.0), np.zeros((20, 20))])
def test_a_depth_without_anything_to_separate_is_refused(depth):
    with pytest.raises(ImageError, match="no foreground"):
        separate(depth.astype(np.float32))


def test_settings_that_make_no_sense_are_refused(scene):
    with pytest.raises(ConfigurationError, match="at least 2"):
        separate(scene[0], max_layers=1)
    with pytest.raises(ConfigurationError, match="positive"):
        separate(scene[0], split_m=-1.0)


def test_a_motorcycle_before_a_wall(data_dir):
    """By the ground truth's own depth the machine stands between 2.0 and 3.0 m, the shelves behind begin at 3.3 m."""
    folder = data_dir / "stereo_motorcycle"
    calibration = json.loads((folder / "calib.json").read_text())
    stored = cv2.imread(str(folder / "disp_left_x256.png"), cv2.IMREAD_UNCHANGED)
    depth = np.float32(calibration["fx"] * calibration["baseline_m"]) / (stored / 256 + calibration["doffs_px"])
    depth = np.where(stored > 0, depth, np.nan).astype(np.float32)
    layers = separate(depth)
    print(f"motorcycle: foreground up to {layers.split_m:.2f} m, {layers.on_jumps:.0%} of its outline on jumps")
    assert 2.9 < layers.split_m < 3.3 and layers.on_jumps > 0.85
    machine, shelves = [(390, 100), (380, 480), (235, 330)], [(100, 250), (60, 550), (150, 650)]
    assert all(layers.foreground[at] for at in machine) and not any(layers.foreground[at] for at in shelves)
