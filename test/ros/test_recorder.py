"""The recorder: what it brings together, on which pixel grid, and as a process over DDS."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ros.process import NodeProcess
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.clouds import cloud_from_depth
from depth_pro_ros.ros.depth_outputs import DEPTH, DEPTH_INFO, FOCAL, POINTS
from depth_pro_ros.ros.images import encode_depth, encode_rgb
from depth_pro_ros.ros.recorded_frame import IMAGE, IMAGE_INFO, TRUTH, Undistorter, cloud_arrays, frame_arrays
from depth_pro_ros.ros.recorder import INPUTS, OUTPUTS
from depth_pro_ros.ros.stamp_matcher import KEPT_OUTPUTS, Arrival, StampMatcher

WIDTH, HEIGHT = 8, 6


def header(number: int) -> Header:
    head = Header(frame_id="cam")
    head.stamp.sec = number
    return head


def arrival(number: int, size: int = 0) -> Arrival:
    """Return an arrival of a message of stamp `number` s with `size` bytes of data."""
    message = Image(header=header(number), data=bytes(size)) if size else CameraInfo(header=header(number))
    return Arrival(message, 1.0, float(number))


def stamps(frames):
    return [frame["depth"].message.header.stamp.sec for frame in frames]


# Matching.


def test_frame_is_complete_with_every_output_and_takes_its_inputs_along():
    matcher = StampMatcher(["depth", "points"])
    matcher.add_input("image", arrival(1, 10))
    matcher.add_output("depth", arrival(1))
    assert matcher.take_complete() == []
    matcher.add_output("points", arrival(1))
    (frame,) = matcher.take_complete()
    assert frame.keys() == {"image", "depth", "points"}
    assert matcher.take_complete() == []


def test_outputs_alone_are_a_frame_and_inputs_alone_are_none():
    matcher = StampMatcher(["depth"])
    matcher.add_input("image", arrival(1, 10))
    matcher.add_output("depth", arrival(2))
    assert [frame.keys() for frame in matcher.take_complete()] == [{"depth"}]


def test_complete_frames_come_in_order_and_end_the_wait_for_older_ones():
    matcher = StampMatcher(["depth", "points"])
    for number in (3, 1, 2):
        matcher.add_output("depth", arrival(number))
    for number in (3, 1):
        matcher.add_output("points", arrival(number))
    assert stamps(matcher.take_complete()) == [1, 3]
    matcher.add_output("depth", arrival(4)), matcher.add_output("points", arrival(4))
    assert stamps(matcher.take_complete()) == [4]


def test_oldest_data_is_forgotten_first_but_not_what_weighs_nothing():
    matcher = StampMatcher(["depth"], kept_bytes=25)
    for number in (1, 2, 3):
        matcher.add_input("image", arrival(number, 10)), matcher.add_input("info", arrival(number))
    for number in (1, 2, 3):
        matcher.add_output("depth", arrival(number))
    assert [frame.keys() for frame in matcher.take_complete()] == [
        {"info", "depth"},
        {"image", "info", "depth"},
        {"image", "info", "depth"},
    ]


def test_room_is_free_again_after_a_frame():
    matcher = StampMatcher(["depth"], kept_bytes=25)
    for number in range(1, 6):
        matcher.add_input("image", arrival(number, 20))
        matcher.add_output("depth", arrival(number))
        (frame,) = matcher.take_complete()
        assert "image" in frame


def test_outputs_that_never_become_complete_are_not_hoarded():
    matcher = StampMatcher(["depth", "points"])
    for number in range(1, KEPT_OUTPUTS + 2):
        matcher.add_output("depth", arrival(number))
    matcher.add_output("points", arrival(1)), matcher.add_output("points", arrival(2))
    assert stamps(matcher.take_complete()) == [2]


# Arrays.


def camera_info(number: int, d=()) -> CameraInfo:
    info = info_from_intrinsics(pinhole.centred(WIDTH, HEIGHT, 10.0), header(number))
    info.d = list(d)
    info.p = np.zeros(12)
    return info


def picture() -> np.ndarray:
    return np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)


def truth() -> np.ndarray:
    return np.linspace(1, 3, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)


def messages(number: int) -> dict:
    """Return all messages of one frame; the depth has half the image's size, the network believes 12 px."""
    intrinsics = pinhole.resize(pinhole.centred(WIDTH, HEIGHT, 10.0), WIDTH // 2, HEIGHT // 2)
    depth_m = np.full((HEIGHT // 2, WIDTH // 2), 2.0, np.float32)
    depth_m[0, 0] = np.inf
    head = header(number)
    return {
        IMAGE_INFO: camera_info(number),
        TRUTH: encode_depth(truth(), "32FC1", head),
        IMAGE: encode_rgb(picture(), head),
        DEPTH_INFO: info_from_intrinsics(intrinsics, head),
        DEPTH: encode_depth(depth_m, "32FC1", head),
        POINTS: cloud_from_depth(depth_m, picture(), intrinsics, head),
        FOCAL: info_from_intrinsics(pinhole.centred(WIDTH, HEIGHT, 12.0), head),
    }


def check_arrays(arrays) -> None:
    assert arrays["depth_m"].shape == (HEIGHT // 2, WIDTH // 2) and arrays["depth_m"][0, 0] == np.inf
    np.testing.assert_array_equal(arrays["photo"], picture())
    np.testing.assert_array_equal(arrays["truth_m"], truth()[::2, ::2])
    assert arrays["focal_px"] == 5.0 and arrays["believed_focal_px"] == 6.0 and arrays["calibrated"]
    assert np.isnan(arrays["points"][0, 0]).all()
    np.testing.assert_allclose(arrays["points"][2, 3], [1.5 * 2 / 5, 1 * 2 / 5, 2], rtol=1e-6)


def test_arrays_of_a_frame():
    arrivals = {topic: Arrival(message, 7.5, 3.0) for topic, message in messages(1).items()}
    arrays = frame_arrays(arrivals, Undistorter())
    check_arrays(arrays)
    assert (arrays["age_ms"], arrays["arrived_s"]) == (7.5, 3.0)


def test_frame_whose_image_is_gone_shows_the_clouds_colours():
    arrivals = {topic: Arrival(message, 7.5, 3.0) for topic, message in messages(1).items() if topic in OUTPUTS}
    arrays = frame_arrays(arrivals, Undistorter())
    np.testing.assert_array_equal(arrays["photo"], arrays["colours"])
    assert arrays["photo"].shape == (HEIGHT // 2, WIDTH // 2, 3)
    assert "truth_m" not in arrays and not arrays["calibrated"]


def test_cloud_keeps_rows_columns_and_colours():
    rgb = picture()
    points, colours = cloud_arrays(cloud_from_depth(truth(), rgb, pinhole.centred(WIDTH, HEIGHT, 10.0), header(1)))
    np.testing.assert_array_equal(colours, rgb)
    np.testing.assert_array_equal(points[..., 2], truth())


def test_truth_is_undistorted_without_mixing_depths():
    d = [-0.3, 0.1, 0.002, -0.001, 0.0]
    k = pinhole.centred(64, 48, 50.0).matrix
    info = info_from_intrinsics(pinhole.centred(64, 48, 50.0), header(1))
    info.d = d  # P stays K
    depth_m = np.random.default_rng(0).uniform(1, 9, (48, 64)).astype(np.float32)
    found = Undistorter().truth(depth_m, info)
    u, v = cv2.initUndistortRectifyMap(k, np.array(d), np.eye(3), k, (64, 48), cv2.CV_32FC1)
    inside = (u > 0) & (u < 63) & (v > 0) & (v < 47)
    clear = inside & (abs(u % 1 - 0.5) > 0.05) & (abs(v % 1 - 0.5) > 0.05)  # no tie between two neighbours
    assert clear.sum() > 1000
    expected = depth_m[np.rint(v[clear]).astype(int), np.rint(u[clear]).astype(int)]
    np.testing.assert_array_equal(found[clear], expected)
    outside = (u < -1) | (u > 64) | (v < -1) | (v > 48)
    assert np.isnan(found[outside]).all()


def test_nothing_is_undistorted_without_distortion():
    undistorter = Undistorter()
    for info in (None, camera_info(1), camera_info(1, [0.0] * 5)):
        np.testing.assert_array_equal(undistorter.truth(truth(), info), truth())
        np.testing.assert_array_equal(undistorter.photo(picture(), info), picture())


# The process.


def wait_for(file: Path, node: NodeProcess, timeout_s: float = 40.0) -> Path:
    end = time.monotonic() + timeout_s
    while not file.exists():
        assert time.monotonic() < end and node.running, node.output
        time.sleep(0.02)
    return file


def test_recorder_over_dds(peer, ros_env, tmp_path):
    kinds = INPUTS | OUTPUTS
    publishers = {topic: peer.publisher(kind, topic) for topic, kind in kinds.items()}
    diagnostics = peer.publisher(DiagnosticArray, "/diagnostics")
    with NodeProcess("recorder", {"folder": str(tmp_path)}, ros_env) as node:
        peer.wait(lambda: all(publishers[topic].get_subscription_count() == 1 for topic in OUTPUTS))
        assert all(publishers[topic].get_subscription_count() == 0 for topic in INPUTS)  # the camera must not start yet
        peer.collect(Image, IMAGE)
        peer.wait(lambda: publishers[IMAGE].get_subscription_count() == 2)
        peer.wait(lambda: all(publishers[topic].get_subscription_count() for topic in (IMAGE_INFO, TRUTH)))
        for number in (1, 2):
            for topic, message in messages(number).items():
                publishers[topic].publish(message)
        values = [KeyValue(key="published", value="2")]
        statuses = [DiagnosticStatus(name=name, message="fine", values=values) for name in ("other", "depth_node")]
        diagnostics.publish(DiagnosticArray(status=statuses))
        for number in range(2):
            with np.load(wait_for(tmp_path / f"frame_{number:06d}.npz", node)) as arrays:
                check_arrays(arrays)
        status = json.loads(wait_for(tmp_path / "status.json", node).read_text())
        assert status == {"published": "2", "message": "fine", "heard": 1}
        assert node.end(signal.SIGINT) == 0, node.output
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's word at a parent's end is Linux's")
def test_child_ends_with_a_killed_parent(ros_env, tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'depth_pro_ros.ros.child', 'recorder', '--ros-args', '-p', sys.argv[1]]\n"
        "print(subprocess.Popen(command).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, f"folder:={tmp_path}"]
    with subprocess.Popen(command, env=ros_env, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        environment = Path(f"/proc/{child}/environ")
        wait_until(lambda: "depth_pro_ros.ros.recorder" in Path(f"/proc/{child}/cmdline").read_text())
        assert b"fastdds_loopback.xml" in environment.read_bytes()
        assert os.path.exists(f"/proc/{child}")
        parent.kill()
        wait_until(lambda: ended(child))


def ended(pid: int) -> bool:
    """Return whether a process is gone, or a zombie that its new parent has not yet asked for."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
