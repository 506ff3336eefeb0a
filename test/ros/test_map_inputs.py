"""What waits for a depth image: messages by stamp within a bound, and poses that hold back until all are there."""

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.ros.map_inputs import PosesWithCompanions, StampCache


def image(stamp, size=100):
    message = Image(data=bytes(size))
    message.header.stamp.sec = stamp
    return message


def test_messages_by_stamp_the_oldest_forgotten():
    cache = StampCache("image", kept_bytes=250)
    kept = [image(stamp) for stamp in (1, 2, 3)]
    for message in kept:
        cache.add(message)
    assert cache.find(image(1)) is None
    assert [cache.find(image(stamp)) is kept[stamp - 1] for stamp in (2, 3)] == [True, True]
    cache.add(image(3, 400))  # one that comes twice counts once, and a single one is kept whatever its size
    assert len(cache.find(image(3)).data) == 400 and cache.find(image(2)) is None
    cache.clear()
    assert cache.find(image(3)) is None


class Poses:
    """Knows the poses up to second 5, has none after, and none before second 0."""

    missing = "no odometry has come"

    def find(self, message):
        if message.header.stamp.sec == 0:
            raise TrackingError("older than any odometry")
        return np.eye(4) if message.header.stamp.sec <= 5 else None

    def add(self, message):
        self.missing = "the odometry has stopped"


def test_a_pose_is_held_back_until_its_companions_have_come():
    color, sigma = StampCache("image"), StampCache("depth/sigma")
    poses = PosesWithCompanions(Poses(), (color, sigma))
    assert poses.find(image(1)) is None and "on image and depth/sigma" in poses.missing
    color.add(image(1))
    assert poses.find(image(1)) is None and poses.missing.endswith("on depth/sigma")
    sigma.add(image(1))
    assert np.array_equal(poses.find(image(1)), np.eye(4))
    with pytest.raises(TrackingError):
        poses.find(image(0))


def test_without_companions_the_poses_decide():
    poses = PosesWithCompanions(Poses(), ())
    assert np.array_equal(poses.find(image(5)), np.eye(4))
    assert poses.find(image(6)) is None and poses.missing == "no odometry has come"
    message = Odometry()
    message.header.frame_id = "odom"
    poses.add(message)
    assert poses.world_frame == "odom" and poses.missing == "the odometry has stopped"
