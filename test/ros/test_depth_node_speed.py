"""depth_node's ways to compute less, with a real network, in its own process over DDS."""

import pytest
from ros import camera
from ros.camera import TestCamera
from ros.process import NodeProcess

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference import IncrementalOptions
from depth_pro_ros.ros import depth_node

DEPTH = {"depth/image_rect": camera.OUTPUTS["depth/image_rect"]}
MICRO = {"weights": "micro", "device": "cpu", "precision": "float32"}


def status_where(peer, name, value):
    found = lambda: peer.status() if peer.status().get(name) == value else None  # noqa: E731
    return peer.wait(found, 40.0, f"{name} {value} in the diagnostics")


def test_a_still_scene_is_not_encoded_again_and_the_diagnostics_say_so(ros_env, peer):
    with NodeProcess("depth_node", {**MICRO, "incremental.enabled": True}, ros_env) as process:
        process.wait_for_output("warmed up", 100.0)
        device = TestCamera(peer, DEPTH)
        device.wait_for_node()
        depths = [
            bytes(device.answer(device.send(camera.image(camera.red_picture(), "rgb8"), camera.info()))[topic].data)
            for topic in (*DEPTH, *DEPTH)
        ]
        assert depths[0] == depths[1]
        status = status_where(peer, "incremental_patches", "0")
        assert status["incremental"] == "True" and float(status["incremental_encoder_share"]) == 0.0


def test_an_approximation_is_in_the_log_and_in_the_diagnostics(ros_env, peer):
    with NodeProcess("depth_node", {**MICRO, "quality": "fast"}, ros_env) as process:
        process.wait_for_output("warmed up", 100.0)
        device = TestCamera(peer, DEPTH)
        device.wait_for_node()
        answer = device.answer(device.send(camera.image(camera.red_picture(), "rgb8"), camera.info()))
        assert (answer["depth/image_rect"].width, answer["depth/image_rect"].height) == (640, 480)
        process.wait_for_output("quality is fast: no patches at full resolution")
        status_where(peer, "quality", "fast")


def test_incremental_inference_is_for_one_camera():
    frames = {"incremental.refresh_frames": 10, "incremental.image_every": 3}
    values = {"incremental.enabled": True, "incremental.threshold": 2.0, **frames}
    assert depth_node._incremental(values, 1) == IncrementalOptions(2.0, 10, 3)
    with pytest.raises(ConfigurationError, match="one camera, and there are 2"):
        depth_node._incremental(values, 2)
    assert depth_node._incremental({**values, "incremental.enabled": False}, 2) is None
