"""map_node as a process over real DDS: the map in the odometry's frame, late and lost poses, restarts, saving."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from rclpy.qos import ReliabilityPolicy
from ros import camera as messages
from ros.depth_camera import DepthCamera
from ros.process import NodeProcess
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.ros.standins import point_cloud2

CAMERA = pinhole.centred(160, 120, 100.0)
START_NS = 1_700_000_000_000_000_123
SECOND = 1_000_000_000
QUICK = {"color": False, "publish_period": 0.0, "keyframe__distance": 0.0, "least_evidence": 1}


@pytest.fixture
def start(ros_env, peer, tmp_path):
    """Return a function that starts map_node with parameters and gives the camera before it."""
    started = []

    def _start(outputs=None, reliability=ReliabilityPolicy.RELIABLE, **parameters):
        values = {**QUICK, "save_directory": str(tmp_path), **parameters}
        started.append(
            NodeProcess("map_node", {name.replace("__", "."): value for name, value in values.items()}, ros_env)
        )
        outputs = {"map_points": PointCloud2} if outputs is None else outputs
        camera = DepthCamera(peer, "map_node", CAMERA, outputs, reliability)
        camera.wait_for_node()
        return camera

    yield _start
    for process in started:
        process.__exit__()


def wall(depth_m):
    return np.full((120, 160), depth_m, np.float32)


def pose(x=0.0, y=0.0, z=0.0):
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def see(camera, depth, T, stamp_ns, frame_id="odom"):
    """Send a depth image after its pose, which may go back in time; return the map that it makes."""
    camera.tell_pose(T, stamp_ns, frame_id)
    camera.settle()
    return camera.answers(camera.send(depth, stamp_ns))["map_points"]


def xyz(cloud):
    rows = point_cloud2.read_points(cloud, ["x", "y", "z"])
    return np.stack([rows[name] for name in "xyz"], axis=1)


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_two_views_in_the_odometrys_frame(start, reliability):
    """A wall at z = 3 seen from z = 0 and, 1 m to the right, from z = 0.5; for either kind of subscriber."""
    camera = start(reliability=reliability)
    first = see(camera, wall(3.0), pose(), START_NS, "map_frame")
    assert first.header.frame_id == "map_frame" and first.header.stamp.nanosec == 123
    second = see(camera, wall(2.5), pose(x=1.0, z=0.5), START_NS + SECOND, "map_frame")
    points = xyz(second)
    np.testing.assert_allclose(points[:, 2], 3.0, atol=1e-4)
    half, down = 80 / 100 * 3.0, 60 / 100 * 3.0
    assert points[:, 0].min() == pytest.approx(-half, abs=0.1)
    assert points[:, 0].max() == pytest.approx(1 + 80 / 100 * 2.5, abs=0.1)
    assert np.abs(points[:, 1]).max() == pytest.approx(down, abs=0.1)
    assert (second.height, second.is_dense, [f.name for f in second.fields]) == (1, True, ["x", "y", "z"])


def test_the_base_carries_the_camera(start):
    """Looking along the base's x from 0.2 m above it: the wall 3 m ahead is at x = 3.1 of the world."""
    camera = start(mounting__xyz="0.1 0 0.2", mounting__rotation="-0.5 0.5 -0.5 0.5")
    points = xyz(see(camera, wall(3.0), pose(), START_NS))
    np.testing.assert_allclose(points[:, 0], 3.1, atol=1e-4)
    assert points[:, 2].mean() == pytest.approx(0.2, abs=0.05)


def test_colour_and_sigma_come_with_their_stamps(start):
    """The image is twice the depth's size and arrives before it, sigma after it; red stays red."""
    camera = start(color=True, sigma__topic=True, pose_timeout=5.0)
    camera.announce(Image, "depth/sigma")
    red = np.zeros((240, 320, 3), np.uint8)
    red[...] = (200, 30, 10)
    large = pinhole.resize(CAMERA, 320, 240)
    info = messages.info(large.width, large.height, large.fx, large.fy, large.cx, large.cy)
    camera.publish(CameraInfo, "camera_info", info, START_NS)
    camera.publish(Image, "image", messages.image(red, "rgb8", 320, 240), START_NS)
    camera.tell_pose(pose(), START_NS)
    header = camera.send(wall(3.0), START_NS)
    camera.publish(Image, "depth/sigma", messages.image(wall(0.01), "32FC1", 160, 120), START_NS)
    cloud = camera.answers(header)["map_points"]
    rows = point_cloud2.read_points(cloud)
    assert rows.dtype.names == ("x", "y", "z", "rgb") and len(rows) > 500
    assert set(rows["rgb"].view(np.uint32)) == {(200 << 16) + (30 << 8) + 10}
    camera.tell_pose(pose(), START_NS + SECOND)
    camera.send(wall(3.0), START_NS + SECOND)
    camera.wait_for_status(lambda s: "no message with its stamp on image and depth/sigma" in s["message"], "the lack")


def test_poses_that_come_late_out_of_order_or_not_at_all(start):
    camera = start(pose_timeout=2.0, pose_max_gap=3.0)
    camera.tell_pose(pose(), START_NS - SECOND)
    header = camera.send(wall(3.0), START_NS)
    camera.wait_for_status(lambda s: s.get("received") == "1", "the image")
    camera.tell_pose(pose(x=2.0), START_NS + SECOND)  # late: the image lies half-way
    points = xyz(camera.answers(header)["map_points"])
    assert points[:, 0].mean() == pytest.approx(1.0, abs=0.05)
    camera.tell_pose(pose(x=50.0), START_NS + SECOND // 2)  # out of order: passed over
    header = camera.send(wall(3.0), START_NS + 10)
    assert np.abs(xyz(camera.answers(header)["map_points"])).max() < 5
    camera.send(wall(3.0), START_NS + 2 * SECOND)  # and now the poses have stopped
    camera.wait_for_status(lambda s: "the odometry has stopped" in s["message"], "that they have stopped")
    camera.send(wall(3.0), START_NS - SECOND - 10)
    camera.wait_for_status(lambda s: "older than any odometry" in s["message"], "an image before all poses")


def test_a_bag_that_starts_again_and_another_frame_begin_anew(start):
    camera = start()
    see(camera, wall(3.0), pose(x=-5.0), START_NS)
    both = xyz(see(camera, wall(3.0), pose(x=5.0), START_NS + 20 * SECOND))
    assert both[:, 0].min() < -5 and both[:, 0].max() > 5
    again = xyz(see(camera, wall(3.0), pose(x=5.0), START_NS + SECOND))
    assert again[:, 0].min() > 2
    other = see(camera, wall(3.0), pose(x=-5.0), START_NS + 2 * SECOND, "odom_after_reset")
    assert other.header.frame_id == "odom_after_reset" and xyz(other)[:, 0].max() < -2


def test_the_window_and_the_bound_hold_in_flight(start):
    camera = start(window=5.0, max_voxels=1500, stride=1)
    for index in range(8):
        cloud = see(camera, wall(3.0), pose(x=3.0 * index), START_NS + index * SECOND)
        assert cloud.width <= 1500 and np.abs(xyz(cloud)[:, 0] - 3.0 * index).max() <= 5.1
    status = camera.wait_for_status(lambda s: s.get("keyframes") == "8", "its figures")
    assert int(status["voxels"]) <= 1500 and float(status["map_mb"]) <= 1500 * 44 / 1e6 + 0.1


def test_something_that_left_disappears(start):
    camera = start()
    with_box = wall(4.0)
    with_box[40:80, 60:100] = 2.0
    assert (xyz(see(camera, with_box, pose(), START_NS))[:, 2] < 2.5).any()
    assert not (xyz(see(camera, wall(4.0), pose(), START_NS + 6 * SECOND))[:, 2] < 2.5).any()


def test_saved_cleared_and_empty(start, tmp_path):
    camera = start(outputs={}, keyframe__distance=0.2)
    save = lambda: camera.peer.call(Trigger, "/map_node/save_map", Trigger.Request())  # noqa: E731
    answer = save()
    assert not answer.success and "the map is empty" in answer.message
    camera.tell_pose(pose(x=1.0), START_NS)
    camera.send(wall(3.0), START_NS)
    camera.wait_for_status(lambda s: s.get("keyframes") == "1", "the keyframe, though nobody subscribes")
    answer = save()
    assert answer.success, answer.message
    (path,) = tmp_path.glob("map_*.ply")
    assert str(path) in answer.message and not list(tmp_path.glob("*.part"))
    header, _, body = path.read_bytes().partition(b"end_header\n")
    count = int(header.split(b"element vertex ")[1].split()[0])
    assert b"comment frame 'odom', metres" in header and f"saved {count} voxels" in answer.message
    points = np.array(list(struct.iter_unpack("<3f", body)))
    assert len(points) == count and points[:, 0].mean() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(points[:, 2], 3.0, atol=1e-4)
    assert camera.peer.call(Trigger, "/map_node/clear_map", Trigger.Request()).success
    assert "the map is empty" in save().message


def test_what_does_not_go_together_is_refused_at_the_start(ros_env):
    for parameters, words in (
        ({"min_depth": 5.0, "max_depth": 4.0}, "the first must be the smaller one"),
        ({"pose_source": "tf"}, "tf2_ros cannot be imported"),
    ):
        with NodeProcess("map_node", parameters, ros_env) as process:
            process.wait_for_output(words)


def test_the_node_needs_no_torch(project):
    code = "import sys, depth_pro_ros.ros.map_node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=project).returncode == 0
