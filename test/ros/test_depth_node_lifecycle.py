"""depth_node's life: transitions, parameters, weights, services, signals, overload; in its own process over DDS."""

import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from ros import camera
from ros.camera import TestCamera
from ros.process import NodeProcess
from std_srvs.srv import Trigger

RGB = camera.red_picture()
DEPTH = {"depth/image_rect": camera.OUTPUTS["depth/image_rect"]}
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


def change(peer, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return peer.call(ChangeState, "/depth_node/change_state", request).success


def state(peer):
    return peer.call(GetState, "/depth_node/get_state", GetState.Request()).current_state.id


def set_parameter(peer, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return peer.call(SetParameters, "/depth_node/set_parameters", request).results[0]


def good(device):
    return device.answer(device.send(camera.image(RGB, "rgb8"), camera.info()))


def test_configure_and_clean_up_many_times(start, peer):
    start("plane", autostart=False)
    device = TestCamera(peer, DEPTH)
    assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
    memory = []
    for _ in range(6):
        assert change(peer, CONFIGURE) and change(peer, ACTIVATE)
        device.wait_for_node()
        good(device)
        time.sleep(1.1)
        memory.append(float(peer.status()["memory_mb"]))
        assert change(peer, DEACTIVATE) and change(peer, CLEANUP)
    assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
    assert memory[-1] - memory[2] < 25, f"resident memory grows: {memory} MB"


def test_no_frame_comes_while_inactive_and_an_illegal_transition_is_refused(start, peer):
    start("plane")
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    assert not change(peer, CONFIGURE)
    assert change(peer, DEACTIVATE)
    device.send(camera.image(RGB, "rgb8"))
    time.sleep(0.5)
    assert not peer.received["depth/image_rect"]
    assert change(peer, ACTIVATE)
    device.wait_for_node()
    good(device)


def test_parameters_change_live_or_are_refused_with_a_reason(start, peer):
    start("plane")
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    refused = {
        "output_scale": (3.0, "0.05 to 1"),
        "depth_encoding": ("64FC1", "32FC1 | 16UC1"),
        "cloud.stride": ("two", "integer"),
        "max_range": (float("nan"), "finite"),
        "weights": ("other.pt", "configure again"),
    }
    for name, (value, reason) in refused.items():
        result = set_parameter(peer, name, value)
        assert not result.successful and reason in result.reason, (name, result.reason)
    assert good(device)["depth/image_rect"].width == camera.WIDTH
    assert set_parameter(peer, "output_scale", 0.25).successful
    assert good(device)["depth/image_rect"].width == camera.WIDTH // 4
    assert set_parameter(peer, "cloud.max_range", 30).successful  # an integer is taken for a double


class Code:
    """Unpickling this would create a file."""

    def __reduce__(self):
        return (exec, ("open('touched', 'w').close()",))


@pytest.fixture
def bad_weights(tmp_path):
    """Path and words of the error of each kind of checkpoint that must be refused."""
    (tmp_path / "damaged.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    (tmp_path / "code.pt").write_bytes(pickle.dumps(Code()))
    return {
        str(tmp_path / "absent.pt"): "no checkpoint at",
        str(tmp_path / "damaged.safetensors"): "damaged",
        str(tmp_path / "other.pt"): "not Depth Pro's",
        str(tmp_path / "code.pt"): "could run code",
        "depth_pro": "no weights for 'depth_pro'",
    }


def test_bad_settings_fail_the_transition_with_a_sentence_and_can_be_corrected(ros_env, peer, bad_weights, tmp_path):
    env = {**ros_env, "XDG_CACHE_HOME": str(tmp_path)}
    with NodeProcess("depth_node", {"weights": "micro", "device": "cuda", "output_scale": 7.0}, env) as process:
        process.wait_for_output("parameter 'output_scale' is 7.0; allowed: 0.05 to 1")
        assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
        assert set_parameter(peer, "output_scale", 1.0).successful
        if not torch.cuda.is_available():
            assert not change(peer, CONFIGURE)
            process.wait_for_output("device 'cuda' was asked for")
        assert set_parameter(peer, "device", "cpu").successful
        for path, words in bad_weights.items():
            assert set_parameter(peer, "weights", path).successful
            assert not change(peer, CONFIGURE)
            process.wait_for_output(words)
        assert set_parameter(peer, "weights", "micro").successful
        assert change(peer, CONFIGURE) and change(peer, ACTIVATE)
        device = TestCamera(peer, DEPTH)
        device.wait_for_node()
        depth = np.frombuffer(bytes(good(device)["depth/image_rect"].data), np.float32)
        assert np.isfinite(depth).all() and (depth > 0).all()
        assert "WEIGHTS ARE UNTRAINED" in process.output
        assert not Path("touched").exists()


def test_quality_of_service_can_be_overridden(start, peer):
    """Inputs are best effort and outputs reliable, unless the robot's own parameters say otherwise."""
    best_effort, reliable = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
    start("plane", **{"qos_overrides./image.subscription.reliability": "reliable",
                      "qos_overrides./points.publisher.reliability": "best_effort"})  # fmt: skip
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    inputs = {topic: peer.node.get_subscriptions_info_by_topic(topic) for topic in ("/image", "/camera_info")}
    outputs = {topic: peer.node.get_publishers_info_by_topic(topic) for topic in ("/points", "/depth/image_rect")}
    assert [info.qos_profile.reliability for info in inputs["/image"]] == [reliable]
    assert [info.qos_profile.reliability for info in inputs["/camera_info"]] == [best_effort]
    assert [info.qos_profile.reliability for info in outputs["/points"]] == [best_effort]
    assert [info.qos_profile.reliability for info in outputs["/depth/image_rect"]] == [reliable]


def test_services(start, peer, tmp_path):
    start("plane", save_directory=str(tmp_path), focal__source="estimate", focal__window=1)
    device = TestCamera(peer, camera.OUTPUTS)
    device.wait_for_node()
    early = peer.call(Trigger, "/depth_node/save_frame", Trigger.Request())
    assert not early.success and "no depth" in early.message
    first = good(device)["depth/camera_info"].k[0]
    blue = np.ascontiguousarray(RGB[..., ::-1])
    latched = device.answer(device.send(camera.image(blue, "rgb8")))["depth/camera_info"].k[0]
    assert latched == first
    assert peer.call(Trigger, "/depth_node/reset_focal", Trigger.Request()).success
    assert device.answer(device.send(camera.image(blue, "rgb8")))["depth/camera_info"].k[0] != first
    saved = peer.call(Trigger, "/depth_node/save_frame", Trigger.Request())
    assert saved.success, saved.message
    assert sorted({path.suffix for path in tmp_path.glob("frame_*")}) == [".npz", ".ply", ".png"]
    archive = np.load(next(tmp_path.glob("*.npz")))
    assert archive["depth_m"].shape == (camera.HEIGHT, camera.WIDTH)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["plane", "slow"])
def test_a_signal_ends_the_process_cleanly_even_in_mid_inference(start, peer, by, kind):
    process = start(kind)
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    device.send(camera.image(RGB, "rgb8"), camera.info())
    time.sleep(0.3)
    assert process.end(by) == 0
    assert "Traceback" not in process.output, process.output


def test_overload_takes_the_newest_frame_and_keeps_age_and_memory_flat(start, peer):
    """30 Hz into a network of one second: what comes out is never older than two inference times."""
    start("slow")
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    sent, memory = {}, []
    end = time.monotonic() + 9
    while time.monotonic() < end:
        header = device.send(camera.image(RGB, "rgb8"), None if sent else camera.info())
        sent[header.frame_id] = time.time_ns()
        time.sleep(1 / 30)
        memory.append(float(peer.status().get("memory_mb", "nan")))
    answers = peer.received["depth/image_rect"]
    assert len(answers) >= 5
    ages = [
        (at - sent[answer.header.frame_id]) / 1e9
        for at, answer in zip(peer.arrived_at["depth/image_rect"], answers, strict=True)
    ]
    assert max(ages) < 2.2, ages  # a frame waits for at most one inference and takes one
    numbers = [int(answer.header.frame_id.split("_")[1]) for answer in answers]
    assert np.diff(numbers).min() > 10, f"each answer must skip to the newest frame, got {numbers}"
    assert int(peer.status()["dropped"]) > 50
    settled = [value for value in memory[len(memory) // 2 :] if np.isfinite(value)]
    assert max(settled) - min(settled) < 20, settled
