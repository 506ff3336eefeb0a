"""Triangulation against hand-computed numbers, exact projections, and noise of known size."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry.triangulation import triangulate
from depth_pro_ros.records import Intrinsics

CAMERA = Intrinsics(640, 480, 500.0, 490.0, 320.0, 235.0)


def cameras(count, spread=0.3, turn=0.05, seed=3):
    """Return T_camera_reference of `count` cameras, the last of which is the reference."""
    random = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:-1, :3, :3] = Rotation.from_rotvec(random.normal(0, turn, (count - 1, 3))).as_matrix()
    T[:-1, :3, 3] = random.normal(0, spread, (count - 1, 3))
    return T


def project(points, T):
    """Return pixels (N, M, 2) of points (N, 3), written out."""
    seen = np.einsum("mij,nj->nmi", T[:, :3, :3], points) + T[:, :3, 3]
    return seen[..., :2] / seen[..., 2:] * (500.0, 490.0) + (320.0, 235.0)


def cloud(count, near=2.0, far=8.0, seed=0):
    random = np.random.default_rng(seed)
    z = random.uniform(near, far, count)
    return np.stack([random.uniform(-0.5, 0.5, count) * z, random.uniform(-0.4, 0.4, count) * z, z], axis=1)


def test_two_cameras_by_hand():
    T = np.stack([np.eye(4), np.eye(4)])
    T[0, 0, 3] = -1.0  # the first camera stands 1 m to the right of the reference
    uv = np.array([[[320.0 - 500.0, 235.0], [320.0, 235.0]]])  # it sees (0, 0, 1) at x / z = -1
    fit = triangulate(uv, T, CAMERA)
    assert np.allclose(fit.points_m, [[0, 0, 1]], atol=1e-9)
    assert fit.parallax_deg == pytest.approx([45.0])
    assert fit.views.tolist() == [2] and fit.in_front.all() and fit.rms_px[0] < 1e-6


def test_depth_sigma_by_hand():
    # Two cameras with rectified images: z = f B / d, so sigma(1/z) = sigma_d / (f B) with sigma_d = sqrt(2) px.
    T = np.stack([np.eye(4), np.eye(4)])
    T[0, 0, 3] = -0.1
    fit = triangulate(project(np.array([[0.0, 0.0, 20.0]]), T), T, CAMERA)
    assert fit.inverse_depth_sigma[0] == pytest.approx(np.sqrt(2) / (500.0 * 0.1), rel=0.01)


def test_exact_points_come_back():
    points, T = cloud(500), cameras(6)
    fit = triangulate(project(points, T), T, CAMERA)
    assert np.abs(fit.points_m - points).max() < 1e-6
    assert fit.good(1e-6, 0.1, 6).all()


def test_views_that_did_not_see_a_point_do_not_matter():
    points, T = cloud(200), cameras(6)
    uv = project(points, T)
    uv[np.random.default_rng(1).random((200, 6)) < 0.4] = np.nan
    fit = triangulate(uv, T, CAMERA)
    assert (fit.views == np.isfinite(uv[..., 0]).sum(axis=1)).all()
    enough = fit.views >= 2
    assert np.abs(fit.points_m - points)[enough].max() < 1e-5
    assert not fit.good(1.0, 0.0, 2)[~enough].any() and (~enough).any()


def test_sigma_is_the_error_that_noise_makes():
    points, T = cloud(4000), cameras(5)
    noise_px = 0.7
    uv = project(points, T) + np.random.default_rng(2).normal(0, noise_px, (4000, 5, 2))
    fit = triangulate(uv, T, CAMERA)
    error = np.abs(fit.inverse_depth - 1 / points[:, 2])
    share = (error < noise_px * fit.inverse_depth_sigma).mean()
    print(f"within one sigma: {share:.3f}")
    assert share == pytest.approx(0.683, abs=0.03)


def test_a_false_match_fails_the_gate_and_leaves_the_others():
    points, T = cloud(100), cameras(6)
    uv = project(points, T)
    uv[::4, 2] += (0.0, 25.0)
    good = triangulate(uv, T, CAMERA).good(1.5, 0.1, 3)
    assert not good[::4].any() and good[1::4].all()


def test_a_point_behind_the_cameras_is_not_good():
    T = cameras(4)
    fit = triangulate(project(np.array([[0.3, 0.2, -3.0], [0.3, 0.2, 3.0]]), T), T, CAMERA)
    assert fit.good(1.0, 0.1).tolist() == [False, True]


def test_pure_rotation_has_no_parallax():
    T = cameras(5, spread=0.0)
    fit = triangulate(project(cloud(50), T), T, CAMERA)
    assert not fit.good(10.0, 0.05).any()
    assert np.isfinite(fit.inverse_depth_sigma).all()


def test_no_points_are_no_error():
    assert len(triangulate(np.empty((0, 3, 2)), cameras(3), CAMERA).points_m) == 0


def test_shapes_that_do_not_agree():
    with pytest.raises(CalibrationError, match=r"takes \(N, M, 2\) and \(M, 4, 4\)"):
        triangulate(np.zeros((5, 3, 2)), cameras(4), CAMERA)
