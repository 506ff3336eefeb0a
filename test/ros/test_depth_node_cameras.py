"""Several cameras before one depth_node over real DDS: each has its own topics, state and health."""

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from ros import camera
from ros.camera import TestCamera, array, plane
from std_srvs.srv import Trigger

FRONT, LEFT = (640, 480), (320, 240)
LEFT_FX = 200.0
TOPICS = {topic: camera.OUTPUTS[topic] for topic in ("depth/image_rect", "depth/camera_info", "points")}
DEPTH = {"depth/image_rect": camera.OUTPUTS["depth/image_rect"]}


def front():
    return camera.image(camera.red_picture(*FRONT), "rgb8", *FRONT), camera.info()


def left(size=LEFT, fx=LEFT_FX):
    """Return another camera's image of `size` and its calibration."""
    width, height = size
    info = camera.info(width, height, fx=fx, fy=fx, cx=width / 2, cy=height / 2)
    return camera.image(camera.red_picture(*size), "rgb8", *size), info


def bad_encoding():
    message, info = left()
    message.encoding = "rgb565"
    return message, info


def blue():
    message, info = left()
    message.encoding = "bgr8"
    return message, info


def other_calibration():
    return left()[0], camera.info(64, 48)


@pytest.fixture
def rig(start, peer):
    """Return a function that starts depth_node with two cameras, and gives process, front and left camera."""

    def _rig(kind, outputs=DEPTH, **parameters):
        process = start(kind, cameras=["front", "left"], **parameters)
        devices = [TestCamera(peer, outputs, name=name) for name in ("front", "left")]
        for device in devices:
            device.wait_for_node()
        return process, *devices

    return _rig


def in_one_pass(device, other, frame, of_other):
    """Send both a frame after a first one, which makes them wait for the next turn; return both headers."""
    device.answer(device.send(*front()))
    return device.send(*frame), other.send(*of_other)


def check(device, header, size, fx):
    """Depth, camera_info and cloud of one frame: the sender's header, size and focal length, and the plane it means."""
    answers = device.answer(header)
    for message in answers.values():
        assert (message.header.stamp, message.header.frame_id) == (header.stamp, header.frame_id)
    width, height = size
    depth = array(answers["depth/image_rect"], np.float32)
    np.testing.assert_allclose(depth, plane(width, height, fx, sensor_width=width), atol=2e-3)
    info = answers["depth/camera_info"]
    assert (info.width, info.height, info.k[0]) == (width, height, fx)
    z = np.frombuffer(bytes(answers["points"].data), np.float32).reshape(height // 2, width // 2, 4)[..., 2]
    np.testing.assert_array_equal(z, depth[::2, ::2])


def test_cameras_of_other_sizes_share_a_pass_and_keep_their_own_stamps_frames_and_calibration(rig):
    _, one, other = rig("plane", TOPICS, max_rate=0.5)
    for size in (LEFT, (160, 120)):  # the second camera changes its resolution, the first does not
        mine, theirs = in_one_pass(one, other, front(), left(size))
        check(one, mine, FRONT, camera.FX)
        check(other, theirs, size, LEFT_FX)
    for device, hardware in ((one, "front"), (other, "left")):
        device.peer.wait(lambda device=device: device.status().get("batch") == "2", 20, "a pass of two images")
        assert device.status()["rejected"] == "0" and "network_ms_p50" in device.status()
        assert hardware_of(device) == hardware
    assert (one.status()["published"], other.status()["published"]) == ("4", "2")


def hardware_of(device):
    statuses = [status for array in device.peer.received["/diagnostics"] for status in array.status]
    (found,) = {status.hardware_id for status in statuses if status.name.endswith(device.status_name)}
    return found


@pytest.mark.parametrize(
    ("kind", "frame", "counter", "words"),
    [
        ("plane", bad_encoding, "rejected", "rgb565"),
        ("plane", other_calibration, "rejected", "64x48"),
        ("picky", blue, "failed", "a blue image (pretended)"),
    ],
)
def test_a_bad_frame_of_one_camera_costs_no_frame_of_another(rig, kind, frame, counter, words):
    """Found bad before the network, or by the network, which then gets the images of that pass one by one."""
    process, one, other = rig(kind, TOPICS, max_rate=0.5)
    mine, _ = in_one_pass(one, other, front(), frame())
    check(one, mine, FRONT, camera.FX)
    one.peer.wait(lambda: other.status().get(counter) == "1", 20, f"{counter} to be counted")
    assert words in other.status()["message"]
    assert (one.status()["rejected"], one.status()["failed"]) == ("0", "0") and process.running
    check(other, other.send(*left()), LEFT, LEFT_FX)


def test_a_camera_has_parameters_of_its_own_and_services_act_on_all(rig, peer, tmp_path):
    own = {"left__focal__source": "fixed", "left__focal__fixed_px": 123.0}
    _, one, other = rig("plane", save_directory=str(tmp_path / "saved"), **own)
    early = peer.call(Trigger, "/depth_node/save_frame", Trigger.Request())
    assert not early.success and early.message.count("no depth") == 2
    one.answer(one.send(*front()))
    half = peer.call(Trigger, "/depth_node/save_frame", Trigger.Request())
    assert not half.success and "front: saved" in half.message and "left: no depth" in half.message
    depth = array(other.answer(other.send(*left()))["depth/image_rect"], np.float32)
    np.testing.assert_allclose(depth, plane(*LEFT, 123.0, sensor_width=LEFT[0]), atol=2e-3)
    saved = peer.call(Trigger, "/depth_node/save_frame", Trigger.Request())
    assert saved.success and sorted(folder.name for folder in (tmp_path / "saved").iterdir()) == ["front", "left"]
    for service in ("reset_focal", "recalibrate_scale"):
        answer = peer.call(Trigger, f"/depth_node/{service}", Trigger.Request())
        assert answer.success and "front: " in answer.message and "; left: " in answer.message


def test_each_camera_is_carried_by_poses_of_its_own(rig, peer):
    _, one, other = rig("slow", propagation__enabled=True, propagation__pose_timeout=0.2)
    poses = peer.publisher(Odometry, "front/odometry", depth=20)
    peer.wait(poses.get_subscription_count, 20.0, "the odometry to be matched")

    def fly():
        header = one.send(*front())
        pose = Odometry(header=header)
        pose.pose.pose.orientation.w = 1.0
        poses.publish(pose)
        return header

    other.answer(other.send(*left()))
    one.answer(fly())
    carried = lambda: one.answer(fly()) and one.status()["propagation"] == "carrying"  # noqa: E731
    peer.wait(carried, what="the front camera's depth to be carried")
    assert "keyframes only" in other.status()["propagation"] and "published_carried" not in other.status()


def test_names_that_are_no_namespaces_fail_the_configuration_with_a_reason(start):
    start("plane", cameras=["front", "front"]).wait_for_output("give each camera a name of its own")
    start("plane", cameras=["front/left"]).wait_for_output("one level of a namespace")
