"""camera_node as a process: what it publishes over DDS, and how it ends."""

import json
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from ros.process import Listener, NodeProcess

from depth_pro_ros.ros.camera_parameters import CAMERA_PARAMETERS
from depth_pro_ros.ros.images import decode_compressed, decode_depth, decode_image
from depth_pro_ros.ros.parameters import yaml_file
from depth_pro_ros.scenes import World

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
TOPICS = {"image": IMAGE, "camera_info": INFO}
TRUTH = {"ground_truth/depth": IMAGE, "odometry": "nav_msgs/msg/Odometry"}
ONCE = {"wait_for_subscribers": True, "start_delay": 0.5, "exit_at_end": True}
RED, BLUE = (200, 30, 10), (10, 30, 200)


def half_red_half_blue(width: int = 64, height: int = 48) -> np.ndarray:
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 2], rgb[:, width // 2 :] = RED, BLUE
    return rgb


def stamp_ns(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def publish(params, topics, count, env, tmp_path):
    """Return topic → messages of a camera_node that plays `count` frames to a listener and exits with 0."""
    with Listener(topics, count, env, tmp_path / "messages") as listener:
        with NodeProcess("camera_node", ONCE | params, env) as node:
            received = listener.messages()
            assert node.wait() == 0, node.output
    assert {topic: len(messages) for topic, messages in received.items()} == dict.fromkeys(topics, count), node.output
    return received


def test_folder_with_truth_goes_through_with_colours_and_stamps(tmp_path, ros_env):
    folder = tmp_path / "folder"
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for name in ("12.250000", "12.300000"):
        cv2.imwrite(str(folder / "rgb" / f"{name}.png"), half_red_half_blue()[..., ::-1])
        cv2.imwrite(str(folder / "depth" / f"{name}.png"), np.eye(48, 64, dtype=np.uint16) * 2500)
    (folder / "rgb" / "12.270000.png").write_bytes(b"broken")
    k = {"width": 64, "height": 48, "fx": 60.0, "fy": 61.0, "cx": 30.0, "cy": 20.0, "distortion": [0.1, 0, 0, 0, 0]}
    (folder / "intrinsics.json").write_text(json.dumps(k))
    half = np.sqrt(0.5)
    (folder / "poses.txt").write_text(f"12.250000 1 2 3 0 0 {half} {half}\n12.300000 1 2 4 0 0 0 1\n")
    params = {"source": "folder", "path": str(folder), "stamp": "source", "frame_id": "cam"}
    received = publish(params, TOPICS | TRUTH, 2, ros_env, tmp_path)
    for messages in received.values():
        assert [stamp_ns(message) for message in messages] == [12_250_000_000, 12_300_000_000]
    image, info = received["image"][0], received["camera_info"][0]
    assert image.encoding == "rgb8" and image.header.frame_id == info.header.frame_id == "cam"
    assert np.array_equal(decode_image(image), half_red_half_blue())
    np.testing.assert_allclose(info.k, [60, 0, 30, 0, 61, 20, 0, 0, 1])
    assert list(info.d) == [0.1, 0, 0, 0, 0] and (info.width, info.height) == (64, 48)
    depth_m = decode_depth(received["ground_truth/depth"][0])
    assert depth_m[3, 3] == 2.5 and np.isnan(depth_m[3, 4])
    odometry = received["odometry"][0]
    assert odometry.header.frame_id == "world" and odometry.child_frame_id == "cam"
    position, turn = odometry.pose.pose.position, odometry.pose.pose.orientation
    np.testing.assert_allclose([position.x, position.y, position.z], [1, 2, 3])
    np.testing.assert_allclose(np.abs([turn.x, turn.y, turn.z, turn.w]), [0, 0, half, half], atol=1e-9)


def test_real_folder(data_dir, tmp_path, ros_env):
    folder = data_dir / "rgbd_hololens"
    params = {"source": "folder", "path": str(folder), "frames": 3, "rate": 30.0}
    received = publish(params, TOPICS | TRUTH, 3, ros_env, tmp_path)
    first = cv2.cvtColor(cv2.imread(str(sorted((folder / "rgb").iterdir())[0])), cv2.COLOR_BGR2RGB)
    assert np.array_equal(decode_image(received["image"][0]), first)
    assert received["image"][0].header.frame_id == "camera_optical_frame"
    assert len({stamp_ns(messages[0]) for messages in received.values()}) == 1


@pytest.mark.parametrize(
    ("name", "encoding", "frame_id"),
    [
        ("tum_fr1_desk_rgbd", "rgb8", "camera_color_optical_frame"),
        ("chessboard_stereo_raw", "mono8", "stereo_left_optical"),
    ],
)
def test_real_bag_keeps_encoding_stamps_and_distortion(data_dir, tmp_path, ros_env, name, encoding, frame_id):
    params = {"source": "bag", "path": str(data_dir / "rosbag2" / name), "stamp": "source", "frame_id": ""}
    received = publish(params, TOPICS, 6, ros_env, tmp_path)
    images, infos = received["image"], received["camera_info"]
    assert {image.encoding for image in images} == {encoding} and images[0].header.frame_id == frame_id
    assert [stamp_ns(image) for image in images] == [stamp_ns(info) for info in infos]
    assert stamp_ns(images[0]) in (1_305_031_453_359_684_000, 1_700_000_000_000_000_000)
    assert infos[0].d[0] != 0 and infos[0].p[0] > 0


def test_video_keeps_colours_and_has_unknown_calibration(tmp_path, ros_env):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (64, 48))
    for _ in range(3):
        writer.write(half_red_half_blue()[..., ::-1])
    writer.release()
    topics = TOPICS | {"image/compressed": "sensor_msgs/msg/CompressedImage"}
    params = {"source": "video", "path": str(tmp_path / "v.avi"), "compressed": True}
    received = publish(params, topics, 3, ros_env, tmp_path)
    for rgb in (decode_image(received["image"][0]), decode_compressed(received["image/compressed"][0])):
        np.testing.assert_allclose(rgb[24, 10], RED, atol=16)
        np.testing.assert_allclose(rgb[24, 54], BLUE, atol=16)
    assert not received["camera_info"][0].k.any() and received["camera_info"][0].width == 64


def test_scene_is_published_with_its_truth(tmp_path, ros_env):
    params = {"width": 80, "height": 60, "fov_deg": 90, "seed": 3, "frames": 2, "rate": 20}
    received = publish(params, TOPICS | TRUTH, 2, ros_env, tmp_path)
    info = received["camera_info"][0]
    assert info.k[0] == pytest.approx(40.0) and (info.k[2], info.k[5]) == (39.5, 29.5)
    depth_m = decode_depth(received["ground_truth/depth"][1])
    position = received["odometry"][1].pose.pose.position
    expected = World("aisle", 3).flight(2, 20.0)[1].T_world_camera[:3, 3]
    np.testing.assert_allclose([position.x, position.y, position.z], expected)
    assert depth_m.shape == (60, 80) and 0.2 < depth_m.min() < depth_m.max() < 20


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_with_status_0(ros_env, by):
    with NodeProcess("camera_node", {"width": 64, "height": 48, "loop": True}, ros_env) as node:
        node.wait_for_output("source: scene")
        assert node.end(by) == 0, node.output
    assert "Traceback" not in node.output


def test_a_missing_path_ends_a_node_that_should_exit_at_the_end_with_1(ros_env):
    with NodeProcess("camera_node", {"source": "folder", "path": "/no/such", "exit_at_end": True}, ros_env) as node:
        assert node.wait() == 1
    assert "there is no folder /no/such" in node.output and "Traceback" not in node.output


LIFE = """
import rclpy, sys
from rclpy.parameter import Parameter
from depth_pro_ros.ros.camera_node import CameraNode

rclpy.init(args=["x", "--ros-args", "-p", "source:=folder", "-p", "path:=/no/such"])
node = CameraNode()
value = lambda **values: node.set_parameters([Parameter(name, value=v) for name, v in values.items()])[0]
print("first:", node.trigger_configure().name)
print("correction:", value(path=sys.argv[1]).successful)
print("second:", node.trigger_configure().name, node.trigger_activate().name)
print("locked:", value(path="/other").reason)
print("bad:", value(rate=-1.0).successful)
print("down:", node.trigger_deactivate().name, node.trigger_cleanup().name)
print("again:", node.trigger_configure().name, node.trigger_shutdown().name)
node.destroy_node()
rclpy.try_shutdown()
"""


def test_a_failed_configuration_can_be_corrected_and_the_lifecycle_repeated(tmp_path, ros_env):
    cv2.imwrite(str(tmp_path / "a.png"), half_red_half_blue())
    command = [sys.executable, "-c", LIFE, str(tmp_path)]
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines["first"] == "FAILURE" and "there is no folder /no/such" in done.stderr
    assert lines["correction"] == "True" and lines["second"] == "SUCCESS SUCCESS"
    assert "clean up the node" in lines["locked"] and lines["bad"] == "False"
    assert lines["down"] == lines["again"] == "SUCCESS SUCCESS"


def test_a_node_without_exit_at_end_waits_to_be_corrected(ros_env):
    with NodeProcess("camera_node", {"source": "bag", "path": "/no/such"}, ros_env) as node:
        node.wait_for_output("cannot read the bag")
        assert node.running
        assert node.end() == 0


def test_the_parameter_file_is_made_from_the_table(project):
    assert (project / "config" / "camera.yaml").read_text() == yaml_file("camera_node", CAMERA_PARAMETERS)
