"""Stand-in for `tf_transformations`: quaternions (x, y, z, w) over transforms3d, which the ROS package wraps too.

transforms3d puts w first; the reordering is all that happens here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transforms3d import affines, euler, quaternions


def quaternion_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """Return the (4, 4) rotation of a quaternion (x, y, z, w)."""
    x, y, z, w = quaternion
    matrix = np.eye(4)
    matrix[:3, :3] = quaternions.quat2mat((w, x, y, z))
    return matrix


def quaternion_from_matrix(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w) of the rotation in a (4, 4) matrix, whose scale does not matter."""
    w, x, y, z = quaternions.mat2quat(affines.decompose(matrix)[1])
    return x, y, z, w


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w) of three angles in radians about `axes` (roll, pitch, yaw by default)."""
    w, x, y, z = euler.euler2quat(ai, aj, ak, axes=axes)
    return x, y, z, w


def euler_from_quaternion(quaternion: Sequence[float], axes: str = "sxyz") -> tuple[float, float, float]:
    """Return the three angles in radians about `axes` (roll, pitch, yaw by default) of a quaternion (x, y, z, w)."""
    return euler.mat2euler(quaternion_matrix(quaternion), axes=axes)
