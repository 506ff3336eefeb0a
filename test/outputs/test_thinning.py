"""Voxel means and the nearest points, against numbers by hand and a dictionary as the reference."""

from collections import defaultdict

import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.outputs.thinning import REACH, nearest, voxel_means


def test_points_of_one_voxel_become_their_mean():
    """Of 0.5 m: 0.1 and 0.3 share a voxel, -0.1 lies in the one before, 0.5 in the one behind."""
    points = np.array([[0.1, 0.1, 1.2], [0.3, 0.2, 1.4], [-0.1, 0.1, 1.2], [0.5, 0.1, 1.2]], np.float32)
    rgb = np.array([[10, 0, 255], [21, 0, 255], [1, 2, 3], [4, 5, 6]], np.uint8)
    means, colours = voxel_means(points, 0.5, rgb)
    np.testing.assert_allclose(means, [[-0.1, 0.1, 1.2], [0.2, 0.15, 1.3], [0.5, 0.1, 1.2]], rtol=1e-6)
    assert means.dtype == np.float32 and colours.dtype == np.uint8
    assert colours.tolist() == [[1, 2, 3], [16, 0, 255], [4, 5, 6]]


def test_against_a_dictionary():
    rng = np.random.default_rng(1)
    points = rng.normal(0, 2.0, (3000, 3)).astype(np.float32)
    voxels = defaultdict(list)
    for point in points:
        voxels[tuple(np.floor(point / np.float32(0.25)).astype(int))].append(point.astype(float))
    expected = np.array([np.mean(voxels[index], axis=0) for index in sorted(voxels)])
    means, colours = voxel_means(points, 0.25)
    assert colours is None and len(means) < len(points)
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-6)


def test_nothing_stays_nothing():
    means, colours = voxel_means(np.empty((0, 3), np.float32), 0.1, np.empty((0, 3), np.uint8))
    assert means.shape == colours.shape == (0, 3) and len(nearest(means, 5)) == 0


def test_a_size_that_does_not_fit_the_points():
    far = np.array([[0.0, 0.0, 1000.0]], np.float32)
    assert len(voxel_means(far, 1000 / REACH * 1.01)[0]) == 1
    for size in (1000 / REACH * 0.99, 0.0, -1.0, np.nan):
        with pytest.raises(ConfigurationError, match="larger voxels"):
            voxel_means(far, size)


def test_the_nearest_are_kept_in_their_order():
    points = np.array([[0, 0, 5], [3, 0, 1], [0, 0, 2], [0, -1, 1], [9, 9, 1]], np.float32)
    assert nearest(points, 3).tolist() == [1, 2, 3]
    assert nearest(points, 5).tolist() == nearest(points, 50).tolist() == [0, 1, 2, 3, 4]
