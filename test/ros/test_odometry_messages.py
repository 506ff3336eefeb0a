"""Mounting parameters, poses as messages, and the covariance of a base that carries the camera."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.matching.odometry import OdometryEstimate
from depth_pro_ros.ros.odometry_messages import message_from_pose, mounting, odometry_message, pose_from_message

FORWARD = "-1.5707963 0 -1.5707963"  # a camera that looks along the base's x


def test_mounting_of_a_camera_that_looks_forward():
    T = mounting("0.1, 0 0.3", FORWARD)
    assert T[:3, :3] @ (0, 0, 1) == pytest.approx([1, 0, 0], abs=1e-6)  # its z is the base's x
    assert T[:3, :3] @ (1, 0, 0) == pytest.approx([0, -1, 0], abs=1e-6)  # its right is the base's -y
    assert T[:3, 3] == pytest.approx([0.1, 0, 0.3])
    assert mounting("0 0 0", "-0.5 0.5 -0.5 0.5")[:3, :3] == pytest.approx(T[:3, :3], abs=1e-6)


@pytest.mark.parametrize(
    ("xyz", "rotation", "name"),
    [
        ("0 0", "0 0 0", "xyz"),
        ("0 0 x", "0 0 0", "xyz"),
        ("0 0 0", "0 0", "rotation"),
        ("0 0 0", "0 0 0 0", "rotation"),
    ],
)
def test_a_bad_mounting_is_refused(xyz, rotation, name):
    with pytest.raises(ConfigurationError, match=f"mounting.{name}"):
        mounting(xyz, rotation)


def test_a_pose_there_and_back():
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec([0.3, -0.4, 0.5]).as_matrix(), (1, 2, 3)
    assert np.allclose(pose_from_message(message_from_pose(T)), T)


def test_the_base_of_a_camera_that_looks_forward():
    T_world_camera, covariance = np.eye(4), np.diag([1.0, 4.0, 9.0, 0.01, 0.02, 0.03])
    T_world_camera[2, 3] = 2.0  # 2 m along the optical axis
    estimate = OdometryEstimate(T_world_camera, covariance, 50, 60, False)
    header = Header(frame_id="camera_optical")
    header.stamp.sec, header.stamp.nanosec = 12, 34
    message = odometry_message(estimate, mounting("0 0 0", FORWARD), header, "odom", "base_link")
    position = message.pose.pose.position
    assert (position.x, position.y, position.z) == pytest.approx((2.0, 0.0, 0.0), abs=1e-6)
    assert message.pose.pose.orientation.w == pytest.approx(1.0)
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 34)
    # optical z is the base's x, optical x its -y, optical y its -z
    assert np.diag(np.reshape(message.pose.covariance, (6, 6))) == pytest.approx([9, 1, 4, 0.03, 0.01, 0.02], abs=1e-5)
    assert message.twist.covariance[0] == -1.0


def test_a_lever_arm_adds_to_the_position():
    covariance = np.zeros((6, 6))
    covariance[2, 2], covariance[5, 5] = 0.0, 0.1**2
    estimate = OdometryEstimate(np.eye(4), covariance, 50, 60, False)
    message = odometry_message(estimate, mounting("2 0 0", "0 0 0"), Header(), "odom", "base_link")
    assert np.reshape(message.pose.covariance, (6, 6))[1, 1] == pytest.approx(0.2**2)
