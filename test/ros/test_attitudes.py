"""Up from messages: interpolated, held, refused, and begun anew."""

import math

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu

from depth_pro_ros.errors import CalibrationError, ConfigurationError, TrackingError
from depth_pro_ros.ros.attitudes import FixedAttitude, attitude_from_parameters
from depth_pro_ros.ros.obstacle_parameters import OBSTACLE_PARAMETERS

DEFAULTS = {parameter.name: parameter.default for parameter in OBSTACLE_PARAMETERS}
FORWARD = "-0.5 0.5 -0.5 0.5"


def attitude(**changes):
    return attitude_from_parameters({**DEFAULTS, **{name.replace("__", "."): v for name, v in changes.items()}})


def odometry(stamp_s, roll_deg=0.0):
    """Return a base that leans to its right, at a stamp."""
    message = Odometry()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(stamp_s * 1e9), 10**9)
    half = math.radians(roll_deg) / 2
    message.pose.pose.orientation.x, message.pose.pose.orientation.w = math.sin(half), math.cos(half)
    return message


def leaning(roll_deg):
    """Return up in the optical frame of a camera that leans to its right: towards its left and its top."""
    r = math.radians(roll_deg)
    return np.array([-math.sin(r), -math.cos(r), 0.0])


def test_fixed_angles_hold_at_any_time():
    fixed = attitude(attitude__roll=20.0)
    assert isinstance(fixed, FixedAttitude)
    np.testing.assert_allclose(fixed.find(123), leaning(20), atol=1e-12)


def test_between_two_messages_up_is_interpolated():
    found = attitude(attitude__source="odometry", mounting__rotation=FORWARD, attitude__max_age=0.2)
    found.add_odometry(odometry(1.0, 0.0))
    found.add_odometry(odometry(1.1, 10.0))
    up = found.find(1_050_000_000)
    np.testing.assert_allclose(up / np.linalg.norm(up), leaning(5), atol=1e-6)
    np.testing.assert_allclose(found.find(1_100_000_000), leaning(10), atol=1e-9)
    np.testing.assert_allclose(found.find(1_250_000_000), leaning(10), atol=1e-9)  # held
    np.testing.assert_allclose(found.find(900_000_000), leaning(0), atol=1e-9)


def test_too_far_from_any_message_is_refused():
    found = attitude(attitude__source="odometry", mounting__rotation=FORWARD)
    with pytest.raises(TrackingError, match="no attitude has come"):
        found.find(0)
    found.add_odometry(odometry(1.0))
    found.add_odometry(odometry(2.0, 40.0))
    with pytest.raises(TrackingError, match=r"0.50 s from the image, 'attitude.max_age' allows 0.1"):
        found.find(1_500_000_000)
    np.testing.assert_allclose(found.find(1_950_000_000), leaning(40), atol=1e-9)


def test_out_of_order_is_passed_over_and_a_jump_back_begins_anew():
    found = attitude(attitude__source="odometry", mounting__rotation=FORWARD)
    found.add_odometry(odometry(100.0, 10.0))
    found.add_odometry(odometry(99.95, 50.0))
    np.testing.assert_allclose(found.find(99_950_000_000), leaning(10), atol=1e-9)
    found.add_odometry(odometry(1.0, 20.0))
    np.testing.assert_allclose(found.find(1_000_000_000), leaning(20), atol=1e-9)
    with pytest.raises(TrackingError):
        found.find(100_000_000_000)


def test_the_camera_itself_in_a_world_that_began_as_an_optical_frame():
    """odometry_node without a mounting: a camera that has not turned is as level as it was at first."""
    found = attitude(attitude__source="odometry", attitude__world_up="-y")
    found.add_odometry(odometry(1.0))
    np.testing.assert_allclose(found.find(1_000_000_000), [0, -1, 0], atol=1e-12)


def test_an_imu_and_what_it_may_lack():
    found = attitude(attitude__source="imu", mounting__rotation=FORWARD)
    message = Imu(header=odometry(1.0).header, orientation=odometry(1.0, -30.0).pose.pose.orientation)
    found.add_imu(message)
    np.testing.assert_allclose(found.find(1_000_000_000), leaning(-30), atol=1e-9)
    message.orientation_covariance[0] = -1.0
    with pytest.raises(CalibrationError, match="estimates no orientation"):
        found.add_imu(message)
    message.orientation_covariance[0] = 0.0
    message.orientation.x = message.orientation.w = 0.0
    with pytest.raises(CalibrationError, match="no orientation"):
        found.add_imu(message)


def test_a_mounting_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="mounting.rotation"):
        attitude(attitude__source="imu", mounting__rotation="0 0 0 0")
