"""obstacle_node as a process over real DDS: what Nav2's and MAVROS's side receive, attitudes, contact, bad input."""

import math
import subprocess
import sys

import numpy as np
import pytest
from outputs.level_scene import axes, box, render
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import ReliabilityPolicy
from ros.depth_camera import FRAME, DepthCamera
from ros.process import NodeProcess
from sensor_msgs.msg import Image, LaserScan, PointCloud2

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.ros.obstacle_messages import NEAREST_FIELDS
from depth_pro_ros.ros.standins import point_cloud2

CAMERA = pinhole.centred(160, 120, 100.0)
SCANS = {"scan": LaserScan, "scan_frd": LaserScan, "nearest_obstacle": PointCloud2}
START_NS = 1_700_000_000_000_000_123
BODY_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
FORWARD = "-0.5 0.5 -0.5 0.5"  # the mounting of a camera that looks along x


@pytest.fixture
def start(ros_env, peer):
    """Return a function that starts obstacle_node with parameters and gives the camera before it."""
    started = []

    def _start(outputs=SCANS, reliability=ReliabilityPolicy.RELIABLE, **parameters):
        named = {name.replace("__", "."): value for name, value in {"support__pixels": 4, **parameters}.items()}
        started.append(NodeProcess("obstacle_node", named, ros_env))
        camera = DepthCamera(peer, "obstacle_node", CAMERA, outputs, reliability)
        camera.wait_for_node()
        return camera

    yield _start
    for process in started:
        process.__exit__()


def bearings(scan):
    """Return the bearings in degrees of a scan's ranges, as a consumer computes them."""
    return np.degrees(scan.angle_min + scan.angle_increment * np.arange(len(scan.ranges)))


def where(scan):
    """Return the mean bearing of the obstacles in a scan."""
    return bearings(scan)[np.isfinite(scan.ranges)].mean()


def as_mavros(scan):
    """Return OBSTACLE_DISTANCE's distances in cm (72,), offset, increment, maximum, as MAVROS makes them of a scan."""
    distances = np.full(72, 65535)
    for index, metres in enumerate(scan.ranges):
        centimetres = np.float32(float(metres) * 1e2)
        if not (math.isnan(centimetres) or centimetres >= 65535 or centimetres < 0):
            distances[index] = int(centimetres)
    degrees = 180.0 / math.pi
    offset, increment = np.float32(scan.angle_min * degrees), np.float32(scan.angle_increment * degrees)
    return distances, offset, increment, int(scan.range_max * 1e2)


def as_px4(distances, offset, increment):
    """Return PX4's own map (72,): of bearing 5 i, clockwise from the nose, the distance in cm (BODY_FRD)."""
    factor = np.float32(1.0) / increment
    found = np.full(72, 65535)
    for i in range(72):
        turned = np.float32(i * 5) - offset
        turned -= np.float32(360) * np.floor(turned / np.float32(360))
        found[i] = distances[math.ceil(turned * factor)]
    return found


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_an_obstacle_to_the_left_for_every_consumer(start, reliability):
    """RELIABLE (MAVROS) and BEST_EFFORT subscribers receive; left is +25 degrees in REP 103, bin 67 of PX4."""
    camera = start(reliability=reliability, attitude__pitch=6.0, attitude__roll=-10.0, range_max=8.0)
    depth = render(CAMERA, [box(25, 3.0)], roll_deg=-10, pitch_deg=6)
    header = camera.send(depth, START_NS)
    answers = camera.answers(header)
    scan = answers["scan"]
    assert (scan.header.stamp, scan.header.frame_id) == (header.stamp, "camera_level")
    assert where(scan) == pytest.approx(25, abs=4)
    assert np.nanmin(scan.ranges) == pytest.approx(2.92, rel=0.01)  # at 21.4 degrees: 3 cos 25 / cos 21.4
    ahead = np.array(scan.ranges)[np.abs(bearings(scan)) < 15]
    assert (ahead == np.inf).all() and np.isnan(scan.ranges[0])
    assert scan.angle_max == pytest.approx(scan.angle_min + (len(scan.ranges) - 1) * scan.angle_increment, abs=1e-5)

    frd = answers["scan_frd"]
    assert frd.header.frame_id == "camera_level_frd" and len(frd.ranges) <= 72
    distances, offset, increment, maximum = as_mavros(frd)
    px4 = as_px4(distances, offset, increment)
    assert (offset % 5, increment, maximum) == (0.0, 5.0, 800)
    assert px4[(360 - 25) // 5] == pytest.approx(294, abs=4) and px4[25 // 5] == maximum + 1 == px4[0]
    assert set(px4[20:52]) == {65535}

    (nearest,) = point_cloud2.read_points(answers["nearest_obstacle"])
    assert nearest.dtype.names == NEAREST_FIELDS
    assert nearest["range"] == pytest.approx(np.nanmin(scan.ranges)) and 20 < math.degrees(nearest["bearing"]) < 30
    assert nearest["y"] > 0 and math.hypot(nearest["x"], nearest["y"]) == pytest.approx(nearest["range"], rel=1e-5)
    assert math.isnan(nearest["closing_speed"]) and math.isnan(nearest["time_to_contact"])


def test_a_camera_that_looks_to_the_right_of_the_vehicle(start):
    camera = start(outputs={"scan_frd": LaserScan}, heading=-90.0)
    answers = camera.answers(camera.send(render(CAMERA, [box(0, 3.0)]), START_NS))
    distances, offset, increment, _ = as_mavros(answers["scan_frd"])
    assert np.argmin(as_px4(distances, offset, increment)) in range(85 // 5, 95 // 5 + 1)


def base_pose(roll_deg, pitch_deg, yaw_deg=70.0):
    """Return T_world_base (4, 4) of a body that leans as a forward-looking camera on it would."""
    T = np.eye(4)
    y = np.radians(yaw_deg)
    turn = np.array([[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]])
    T[:3, :3] = turn @ axes(roll_deg, pitch_deg) @ BODY_OPTICAL.T
    return T


@pytest.mark.parametrize("source", ["odometry", "imu"])
def test_the_attitude_comes_from_a_topic(start, source):
    """The drone leans right by 25 degrees before a low box to the left; a level camera would look over it."""
    camera = start(attitude__source=source, mounting__rotation=FORWARD, band__low=-0.5, band__high=0.5)
    pose = base_pose(25.0, 5.0)
    low_box = box(20, 3.0, z=(-0.3, 0.3))
    for stamp in (START_NS - 20_000_000, START_NS + 20_000_000):
        camera.tell_imu(pose[:3, :3], stamp) if source == "imu" else camera.tell_pose(pose, stamp)
    camera.settle()
    answers = camera.answers(camera.send(render(CAMERA, [low_box], roll_deg=25, pitch_deg=5), START_NS))
    assert where(answers["scan"]) == pytest.approx(20, abs=3)
    status = camera.wait_for_status(lambda s: "camera_roll_deg" in s, "the lean")
    assert (float(status["camera_roll_deg"]), float(status["camera_pitch_deg"])) == pytest.approx((25, 5), abs=0.1)


def test_without_an_attitude_there_is_no_scan_and_the_reason(start):
    """Never come, then stopped, then back; an IMU without an orientation is refused."""
    camera = start(attitude__source="imu", mounting__rotation=FORWARD)
    depth = render(CAMERA, [box(0, 3.0)])
    camera.send(depth, START_NS)
    camera.wait_for_status(lambda s: "no attitude has come" in s.get("message", ""), "that none has come")
    camera.tell_imu(np.eye(3), START_NS, has_orientation=False)
    camera.wait_for_status(lambda s: "estimates no orientation" in s["message"], "that the IMU is refused")
    camera.tell_imu(np.eye(3), START_NS)
    camera.settle()
    camera.send(depth, START_NS + 500_000_000)
    camera.wait_for_status(lambda s: "nearest attitude is 0.50 s" in s["message"], "that it has stopped")
    assert not camera.peer.received["scan"]
    camera.tell_imu(np.eye(3), START_NS + 1_000_000_000)
    camera.settle()
    camera.answers(camera.send(depth, START_NS + 1_050_000_000))


def test_time_to_contact(start):
    """2 m/s from 6 m, ten images a second; the last at 4 m: contact in 2 s. A bag that starts again forgets it."""
    camera = start(outputs={"nearest_obstacle": PointCloud2})
    for index in range(11):
        depth = render(CAMERA, [box(0, 6.0 - 0.2 * index)])
        answers = camera.answers(camera.send(depth, START_NS + index * 100_000_000))
    (nearest,) = point_cloud2.read_points(answers["nearest_obstacle"])
    assert nearest["closing_speed"] == pytest.approx(2.0, abs=0.05)
    assert nearest["time_to_contact"] == pytest.approx(2.0, abs=0.06)
    assert 0 < nearest["time_to_contact_sigma"] < 0.1
    status = camera.wait_for_status(lambda s: s.get("time_to_contact_s", "nan") != "nan", "it in the diagnostics")
    assert float(status["closing_mps"]) == pytest.approx(2.0, abs=0.05)
    answers = camera.answers(camera.send(depth, START_NS - 10**10))
    (nearest,) = point_cloud2.read_points(answers["nearest_obstacle"])
    assert math.isnan(nearest["closing_speed"])
    answers = camera.answers(camera.send(np.full((120, 160), np.inf), START_NS - 9 * 10**9))
    assert answers["nearest_obstacle"].width == 0


def test_bad_images_are_named_and_the_next_size_works(start):
    """No calibration, then one of another size, then a camera that has changed its resolution with its camera_info."""
    camera = start(outputs={"scan": LaserScan})
    depth = render(CAMERA, [box(-20, 3.0)])
    camera.send(depth, START_NS, with_info=False)
    camera.wait_for_status(lambda s: "no camera_info of the depth" in s.get("message", ""), "the missing calibration")
    camera.send(depth[:60], START_NS + 1)
    camera.wait_for_status(lambda s: "the image is 160x60" in s["message"], "the wrong size")
    assert where(camera.answers(camera.send(depth, START_NS + 2))["scan"]) == pytest.approx(-20, abs=3)
    large = pinhole.centred(320, 240, 200.0)
    header = camera.send(render(large, [box(-20, 3.0)]), START_NS + 3, large)
    assert where(camera.answers(header)["scan"]) == pytest.approx(-20, abs=3)


def test_foreground_and_layers(start):
    """A topic each; a depth with nothing to separate says so and does not cost the scan."""
    camera = start(outputs={"scan": LaserScan, "foreground": Image, "layers": Image})
    depth = render(CAMERA, [box(0, 2.0), box(0, 6.0, z=(-5, 5), width=30)])
    header = camera.send(depth, START_NS)
    answers = camera.answers(header)
    for topic in ("foreground", "layers"):
        message = answers[topic]
        assert (message.header, message.encoding) == (header, "mono8") and message.header.frame_id == FRAME
        pixels = np.frombuffer(message.data, np.uint8).reshape(120, 160)
        assert (pixels[depth < 3] == (255 if topic == "foreground" else 1)).all()
        assert (pixels[depth > 5] == (0 if topic == "foreground" else 2)).all()
    count = len(camera.peer.received["layers"])
    header = camera.send(np.full((120, 160), 3.0), START_NS + 1)
    camera.peer.wait(lambda: any(m.header.stamp == header.stamp for m in camera.peer.received["scan"]), what="the scan")
    camera.wait_for_status(lambda s: s.get("layers", "").startswith("none: "), "the reason")
    assert len(camera.peer.received["layers"]) == count


def set_parameter(camera, name, value):
    request = SetParameters.Request()
    request.parameters = [Parameter(name=name, value=ParameterValue(type=3, double_value=value))]
    return camera.peer.call(SetParameters, "/obstacle_node/set_parameters", request).results[0]


def test_the_band_may_change_in_flight(start):
    camera = start(outputs={"scan": LaserScan})
    depth = render(CAMERA, [box(10, 3.0, z=(0.6, 0.9))])
    assert np.isfinite(camera.answers(camera.send(depth, START_NS))["scan"].ranges).any()
    assert set_parameter(camera, "band.high", 0.5).successful
    assert not np.isfinite(camera.answers(camera.send(depth, START_NS + 1))["scan"].ranges).any()
    assert set_parameter(camera, "range_min", 20.0).successful
    camera.send(depth, START_NS + 2)
    camera.wait_for_status(lambda s: "the first must be the smaller one" in s["message"], "the contradiction")
    assert not set_parameter(camera, "band.high", -1.0).successful


def test_what_does_not_go_together_is_refused_at_the_start(ros_env):
    for parameters, words in (
        ({"range_min": 5.0, "range_max": 4.0}, "the first must be the smaller one"),
        ({"publish_tf": True}, "tf2_ros cannot be imported"),
        ({"attitude.source": "imu", "mounting.rotation": "0 0"}, "it takes 3 or 4 numbers"),
    ):
        with NodeProcess("obstacle_node", parameters, ros_env) as process:
            process.wait_for_output(words)


def test_nothing_is_computed_without_a_subscriber(start):
    camera = start(outputs={})
    camera.send(render(CAMERA), START_NS)
    camera.wait_for_status(lambda s: s.get("received") == "1", "the image")
    assert camera.status()["published"] == "0" and "scan_ms_p50" not in camera.status()


def test_the_node_needs_no_torch(project):
    code = "import sys, depth_pro_ros.ros.obstacle_node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=project).returncode == 0
