"""Scans as their consumers compute with them: MAVROS's centimetres and degrees, REP 117, the level frame."""

import math
import sys
import types

import numpy as np
import pytest
from outputs.level_scene import axes
from ros.test_obstacle_node import as_mavros, as_px4
from std_msgs.msg import Header

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.geometry import motion
from depth_pro_ros.outputs.obstacles import ObstacleSettings, Sectors
from depth_pro_ros.ros.level_tf import LevelTf
from depth_pro_ros.ros.obstacle_messages import (
    frd_scan,
    level_frame_id,
    level_transform,
    not_below_cm,
    whole_degrees,
)

STEP = math.radians(5)


def test_every_centimetre_survives_mavros():
    centimetres = np.arange(1, 65000, 7)
    metres = np.array([not_below_cm(int(cm)) for cm in centimetres], np.float32)
    times_100 = metres.astype(np.float64) * 1e2
    assert (times_100.astype(int) == centimetres).all()
    assert (times_100.astype(np.float32).astype(int) == centimetres).all()
    np.testing.assert_allclose(metres, centimetres / 100, atol=1e-4)


def test_every_multiple_of_five_degrees_survives_mavros():
    for degrees in range(-360, 361, 5):
        received = np.float32(float(np.float32(whole_degrees(degrees))) * (180.0 / math.pi))
        assert received % 360 == degrees % 360


@pytest.mark.parametrize("first", range(-180, 181, 5))
def test_px4_finds_each_sector_where_it_is(first):
    """37 sectors, each with its own distance, from any first one on; the rest of the circle is unknown."""
    sectors = Sectors(math.radians(first), STEP, 37, True)
    ranges = np.arange(1, 38, dtype=np.float32) / 10
    distances, offset, increment, _ = as_mavros(frd_scan(ranges, sectors, ObstacleSettings(), Header()))
    px4 = as_px4(distances, offset, increment)
    for index in range(37):
        assert px4[(first // 5 + index) % 72] == pytest.approx(10 * (index + 1), abs=1)
    assert (px4 == 65535).sum() == 35


@pytest.mark.parametrize("range_max", [0.29, 1.13, 7.0, 8.01, 10.0, 19.99, 35.5, 600.0])
def test_clear_is_a_centimetre_beyond_and_unknown_is_unknown(range_max):
    settings = ObstacleSettings(range_min_m=0.2, range_max_m=range_max, ground_slope=0.0)
    ranges = np.array([np.inf, np.nan, 0.25], np.float32)
    scan = frd_scan(ranges, Sectors(0.0, STEP, 3, True), settings, Header())
    assert scan.ranges[0] == pytest.approx(range_max + 0.01, abs=1e-4) and math.isnan(scan.ranges[1])
    distances, _, _, maximum = as_mavros(scan)
    assert maximum == round(100 * range_max)
    assert list(distances[:2]) == [maximum + 1, 65535] and distances[2] in (24, 25)


def test_names_of_frames():
    assert level_frame_id("camera_optical_frame") == "camera_level"
    assert level_frame_id("front/camera_color_optical") == "front/camera_color_level"
    assert level_frame_id("camera") == "camera_level"


def test_the_transform_takes_level_points_into_the_optical_frame():
    """A point 2 m ahead and 1 m to the left of a camera that leans and looks down, in its own coordinates."""
    leaning = axes(20, 10)
    message = level_transform(leaning, Header(frame_id="camera_optical_frame"), "camera_level")
    assert (message.header.frame_id, message.child_frame_id) == ("camera_optical_frame", "camera_level")
    q = message.transform.rotation
    R_optical_level = motion.rotation_from_quaternion([q.x, q.y, q.z, q.w])
    point = R_optical_level @ [2.0, 1.0, 0.0]
    np.testing.assert_allclose(point, [leaning[:, i] @ [2.0, 1.0, 0.0] for i in range(3)], atol=1e-9)
    assert message.transform.translation.x == 0


def test_tf_where_it_is_and_where_it_is_not(monkeypatch):
    sent = []
    broadcaster = types.SimpleNamespace(sendTransform=sent.append)
    monkeypatch.setitem(sys.modules, "tf2_ros", types.SimpleNamespace(TransformBroadcaster=lambda node: broadcaster))
    LevelTf(None).send("a transform")
    assert sent == ["a transform"]
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(ConfigurationError, match="set publish_tf to false"):
        LevelTf(None)
