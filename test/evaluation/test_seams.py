"""Seams: the joints are where the encoder joins patches, and only what happens there raises the ratio."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from depth_pro_ros.errors import ImageError
from depth_pro_ros.evaluation import seams
from depth_pro_ros.network import encoder

SIDE = 128  # 4 pixels to a part


@pytest.mark.parametrize("grid", [8, 24])
def test_joints_are_where_merge_changes_from_patch_to_patch(grid):
    joints = set()
    for steps, padding in ((encoder.FINE, grid // 8), (encoder.MIDDLE, grid // 4)):
        patches = torch.arange(steps**2, dtype=torch.float32)[:, None, None].expand(-1, grid**2, 1)
        row = encoder.merge(patches, steps, padding)[0, 0, 0]
        joints |= {seams.PARTS * (int(place) + 1) / len(row) for place in torch.nonzero(row.diff())}
    assert joints == set(seams.JOINTS)


def slope():
    """Return depth that grows by the same factor from column to column and from row to row."""
    return np.exp(0.001 * (np.arange(SIDE) + np.arange(SIDE)[:, None]))


def test_an_even_slope_has_no_seams():
    assert seams.seam_sums(slope()).ratio == pytest.approx(1.0)


def test_a_step_at_a_joint_is_counted_by_hand():
    depth = slope()
    depth[:, 13 * 4 :] *= np.exp(0.01)
    sums = seams.seam_sums(depth)
    # 120 rows and 6 joints of 3 edges (within a quarter of 4 pixels), both ways; the step is on 120 of them.
    assert sums.joint_pairs == 2 * 120 * 18
    assert sums.joint == pytest.approx(2 * 120 * 18 * 0.001 + 120 * 0.01)
    assert sums.ratio == pytest.approx(1 + 0.01 * 120 / (0.001 * 2 * 120 * 18))


def test_a_step_elsewhere_lowers_the_ratio_and_one_at_the_edge_does_nothing():
    elsewhere, edge = slope(), slope()
    elsewhere[10 * 4 :] *= 1.5
    edge[:2] *= 1.5
    assert seams.seam_sums(elsewhere).ratio < 0.9
    assert seams.seam_sums(edge).ratio == pytest.approx(1.0)


def plane_and_box():
    """Return a slanted plane, inverse depth linear, with a box before it in its lower right quarter."""
    truth = 1 / (0.3 + 0.002 * np.arange(SIDE) + 0.001 * np.arange(SIDE)[:, None])
    truth[70:, 70:] = 1.0
    return truth


def test_with_a_truth_only_what_is_not_true_counts_on_planes():
    truth = plane_and_box()
    predicted = truth * slope()
    assert seams.seam_sums(predicted, truth).ratio == pytest.approx(1.0)
    predicted[:, 13 * 4 :] *= 1.01
    sums = seams.seam_sums(predicted, truth)
    assert sums.joint == pytest.approx(0.001 * sums.joint_pairs + 120 * np.log(1.01)) and sums.ratio > 1.2
    spoilt = truth.copy()
    spoilt[60:80, 60:80] *= 3  # at the box's corner, where nothing counts
    planes = seams.planar(truth)
    assert planes[30, 30] and planes[100, 100] and not planes[69:72, 69:72].any()
    assert seams.seam_sums(np.where(planes, truth, spoilt) * slope(), truth).ratio == pytest.approx(1.0)


def test_sums_add_up():
    a, b = seams.SeamSums(1.0, 2, 3.0, 4), seams.SeamSums(5.0, 6, 7.0, 8)
    assert seams.total([a, b]) == seams.SeamSums(6.0, 8, 10.0, 12)
    assert a.ratio == pytest.approx(0.5 / 0.75) and np.isnan(seams.SeamSums(0.0, 0, 0.0, 0).ratio)


def test_bad_predictions_are_refused():
    for depth in (np.zeros((64, 64)), np.ones((8, 8)), np.full((64, 64), np.nan)):
        with pytest.raises(ImageError, match="not positive"):
            seams.seam_sums(depth)
    with pytest.raises(ImageError, match="its size"):
        seams.seam_sums(np.ones((64, 64)), np.ones((32, 32)))


def test_a_wall_is_smooth_and_its_seed_s_own():
    wall = seams.smooth_wall(64, 3)
    assert wall.shape == (64, 64, 3) and wall.dtype == np.uint8
    assert np.array_equal(wall, seams.smooth_wall(64, 3)) and not np.array_equal(wall, seams.smooth_wall(64, 4))
    assert 20 < wall.mean() < 240 and np.abs(np.diff(wall.astype(int), axis=1)).mean() < 4
