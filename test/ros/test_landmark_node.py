"""landmark_node as a process over real DDS: landmarks of a made-up room, and poses that fail."""

import time

import numpy as np
import pytest
from matching.panels import ROOM, Panel, pose, view
from ros.moving_camera import FRAME, MovingCamera
from ros.process import NodeProcess
from sensor_msgs.msg import PointCloud2

from depth_pro_ros.ros.standins import point_cloud2

START_NS = 1_700_000_000_000_000_123
PERIOD_NS = 100_000_000


@pytest.fixture
def start(ros_env, peer):
    """Return a function that starts landmark_node with parameters and gives the camera before it."""
    started = []

    def _start(**parameters):
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        started.append(NodeProcess("landmark_node", named, ros_env))
        camera = MovingCamera(peer, "landmark_node", "landmarks", PointCloud2)
        camera.wait_for_node()
        return started[-1], camera

    yield _start
    for process in started:
        process.__exit__()


def drive(camera, poses, told=None, panels=ROOM, start_ns=START_NS):
    """Send images at a pace that the node keeps up with; return the last header."""
    for index, (T, given) in enumerate(zip(poses, told or poses, strict=True)):
        header = camera.send(view(panels, T)[0], start_ns + index * PERIOD_NS, given)
        time.sleep(0.12)
    return header


def sideways(count=8):
    return [pose(x=0.06 * index) for index in range(count)]


def test_landmarks_of_a_room(start):
    _, camera = start()
    header = drive(camera, sideways())
    cloud = camera.answer(header)
    assert cloud.header.frame_id == FRAME and cloud.height == 1 and cloud.is_dense
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "sigma", "intensity"]
    points = point_cloud2.read_points(cloud)
    assert len(points) > 50
    gray, depth = view(ROOM, sideways()[-1])
    u = np.rint(260.0 * points["x"] / points["z"] + 159.5).astype(int)
    v = np.rint(260.0 * points["y"] / points["z"] + 119.5).astype(int)
    assert np.nanmedian(np.abs(points["z"] / depth[v, u] - 1)) < 0.01
    assert np.median(np.abs(points["intensity"] - gray[v, u])) < 40
    assert (points["sigma"] > 0).all() and np.median(points["sigma"] / points["z"]) < 0.05
    found = camera.peer.wait(lambda: "landmarks" in camera.status() and camera.status(), 5.0, "its figures")
    assert int(found["landmarks"]) > 50 and float(found["track_noise_px"]) < 2


def test_poses_between_stamps_and_a_mounting(start):
    # The base looks along its x; odometry comes at other times than the images.
    _, camera = start(mounting__xyz="0.2 0 0.1", mounting__rotation="-0.5 0.5 -0.5 0.5")
    optical = pose()
    optical[:3, :3], optical[:3, 3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], (0.2, 0, 0.1)
    back = np.linalg.inv(optical)
    for index in range(9):
        stamp = START_NS + index * PERIOD_NS
        camera.tell(optical @ pose(x=0.06 * index - 0.03) @ back, stamp - PERIOD_NS // 2)
        header = camera.send(view(ROOM, pose(x=0.06 * index))[0], stamp)
        camera.tell(optical @ pose(x=0.06 * index + 0.03) @ back, stamp + PERIOD_NS // 2)
        time.sleep(0.12)
    points = point_cloud2.read_points(camera.answer(header))
    depth = view(ROOM, pose(x=0.48))[1]
    u = np.rint(260.0 * points["x"] / points["z"] + 159.5).astype(int)
    v = np.rint(260.0 * points["y"] / points["z"] + 119.5).astype(int)
    assert np.nanmedian(np.abs(points["z"] / depth[v, u] - 1)) < 0.01


def said(camera, text):
    return camera.peer.wait(lambda: text in camera.status().get("message", ""), 8.0, f"the diagnostics to say {text!r}")


def test_what_gives_no_landmarks_is_said_and_the_next_motion_works(start):
    process, camera = start(pose_timeout=0.3)
    for index in range(3):
        camera.send(view(ROOM, pose())[0], START_NS + index * PERIOD_NS)
        time.sleep(0.1)
    said(camera, "no odometry has come")
    drive(camera, [pose(turn=(0, index, 0)) for index in range(6)], start_ns=START_NS + 20 * PERIOD_NS)
    said(camera, "stands still or only turns")
    drive(camera, sideways(3), panels=[Panel(3.0, blank=True)], start_ns=START_NS + 40 * PERIOD_NS)
    said(camera, "lacks texture")
    assert not camera.answers
    header = drive(camera, sideways(), start_ns=START_NS + 60 * PERIOD_NS)
    assert camera.answer(header).width > 50
    drive(camera, [pose(x=0.5)], [pose(x=4.5)], start_ns=START_NS + 80 * PERIOD_NS)
    said(camera, "jumped")
    assert process.running


def test_a_bad_mounting_is_refused_and_tf_is_asked_for(ros_env):
    with NodeProcess("landmark_node", {"mounting.xyz": "1 2"}, ros_env) as process:
        process.wait_for_output("parameter 'mounting.xyz' is '1 2'; it takes 3 numbers")
    with NodeProcess("landmark_node", {"pose_source": "tf"}, ros_env) as process:
        process.wait_for_output("tf2_ros")
