"""Poses from and to nav_msgs/Odometry, and where on the robot the camera is mounted."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Odometry
from std_msgs.msg import Header

from depth_pro_ros.errors import CalibrationError, ConfigurationError
from depth_pro_ros.geometry import motion
from depth_pro_ros.matching.odometry import OdometryEstimate, carried


def mounting(xyz: str, rotation: str) -> np.ndarray:
    """Return `T_base_camera` (4, 4), the camera's optical frame in the robot's base, from two parameters.

    `xyz` is three numbers in metres; `rotation` three (roll pitch yaw about the base's fixed axes, radians, as in
    URDF) or four (a quaternion x y z w), separated by spaces. Raises ConfigurationError for anything else.
    """
    position, turn = _numbers("mounting.xyz", xyz, (3,)), _numbers("mounting.rotation", rotation, (3, 4))
    try:
        R = motion.rotation_from_euler(turn) if len(turn) == 3 else motion.rotation_from_quaternion(turn)
    except CalibrationError as error:
        raise ConfigurationError(f"parameter 'mounting.rotation' is {rotation!r}: {error}") from error
    return motion.rigid(R, position)


def _numbers(name: str, text: str, counts: tuple[int, ...]) -> np.ndarray:
    """Return the numbers in a parameter."""
    try:
        values = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        values = np.array([np.nan])
    if len(values) not in counts or not np.isfinite(values).all():
        wanted = " or ".join(map(str, counts))
        raise ConfigurationError(f"parameter '{name}' is {text!r}; it takes {wanted} numbers separated by spaces")
    return values


def pose_from_message(pose: PoseMessage) -> np.ndarray:
    """Return T (4, 4) of a pose message; raises CalibrationError for a quaternion of length zero or not finite."""
    p, q = pose.position, pose.orientation
    return motion.rigid(motion.rotation_from_quaternion([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z]))


def message_from_pose(T: np.ndarray) -> PoseMessage:
    """Return the pose message of T (4, 4)."""
    message = PoseMessage()
    p, q = message.position, message.orientation
    p.x, p.y, p.z = T[:3, 3].tolist()
    q.x, q.y, q.z, q.w = motion.quaternion_from_rotation(T[:3, :3]).tolist()
    return message


def odometry_message(
    estimate: OdometryEstimate, T_base_camera: np.ndarray, header: Header, odom_frame: str, base_frame: str
) -> Odometry:
    """Return the base's pose in the odometry frame, which is where the base was at first, at `header`'s stamp.

    With T_base_camera the identity both frames are optical ones (z forward). The pose's covariance belongs to the
    base's own origin; the twist is not estimated, and its covariance says so (-1 in its first entry).
    """
    world = estimate.T_world_camera
    T_world_base = motion.compose(world, motion.inverse(T_base_camera))
    covariance = np.kron(np.eye(2), T_base_camera[:3, :3]) @ carried(estimate.covariance, world, T_world_base)
    covariance = covariance @ np.kron(np.eye(2), T_base_camera[:3, :3]).T
    message = Odometry(child_frame_id=base_frame)
    message.header.stamp, message.header.frame_id = header.stamp, odom_frame
    message.pose.pose = message_from_pose(motion.compose(T_base_camera, T_world_base))
    message.pose.covariance = covariance.ravel()
    message.twist.covariance[0] = -1.0
    return message
