"""Rigid motion and rotation, for one or for whole arrays: every function takes any leading dimensions.

A motion is `T_to_from`, (..., 4, 4) float64 [R | t; 0 1], which takes points of frame `from` into frame `to`
(metres): T_world_camera is a camera's pose. Quaternions are (x, y, z, w) as in geometry_msgs. Rotations are
converted by scipy.spatial.transform.Rotation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from depth_pro_ros.errors import CalibrationError

_ORTHONORMAL = 1e-3  # how far R R^T may be from the identity; six printed digits are well within


def rigid(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return T (..., 4, 4) of rotations R (..., 3, 3) and translations t (..., 3) in metres, which broadcast."""
    R, t = np.asarray(R, np.float64), np.asarray(t, np.float64)
    T = np.zeros((*np.broadcast_shapes(R.shape[:-2], t.shape[:-1]), 4, 4))
    T[..., :3, :3] = R
    T[..., :3, 3] = t
    T[..., 3, 3] = 1.0
    return T


def inverse(T: np.ndarray) -> np.ndarray:
    """Return T_from_to (..., 4, 4) of T_to_from: R^T and -R^T t. Raises CalibrationError where R is no rotation."""
    R = _rotations(np.asarray(T, np.float64)[..., :3, :3])
    back = np.swapaxes(R, -1, -2)
    return rigid(back, -(back @ T[..., :3, 3, None])[..., 0])


def compose(*motions: np.ndarray) -> np.ndarray:
    """Return T_a_c of T_a_b, T_b_c, ...: their product from left to right; each (..., 4, 4), broadcasting."""
    return functools.reduce(np.matmul, motions)


def transform(T: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """Return the points (..., N, 3) in metres moved by T (..., 4, 4): R p + t."""
    T = np.asarray(T, np.float64)
    return points_m @ np.swapaxes(T[..., :3, :3], -1, -2) + T[..., None, :3, 3]


def rotation_from_quaternion(xyzw: np.ndarray) -> np.ndarray:
    """Return R (..., 3, 3) of quaternions (..., 4), x y z w, of any length but zero; q and -q are one rotation."""
    xyzw = np.asarray(xyzw, np.float64)
    length = np.linalg.norm(xyzw, axis=-1)
    if not (np.isfinite(length) & (length > 1e-9)).all():
        raise CalibrationError(
            f"a quaternion (x, y, z, w) of length {length.min()} is no orientation: fill it in, (0, 0, 0, 1) for none"
        )
    return _batched(lambda flat: Rotation.from_quat(flat).as_matrix(), xyzw, 1)


def quaternion_from_rotation(R: np.ndarray) -> np.ndarray:
    """Return unit quaternions (..., 4), x y z w with w >= 0, of R (..., 3, 3)."""
    xyzw = _batched(lambda flat: Rotation.from_matrix(flat).as_quat(), _rotations(R), 2)
    return np.where(xyzw[..., 3:] < 0, -xyzw, xyzw)


def rotation_from_euler(angles_rad: np.ndarray, axes: str = "xyz") -> np.ndarray:
    """Return R (..., 3, 3) of angles (..., 3) in radians about `axes`.

    Lower case turns about fixed axes in this order, so "xyz" is roll, pitch, yaw as in REP 103 (R = Rz Ry Rx);
    upper case turns about the axes as they have been turned.
    """
    return _batched(lambda flat: Rotation.from_euler(axes, flat).as_matrix(), angles_rad, 1)


def euler_from_rotation(R: np.ndarray, axes: str = "xyz") -> np.ndarray:
    """Return angles (..., 3) in radians about `axes` (see `rotation_from_euler`) of R (..., 3, 3).

    In gimbal lock SciPy sets the third angle to zero and warns.
    """
    return _batched(
        lambda flat: Rotation.from_matrix(flat).as_euler(axes),  # type: ignore[call-overload]  # axes is any text
        _rotations(R),
        2,
    )


def rotation_from_vector(vector_rad: np.ndarray) -> np.ndarray:
    """Return R (..., 3, 3) of rotation vectors (..., 3): the axis, as long as the angle in radians (Rodrigues)."""
    return _batched(lambda flat: Rotation.from_rotvec(flat).as_matrix(), vector_rad, 1)


def vector_from_rotation(R: np.ndarray) -> np.ndarray:
    """Return rotation vectors (..., 3) of R (..., 3, 3), of length 0 to pi."""
    return _batched(lambda flat: Rotation.from_matrix(flat).as_rotvec(), _rotations(R), 2)


def _rotations(R: np.ndarray) -> np.ndarray:
    """Return R (..., 3, 3), or raise CalibrationError: SciPy would take the nearest rotation without a word."""
    R = np.asarray(R, np.float64)
    square = R @ np.swapaxes(R, -1, -2)
    if not (np.abs(square - np.eye(3)) < _ORTHONORMAL).all() or not (np.linalg.det(R) > 0).all():
        raise CalibrationError(
            f"{R.reshape(-1, 3, 3)[0].tolist()} and {R.size // 9 - 1} more hold what is no rotation (orthonormal, "
            "determinant 1): correct R of the calibration, or the pose"
        )
    return R


def _batched(convert: Callable[[np.ndarray], np.ndarray], values: np.ndarray, own: int) -> np.ndarray:
    """Return `convert` of all values, whose last `own` dimensions are one item's: SciPy before 1.17 takes (N, ...)."""
    values = np.asarray(values, np.float64)
    leading = values.shape[: values.ndim - own]
    converted = convert(values.reshape(-1, *values.shape[values.ndim - own :]))
    return converted.reshape(*leading, *converted.shape[1:])
