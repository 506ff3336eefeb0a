"""A camera's level frame: its own centre, x along its heading, y to the left, z straight up (REP 103).

Attitude comes as the direction "up" in the camera's optical frame (z forward, x right, y down), which roll and pitch,
an odometry or an IMU all give. The heading is the optical axis, laid flat.
"""

from __future__ import annotations

import math

import numpy as np

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import motion

R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""The optical frame in one at the same place with x forward, y left, z up (REP 103)."""

STEEPEST_DEG = 85.0  # beyond this the optical axis has no heading worth the name


def up_from_angles(roll_rad: float, pitch_rad: float) -> np.ndarray:
    """Return "up" (3,) in the optical frame of a camera that rolls and pitches by these angles.

    Signs are REP 103's: positive pitch looks down, positive roll leans to the right (the left side goes up).
    """
    R_level_body = motion.rotation_from_euler(np.array([roll_rad, pitch_rad, 0.0]))
    return (R_level_body @ R_BODY_OPTICAL)[2]


def level_from_up(up: np.ndarray) -> np.ndarray:
    """Return `R_level_camera` (3, 3) of a camera in whose optical frame `up` (3,), of any length, points up.

    Raises CalibrationError for no direction, and for a camera that looks straight up or down.
    """
    up = np.asarray(up, np.float64)
    length = np.linalg.norm(up)
    if not (np.isfinite(length) and length > 1e-9):
        raise CalibrationError(f"up is {up.tolist()} in the camera's frame: give an attitude with a direction")
    up = up / length
    if abs(up[2]) > math.sin(math.radians(STEEPEST_DEG)):
        raise CalibrationError(
            f"the camera looks {'up' if up[2] > 0 else 'down'} by {math.degrees(math.asin(abs(up[2]))):.0f} degrees; "
            f"obstacles around the heading need at most {STEEPEST_DEG:g}: check the attitude, or mount it flatter"
        )
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    forward = forward / np.linalg.norm(forward)
    return np.stack([forward, np.cross(up, forward), up])
