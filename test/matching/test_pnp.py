"""Resection: exact poses, covariance against the scatter of noisy ones, and points that fix nothing."""

import numpy as np
import pytest
from matching.panels import CAMERA, pose
from scipy.spatial.transform import Rotation

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.matching import pnp

TRUE = pose(0.4, -0.2, 0.3, (4, -8, 3))


def seen(count=150, seed=0):
    """Return points in the world (N, 3) and their pixels from TRUE, (N, 2)."""
    random = np.random.default_rng(seed)
    z = random.uniform(1.5, 6, count)
    points = np.stack([random.uniform(-0.5, 0.5, count) * z, random.uniform(-0.4, 0.4, count) * z, z], axis=1)
    return points @ TRUE[:3, :3].T + TRUE[:3, 3], pinhole.project(points, CAMERA)


def test_exact_pose():
    fit = pnp.solve(*seen(), CAMERA)
    assert np.abs(fit.T_world_camera - TRUE).max() < 1e-6
    assert fit.inliers.all()


def test_outliers_are_named():
    points, uv = seen()
    uv[:60] += np.random.default_rng(1).uniform(20, 60, (60, 2))
    fit = pnp.solve(points, uv, CAMERA)
    assert np.abs(fit.T_world_camera - TRUE).max() < 1e-6
    assert not fit.inliers[:60].any() and fit.inliers[60:].all()


def test_covariance_is_the_scatter_of_noisy_poses():
    points, uv = seen()
    random = np.random.default_rng(2)
    errors, told = [], []
    for _ in range(150):
        fit = pnp.refine(points, uv + random.normal(0, 0.5, uv.shape), TRUE, CAMERA)
        turn = Rotation.from_matrix(fit.T_world_camera[:3, :3] @ TRUE[:3, :3].T).as_rotvec()
        errors.append(np.concatenate([fit.T_world_camera[:3, 3] - TRUE[:3, 3], turn]))
        told.append(np.sqrt(np.diag(fit.covariance)))
    ratio = np.std(errors, axis=0) / np.median(told, axis=0)
    print("scatter over told sigma:", ratio.round(2))
    assert (ratio > 0.75).all() and (ratio < 1.35).all()


def test_a_compromise_with_a_moving_thing_is_not_taken():
    # A plane seen face on hardly tells a shift from a turn: within 3 px the compromise gathers all points.
    random = np.random.default_rng(3)
    far = np.concatenate([random.uniform(-1.8, 1.8, (300, 2)), np.full((300, 1), 4.0)], axis=1)
    thing = np.concatenate([random.uniform(0.1, 0.5, (60, 2)), np.full((60, 1), 1.8)], axis=1)
    uv = np.concatenate([pinhole.project(far, CAMERA), pinhole.project(thing + (0.05, 0.05, 0), CAMERA)])
    fit = pnp.solve(np.concatenate([far, thing]), uv, CAMERA)
    assert np.linalg.norm(fit.T_world_camera[:3, 3]) < 1e-6 and not fit.inliers[300:].any()


@pytest.mark.parametrize("count", [0, 1, 3, pnp.MIN_POINTS - 1])
def test_too_few_points(count):
    points, uv = seen()
    with pytest.raises(TrackingError, match=f"{count} known points"):
        pnp.solve(points[:count], uv[:count], CAMERA)


def test_points_that_agree_on_nothing():
    points, uv = seen()
    with pytest.raises(TrackingError, match="agree on a pose"):
        pnp.solve(points, np.random.default_rng(0).uniform(0, 240, uv.shape), CAMERA)


def test_one_point_many_times_fixes_no_pose():
    with pytest.raises(TrackingError):
        pnp.solve(np.tile([0.1, 0.2, 3.0], (20, 1)), np.tile([170.0, 130.0], (20, 1)), CAMERA)
