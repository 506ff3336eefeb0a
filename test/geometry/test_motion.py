"""Rigid motion against motions written out by hand."""

import math

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import motion

QUARTER = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y: a quarter turn about z
HALF_SQRT = math.sqrt(0.5)


def random_rotations(shape, seed=0):
    """Return rotations (*shape, 3, 3) by OpenCV's Rodrigues."""
    vectors = np.random.default_rng(seed).normal(size=(*shape, 3))
    flat = [cv2.Rodrigues(vector)[0] for vector in vectors.reshape(-1, 3)]
    return np.array(flat).reshape(*shape, 3, 3)


def test_a_motion_turns_then_moves():
    T = motion.rigid(QUARTER, [10.0, 20.0, 30.0])
    np.testing.assert_allclose(motion.transform(T, np.array([[1.0, 2.0, 3.0]])), [[8.0, 21.0, 33.0]])
    np.testing.assert_allclose(motion.transform(motion.inverse(T), np.array([[8.0, 21.0, 33.0]])), [[1.0, 2.0, 3.0]])


def test_composition_reads_from_left_to_right():
    """T_a_c = T_a_b T_b_c: first into b, then into a."""
    T_a_b, T_b_c = motion.rigid(QUARTER, [1.0, 0, 0]), motion.rigid(np.eye(3), [0, 5.0, 0])
    np.testing.assert_allclose(motion.transform(motion.compose(T_a_b, T_b_c), np.zeros((1, 3))), [[-4.0, 0, 0]])


def test_batches_of_any_shape():
    R, t = random_rotations((4, 5)), np.random.default_rng(1).normal(size=(4, 5, 3))
    T = motion.rigid(R, t)
    np.testing.assert_allclose(motion.compose(T, motion.inverse(T)), np.broadcast_to(np.eye(4), T.shape), atol=1e-12)
    points = np.random.default_rng(2).normal(size=(4, 5, 7, 3))
    expected = np.einsum("abij,abnj->abni", R, points) + t[:, :, None]
    np.testing.assert_allclose(motion.transform(T, points), expected)
    for there, back in (
        (motion.quaternion_from_rotation, motion.rotation_from_quaternion),
        (motion.euler_from_rotation, motion.rotation_from_euler),
        (motion.vector_from_rotation, motion.rotation_from_vector),
    ):
        assert there(R).shape[:2] == (4, 5)
        np.testing.assert_allclose(back(there(R)), R, atol=1e-12)
        np.testing.assert_allclose(there(R)[2, 3], there(R[2, 3]), atol=1e-12)


def test_a_quarter_turn_about_z_in_every_notation():
    np.testing.assert_allclose(motion.quaternion_from_rotation(QUARTER), [0, 0, HALF_SQRT, HALF_SQRT], atol=1e-12)
    np.testing.assert_allclose(motion.vector_from_rotation(QUARTER), [0, 0, math.pi / 2], atol=1e-12)
    np.testing.assert_allclose(motion.euler_from_rotation(QUARTER), [0, 0, math.pi / 2], atol=1e-12)
    for length in (1.0, -2.0):  # q and -q are one rotation, and the length says nothing
        turned = motion.rotation_from_quaternion(np.array([0, 0, 1, 1]) * length)
        np.testing.assert_allclose(turned, QUARTER, atol=1e-12)


def test_euler_angles_are_roll_pitch_yaw_about_fixed_axes():
    """REP 103: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    roll, pitch, yaw = 0.1, -0.4, 2.0
    Rx, Ry, Rz = (cv2.Rodrigues(np.array(v))[0] for v in ([roll, 0, 0], [0, pitch, 0], [0, 0, yaw]))
    np.testing.assert_allclose(motion.rotation_from_euler([roll, pitch, yaw]), Rz @ Ry @ Rx, atol=1e-12)
    np.testing.assert_allclose(motion.rotation_from_euler([yaw, pitch, roll], "ZYX"), Rz @ Ry @ Rx, atol=1e-12)


def test_the_real_part_of_a_quaternion_is_not_negative():
    assert (motion.quaternion_from_rotation(random_rotations((50,)))[:, 3] >= 0).all()


def test_what_is_no_rotation_is_refused():
    mirrored = np.diag([1.0, 1.0, -1.0])
    for bad in (mirrored, 2 * np.eye(3), np.full((3, 3), np.nan)):
        with pytest.raises(CalibrationError, match="no rotation"):
            motion.quaternion_from_rotation(bad)
        with pytest.raises(CalibrationError, match="no rotation"):
            motion.inverse(motion.rigid(bad, np.zeros(3)))
    for bad in ([0.0, 0, 0, 0], [math.nan, 0, 0, 1]):
        with pytest.raises(CalibrationError, match="quaternion"):
            motion.rotation_from_quaternion(bad)
