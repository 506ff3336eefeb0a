"""odometry_node as a process over real DDS: the path through a made-up room, lost and found, frames and covariance."""

import time

import numpy as np
import pytest
from matching.panels import ROOM, Panel, pose, view
from nav_msgs.msg import Odometry
from ros.moving_camera import FRAME, MovingCamera
from ros.process import NodeProcess

from depth_pro_ros.ros.odometry_messages import pose_from_message

START_NS = 1_700_000_000_000_000_123
PERIOD_NS = 100_000_000


@pytest.fixture
def start(ros_env, peer):
    """Return a function that starts odometry_node with parameters and gives the camera before it."""
    started = []

    def _start(**parameters):
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        started.append(NodeProcess("odometry_node", named, ros_env))
        camera = MovingCamera(peer, "odometry_node", "odometry", Odometry)
        camera.wait_for_node()
        return started[-1], camera

    yield _start
    for process in started:
        process.__exit__()


def moves(count=8):
    return [pose(0.05 * i, 0.01 * i, 0.03 * i, (0.2 * i, -0.6 * i, 0.3 * i)) for i in range(count)]


def drive(camera, poses, panels=ROOM, first=0):
    for index, T in enumerate(poses, start=first):
        gray, depth = view(panels, T)
        header = camera.send(gray, START_NS + index * PERIOD_NS, depth=depth)
        time.sleep(0.12)
    return header


def test_the_path_through_a_room(start):
    _, camera = start()
    header = drive(camera, moves())
    message = camera.answer(header)
    assert (message.header.frame_id, message.child_frame_id) == ("odom", FRAME)
    away = np.linalg.inv(moves()[-1]) @ pose_from_message(message.pose.pose)
    assert np.linalg.norm(away[:3, 3]) < 0.015
    covariance = np.reshape(message.pose.covariance, (6, 6))
    assert (np.linalg.eigvalsh(covariance) > 0).all() and np.allclose(covariance, covariance.T)
    found = camera.peer.wait(lambda: "inliers" in camera.status() and camera.status(), 5.0, "its figures")
    assert found["tracking"] == "good" and int(found["inliers"]) > 50


def test_a_base_that_looks_along_its_x(start):
    _, camera = start(base_frame="base_link", mounting__xyz="0.1 0 0.2", mounting__rotation="-0.5 0.5 -0.5 0.5")
    header = drive(camera, [pose(z=0.05 * index) for index in range(8)])
    message = camera.answer(header)
    position = message.pose.pose.position
    assert message.child_frame_id == "base_link"
    assert (position.x, position.y, position.z) == pytest.approx((0.35, 0, 0), abs=0.015)


def test_lost_is_said_and_nothing_is_published_until_found(start):
    _, camera = start()
    path = moves(5)
    before = camera.answer(drive(camera, path))
    count = len(camera.answers)
    drive(camera, [pose()] * 3, [Panel(3.0, blank=True)], first=10)
    camera.peer.wait(lambda: camera.status().get("tracking") == "lost", 5.0, "the node to say that it is lost")
    assert "lost: " in camera.status()["message"] and camera.status()["level"] != b"\x00"
    assert len(camera.answers) == count
    again = camera.answer(drive(camera, path[-1:], first=20))
    assert again.pose.pose.position.x == pytest.approx(before.pose.pose.position.x, abs=0.005)
    camera.peer.wait(lambda: camera.status().get("tracking") == "good", 5.0, "the node to say that it is found")


def test_depth_that_never_comes_is_said(start):
    _, camera = start()
    for index in range(30):
        camera.send(view(ROOM, pose())[0], START_NS + index * PERIOD_NS)
        time.sleep(0.1)
    camera.peer.wait(lambda: "no image and depth" in camera.status()["message"], 5.0, "the diagnostics to say so")


def test_a_mounting_on_nothing_is_refused(ros_env):
    with NodeProcess("odometry_node", {"mounting.xyz": "1 0 0"}, ros_env) as process:
        process.wait_for_output("'base_frame' is empty")
