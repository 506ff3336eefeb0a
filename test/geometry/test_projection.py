"""The projection matrix against OpenCV's projection and decomposition."""

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import projection

K = np.array([[500.0, 0, 310.0], [0, 480.0, 250.0], [0, 0, 1]])
VECTOR = np.array([0.2, -0.3, 0.1])
R = cv2.Rodrigues(VECTOR)[0]
T = np.array([0.3, -0.2, 1.5])
POINTS = np.array([[0.1, 0.2, 3.0], [-0.5, 0.4, 5.0], [1.0, -1.0, 4.0]])


def test_points_land_where_opencv_puts_them():
    P = projection.compose(K, R, T)
    expected = cv2.projectPoints(POINTS, VECTOR, T, K, None)[0].reshape(-1, 2)
    np.testing.assert_allclose(projection.project(P, POINTS), expected)


def test_a_point_behind_the_camera_has_no_pixel():
    P = projection.compose(K, np.eye(3), np.zeros(3))
    pixels = projection.project(P, np.array([[0.0, 0, 2.0], [0, 0, -2.0], [1.0, 1.0, 0]]))
    np.testing.assert_allclose(pixels, [[310, 250], [np.nan, np.nan], [np.nan, np.nan]])


@pytest.mark.parametrize("scale", [1.0, -1.0, 0.01, -250.0])
def test_the_parts_come_back_whatever_the_scale(scale):
    skewed = K + [[0, 1.5, 0], [0, 0, 0], [0, 0, 0]]
    parts = projection.decompose(scale * projection.compose(skewed, R, T))
    for part, expected in zip(parts, (skewed, R, T), strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-9)


def test_the_parts_are_those_of_opencv():
    P = np.random.default_rng(3).normal(size=(3, 4))
    K_cv, R_cv, centre = cv2.decomposeProjectionMatrix(P)[:3]
    ours, rotation, _ = projection.decompose(P)
    np.testing.assert_allclose(np.abs(ours), np.abs(K_cv / K_cv[2, 2]), atol=1e-9)
    np.testing.assert_allclose(np.abs(rotation), np.abs(R_cv), atol=1e-9)
    np.testing.assert_allclose(projection.centre(P), (centre[:3] / centre[3]).ravel(), atol=1e-9)


def test_batches():
    shift = np.random.default_rng(4).normal(size=(2, 5, 3))
    P = projection.compose(K, R, shift)
    assert P.shape == (2, 5, 3, 4)
    many = projection.decompose(P)
    for part, single in zip(many, projection.decompose(P[1, 2]), strict=True):
        np.testing.assert_allclose(part[1, 2], single, atol=1e-9)
    np.testing.assert_allclose(many[2], shift, atol=1e-9)
    np.testing.assert_allclose(projection.centre(P)[1, 2], -R.T @ shift[1, 2])
    np.testing.assert_allclose(projection.project(P, POINTS)[0, 3], projection.project(P[0, 3], POINTS))


def test_the_right_camera_of_a_pair_stands_to_the_right():
    """ROS: P[0, 3] = -f B."""
    P = np.hstack([K, [[-50.0], [0], [0]]])
    np.testing.assert_allclose(projection.centre(P), [0.1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(projection.decompose(P)[2], [-0.1, 0, 0], atol=1e-12)


@pytest.mark.parametrize("P", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.ones((3, 4))])
def test_a_camera_at_infinity_is_refused(P):
    with pytest.raises(CalibrationError, match="no finite camera"):
        projection.decompose(P)
