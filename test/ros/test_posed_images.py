"""Images and the poses of their stamps, which come late, out of order, or not at all."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from depth_pro_ros.ros import posed_images
from depth_pro_ros.ros.camera_poses import OdometryPoses
from depth_pro_ros.ros.posed_images import WAITING, PosedImages


def stamped(message, seconds):
    message.header.stamp = Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    return message


def image(seconds):
    return stamped(Image(), seconds)


def odometry(seconds, w=1.0):
    message = stamped(Odometry(), seconds)
    message.pose.pose.position.x, message.pose.pose.orientation.w = 2.0 * seconds, w
    return message


class Desk:
    """Collects what is handed on, as (seconds, x of the pose), and the reasons of what is given up."""

    def __init__(self, monkeypatch, timeout_s=0.5):
        self.now, self.posed, self.reasons = 100.0, [], []
        monkeypatch.setattr(posed_images.time, "monotonic", lambda: self.now)
        self.images = PosedImages(OdometryPoses(np.eye(4), 0.5), timeout_s, self._hand_on, self.reasons.append)

    def _hand_on(self, message, T_world_camera):
        stamp = message.header.stamp
        self.posed.append((stamp.sec + stamp.nanosec * 1e-9, float(T_world_camera[0, 3])))


@pytest.fixture
def desk(monkeypatch):
    return Desk(monkeypatch)


def test_an_image_between_poses_gets_the_pose_between(desk):
    desk.images.tell(odometry(1.0))
    desk.images.add(image(1.1))
    assert desk.posed == []
    desk.images.tell(odometry(1.2))
    assert desk.posed == [(pytest.approx(1.1), pytest.approx(2.2))] and desk.reasons == []


def test_late_poses_hand_on_all_that_waited_in_order(desk):
    desk.images.tell(odometry(1.0))
    for seconds in (1.1, 1.2, 1.3):
        desk.images.add(image(seconds))
    desk.images.tell(odometry(1.25))
    assert [seconds for seconds, _ in desk.posed] == pytest.approx([1.1, 1.2])
    desk.images.tell(odometry(1.3))
    assert [seconds for seconds, _ in desk.posed] == pytest.approx([1.1, 1.2, 1.3])


def test_poses_out_of_order_change_nothing(desk):
    for seconds in (1.0, 1.2, 1.1, 1.2):
        desk.images.tell(odometry(seconds))
    desk.images.add(image(1.15))
    assert desk.posed == [(pytest.approx(1.15), pytest.approx(2.3))] and desk.reasons == []


def test_poses_that_stop_cost_the_images_that_wait_and_say_so(desk):
    desk.images.tell(odometry(1.0))
    desk.images.add(image(1.1))
    desk.now += 0.4
    desk.images.match()
    assert desk.reasons == []
    desk.now += 0.2
    desk.images.match()
    assert "waited 0.5 s for its pose" in desk.reasons[0] and "has stopped" in desk.reasons[0]
    desk.images.tell(odometry(1.2))
    assert desk.posed == [], "what was given up does not come back"


def test_too_many_that_wait(desk):
    for index in range(WAITING + 2):
        desk.images.add(image(1.0 + 0.01 * index))
    assert len(desk.reasons) == 2 and "no odometry has come" in desk.reasons[0]


def test_an_image_older_than_any_pose_and_a_pose_that_is_none(desk):
    desk.images.tell(odometry(1.0))
    desk.images.add(image(0.5))
    desk.images.tell(odometry(1.1, w=0.0))
    assert "older than any odometry" in desk.reasons[0] and "no orientation" in desk.reasons[1]


def test_cleared(desk):
    desk.images.add(image(1.0))
    desk.images.clear()
    desk.images.tell(odometry(1.0))
    assert desk.posed == []
