"""The voxel map against numbers worked out by hand and a dictionary as the reference."""

import tracemalloc

import numpy as np
import pytest

from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs.voxels import BYTES_PER_VOXEL, VoxelMap, pack, unpack


def add(voxels, points, sigma=0.1, rgb=None):
    points = np.array(points, float).reshape(-1, 3)
    colours = None if rgb is None else np.tile(np.array(rgb, np.uint8), (len(points), 1))
    voxels.add(points, np.full(len(points), sigma), colours)


def test_keys_pack_and_sort_as_indices():
    rng = np.random.default_rng(0)
    index = rng.integers(-(2**20), 2**20, (1000, 3))
    index[:2] = [[-(2**20)] * 3, [2**20 - 1] * 3]
    keys = pack(index)
    np.testing.assert_array_equal(unpack(keys), index)
    np.testing.assert_array_equal(np.argsort(keys), np.lexsort(index.T[::-1]))
    with pytest.raises(OutputError, match="begin a new map"):
        pack(np.array([[0, 2**20, 0]]))


def test_points_of_one_voxel_fuse_by_their_sigmas():
    """0.02 with sigma 0.1 and 0.08 with sigma 0.2 weigh 4 to 1: (4 * 0.02 + 0.08) / 5 = 0.032; so do colours."""
    voxels = VoxelMap(0.1, 100)
    add(voxels, [0.02, 0.02, -0.03], 0.1, (200, 100, 0))
    add(voxels, [0.08, 0.02, -0.03], 0.2, (100, 100, 250))
    points, rgb = voxels.solid()
    np.testing.assert_allclose(points, [[0.032, 0.02, -0.03]], atol=1e-6)
    assert rgb.tolist() == [[180, 100, 50]]
    assert voxels.evidence.tolist() == [2.0]


def test_many_points_of_one_frame_are_one_observation():
    """100 points at 0.02 in the first frame weigh no more than one at 0.08 in the second."""
    voxels = VoxelMap(0.1, 100)
    add(voxels, np.tile([0.02, 0.05, 0.05], (100, 1)))
    add(voxels, [0.08, 0.05, 0.05])
    np.testing.assert_allclose(voxels.points_m, [[0.05, 0.05, 0.05]], atol=1e-6)


def test_many_frames_against_a_dictionary():
    rng = np.random.default_rng(1)
    voxels, reference = VoxelMap(0.25, 10_000), {}
    for _ in range(8):
        points, sigma = rng.normal(0, 1.5, (400, 3)), rng.uniform(0.05, 0.5, 400)
        voxels.add(points, sigma)
        frame = {}
        for point, s in zip(points, sigma, strict=True):
            frame.setdefault(tuple(np.floor(point / 0.25).astype(int)), []).append((point, s**-2))
        for index, seen in frame.items():
            weights = np.array([weight for _, weight in seen])
            mean = np.average([point for point, _ in seen], axis=0, weights=weights)
            reference.setdefault(index, []).append((mean, weights.mean()))
    assert len(voxels) == len(reference)
    for point, evidence in zip(voxels.points_m, voxels.evidence, strict=True):
        seen = reference[tuple(np.floor(point / 0.25).astype(int))]
        expected = np.average([mean for mean, _ in seen], axis=0, weights=[weight for _, weight in seen])
        np.testing.assert_allclose(point, expected, atol=1e-5)
        assert evidence == len(seen)


def test_carving_takes_evidence_and_then_the_voxel():
    voxels = VoxelMap(0.1, 100, most_evidence=3.0)
    for _ in range(5):
        add(voxels, [[0.05, 0, 0], [1.05, 0, 0]])
    assert voxels.evidence.tolist() == [3.0, 3.0]
    gone = [voxels.carve(np.array([False, True])) for _ in range(2)]
    assert gone == [0, 0] and voxels.evidence.tolist() == [3.0, 1.0]
    assert len(voxels.solid(2.0)[0]) == 1
    assert voxels.carve(np.array([False, True])) == 1 and len(voxels) == 1


def test_the_window_slides():
    voxels = VoxelMap(0.1, 1000)
    add(voxels, [[x + 0.05, 0.05, 0.05] for x in range(10)])
    assert voxels.keep_within(np.array([8.0, 0, 0]), 3.0) == 5
    np.testing.assert_allclose(voxels.points_m[:, 0].min(), 5.05)


def test_beyond_the_bound_the_longest_unseen_and_farthest_go():
    voxels = VoxelMap(0.1, 10)
    add(voxels, [[x + 0.05, 0.05, 0.05] for x in range(6)])
    add(voxels, [[x + 0.05, 5.05, 0.05] for x in range(6)])
    assert voxels.keep_bound(np.zeros(3)) == 3  # 9 is 95 % of 10
    left = voxels.points_m
    assert (left[:, 1] > 5).sum() == 6
    np.testing.assert_allclose(left[left[:, 1] < 5, 0], [0.05, 1.05, 2.05], atol=1e-6)


def test_memory_is_bounded_while_points_never_end():
    """A flight of 60 frames over ever new ground: the map stays within its bound, and the peak within four times it."""
    rng = np.random.default_rng(2)
    bound = 20_000
    voxels = VoxelMap(0.1, bound)
    tracemalloc.start()
    for frame in range(60):
        voxels.add(rng.uniform(0, 10, (5000, 3)) + [10.0 * frame, 0, 0], np.full(5000, 0.1))
        voxels.keep_bound(np.array([10.0 * frame, 5, 5]))
        assert len(voxels) <= bound and voxels.nbytes == len(voxels) * BYTES_PER_VOXEL
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{bound} voxels: {voxels.nbytes / 1e6:.2f} MB, peak {peak / 1e6:.2f} MB")
    assert BYTES_PER_VOXEL == 44 and peak < 4 * bound * BYTES_PER_VOXEL


def test_an_empty_frame_changes_nothing():
    voxels = VoxelMap(0.1, 10)
    add(voxels, np.empty((0, 3)))
    add(voxels, [0.05, 0.05, 0.05])
    add(voxels, np.empty((0, 3)))
    assert len(voxels) == 1 and not voxels.seen_now.any()
    voxels.clear()
    assert len(voxels) == 0 and voxels.solid()[0].shape == (0, 3)


def test_far_from_the_origin_a_voxel_keeps_its_precision():
    voxels = VoxelMap(0.05, 10)
    add(voxels, [40_000.012, -3.0, 7.5])
    np.testing.assert_allclose(voxels.points_m, [[40_000.012, -3.0, 7.5]], atol=1e-5)
