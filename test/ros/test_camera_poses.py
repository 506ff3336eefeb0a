"""Poses for images: interpolation between odometry stamps, gaps, stops, restarts; TF with a stand-in buffer."""

import sys
import types

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from depth_pro_ros.errors import CalibrationError, ConfigurationError, TrackingError
from depth_pro_ros.ros.camera_poses import OdometryPoses, TfPoses


def odometry(t, x=0.0, yaw_deg=0.0):
    message = Odometry(child_frame_id="base_link")
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(t * 1e9), 10**9)
    message.pose.pose.position.x = x
    half = np.radians(yaw_deg) / 2
    message.pose.pose.orientation.z, message.pose.pose.orientation.w = float(np.sin(half)), float(np.cos(half))
    return message


def image(t):
    message = Image()
    message.header.frame_id = "camera_optical"
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(t * 1e9), 10**9)
    return message


def poses(*messages, mounting=None, max_gap=0.5):
    found = OdometryPoses(np.eye(4) if mounting is None else mounting, max_gap)
    for message in messages:
        found.add(message)
    return found


def test_half_way_between_two():
    T = poses(odometry(10.0), odometry(10.2, 1.0, 90.0)).find(image(10.05))
    assert T[:3, 3] == pytest.approx([0.25, 0, 0])
    assert np.degrees(np.arctan2(T[1, 0], T[0, 0])) == pytest.approx(22.5)


def test_the_exact_stamp_needs_no_neighbour():
    assert poses(odometry(5.0, 3.0)).find(image(5.0))[0, 3] == 3.0


def test_the_mounting_is_on_the_moving_base():
    mounting = np.eye(4)
    mounting[:3, 3] = 1.0, 0.0, 0.0
    T = poses(odometry(1.0, 2.0, 90.0), mounting=mounting).find(image(1.0))
    assert T[:3, 3] == pytest.approx([2.0, 1.0, 0.0])


def test_a_later_image_waits_and_an_older_one_is_lost():
    found = poses(odometry(1.0), odometry(1.1))
    assert found.find(image(1.2)) is None and "has stopped" in found.missing
    with pytest.raises(TrackingError, match="older than any odometry"):
        found.find(image(0.9))
    assert "no odometry has come" in poses().missing


def test_a_gap_is_not_bridged():
    with pytest.raises(TrackingError, match="gap of 2.00 s"):
        poses(odometry(1.0), odometry(3.0)).find(image(2.0))


def test_a_bag_that_starts_again():
    found = poses(odometry(100.0, 5.0), odometry(100.1, 5.0), odometry(1.0, 7.0), odometry(1.1, 7.0))
    assert found.find(image(1.05))[0, 3] == pytest.approx(7.0)


def test_an_unset_orientation_is_refused():
    bad = odometry(1.0)
    bad.pose.pose.orientation.w = 0.0
    with pytest.raises(CalibrationError, match="no orientation"):
        poses(bad)


def test_tf_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(ConfigurationError, match="tf2_ros cannot be imported"):
        TfPoses(None, "odom")


def test_tf_gives_the_images_frame(monkeypatch):
    class NotYet(Exception):
        pass

    class Buffer:
        def lookup_transform(self, target, source, time):
            if time.nanoseconds > 2_000_000_000:
                raise NotYet("extrapolation into the future")
            assert (target, source) == ("odom", "camera_optical")
            found = TransformStamped()
            found.transform.translation.y, found.transform.rotation.w = 4.0, 1.0
            return found

    fake = types.SimpleNamespace(Buffer=Buffer, TransformListener=lambda *_: None, TransformException=NotYet)
    monkeypatch.setitem(sys.modules, "tf2_ros", fake)
    found = TfPoses(None, "odom")
    assert found.find(image(1.0))[:3, 3] == pytest.approx([0, 4, 0])
    assert found.find(image(3.0)) is None and "extrapolation" in found.missing
