"""Metric cues through depth_node over real DDS: the stand-in network's plane is off by a factor, the cue is right."""

import numpy as np
import pytest
from ros import camera
from ros.camera import CX, CY, FX, FY, HEIGHT, WIDTH, TestCamera, array, plane
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_srvs.srv import Trigger
from stereo_msgs.msg import DisparityImage

RGB = camera.red_picture()
FACTOR = 1.5
TRUTH = (FACTOR * plane()).astype(np.float32)
BASELINE = 0.1


def depth_cue(header, metres=TRUTH):
    return Image(header=header, width=metres.shape[1], height=metres.shape[0], encoding="32FC1",
                 step=4 * metres.shape[1], data=metres.astype(np.float32).tobytes())  # fmt: skip


def disparity_cue(header):
    values = (FX * BASELINE / TRUTH).astype(np.float32)
    values[: HEIGHT // 3] = -1.0  # below min_disparity: no match
    return DisparityImage(header=header, image=depth_cue(header, values), f=FX, t=BASELINE, max_disparity=200.0)


def landmark_cue(header):
    rng = np.random.default_rng(1)
    u, v = rng.integers(0, WIDTH, 200), rng.integers(0, HEIGHT, 200)
    z = TRUTH[v, u]
    points = np.stack(((u - CX) / FX * z, (v - CY) / FY * z, z, 0.01 * z), axis=1).astype(np.float32)
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
              for i, n in enumerate(("x", "y", "z", "sigma"))]  # fmt: skip
    return PointCloud2(header=header, width=200, height=1, fields=fields, point_step=16, row_step=3200,
                       data=points.tobytes())  # fmt: skip


CUES = {
    "cues/depth": (Image, depth_cue),
    "cues/disparity": (DisparityImage, disparity_cue),
    "cues/landmarks": (PointCloud2, landmark_cue),
}


class CuedCamera(TestCamera):
    """A camera beside which a cue is published under the same stamp."""

    def __init__(self, peer, topic, outputs=camera.FUSED_OUTPUTS):
        super().__init__(peer, outputs)
        self.cues = peer.publisher(CUES[topic][0], topic)

    def wait_for_node(self, timeout_s=40.0):
        super().wait_for_node(timeout_s)
        self.peer.wait(self.cues.get_subscription_count, timeout_s, "depth_node to subscribe the cue")

    def send_with(self, make, **changes):
        """Publish an image, and before it the cue that `make` gives for its header."""
        header = self.header()
        cue = make(header)
        for name, value in changes.items():
            setattr(cue.header, name, value)
        self.cues.publish(cue)
        self.cues.wait_for_all_acked()
        message, info = camera.image(RGB, "rgb8"), camera.info()
        message.header = info.header = header
        self.infos.publish(info)
        self.infos.wait_for_all_acked()
        self.images.publish(message)
        return header


@pytest.mark.parametrize("topic", CUES)
def test_the_scale_of_a_cue_reaches_depth_cloud_sigma_and_scale(start, peer, topic):
    start("plane")
    device = CuedCamera(peer, topic)
    device.wait_for_node()
    header = device.send_with(CUES[topic][1])
    answers = device.answer(header)
    for message in answers.values():
        assert (message.header.stamp, message.header.frame_id) == (header.stamp, header.frame_id)
    depth = array(answers["depth/image_rect"], np.float32)
    np.testing.assert_allclose(np.median(depth / TRUTH), 1.0, atol=0.005)
    assert np.percentile(np.abs(depth / TRUTH - 1), 95) < 0.02
    np.testing.assert_allclose(array(answers["depth/unfused"], np.float32), plane(), atol=1e-3)
    z = np.frombuffer(bytes(answers["points"].data), np.float32).reshape(HEIGHT // 2, WIDTH // 2, 4)[..., 2]
    np.testing.assert_array_equal(z, depth[::2, ::2])
    sigma = array(answers["depth/sigma"], np.float32)
    assert sigma.shape == depth.shape and np.isfinite(sigma).all() and (sigma > 0).all() and np.median(sigma) < 0.1
    scale = answers["scale"].vector
    np.testing.assert_allclose(scale.x, 1 / FACTOR, rtol=0.02)  # of inverse depth
    assert 0 < scale.y < 0.1 and scale.z == 0.0
    peer.wait(lambda: peer.status().get("scale_state") == "tracking", 10, "the scale in the diagnostics")


def test_without_a_cue_depth_is_bit_identical_and_has_no_sigma(ros_env, start, peer):
    device = TestCamera(peer, camera.FUSED_OUTPUTS)
    depths = []
    for enabled in (True, False):
        process = start("plane", fusion__enabled=enabled)
        device.wait_for_node()
        header = device.send(camera.image(RGB, "rgb8"), camera.info())
        depths.append(bytes(device.answer(header, ["depth/image_rect"])["depth/image_rect"].data))
        assert process.end() == 0
        peer.wait(lambda: not device.images.get_subscription_count(), 20, "the node to be gone")
        peer.received["/diagnostics"].clear()
    assert depths[0] == depths[1]
    assert not peer.received["depth/sigma"] and not peer.received["scale"]


def test_cues_that_cannot_be_used_are_told_and_depth_flows_on(start, peer):
    start("plane")
    device = CuedCamera(peer, "cues/depth")
    device.wait_for_node()
    only_depth = ["depth/image_rect"]

    def unfused(header):
        depth = array(device.answer(header, only_depth)["depth/image_rect"], np.float32)
        np.testing.assert_allclose(depth, plane(), atol=1e-3)

    def other_frame(header):
        cue = depth_cue(camera_header := type(header)(stamp=header.stamp, frame_id="lidar"))
        assert cue.header is camera_header
        return cue

    unfused(device.send_with(other_frame))
    peer.wait(lambda: "frame 'lidar'" in peer.status().get("cue_problem", ""), 10, "the frame to be told")
    noise = np.random.default_rng(0).uniform(0.5, 20, TRUTH.shape)
    unfused(device.send_with(lambda header: depth_cue(header, noise)))
    peer.wait(lambda: peer.status().get("scale_state") == "unfused" and peer.status()["scale_reason"], 10, "a refusal")
    unfused(device.send_with(lambda header: depth_cue(header, np.full(TRUTH.shape, np.nan))))
    header = device.send_with(depth_cue)
    depth = array(device.answer(header, only_depth)["depth/image_rect"], np.float32)
    np.testing.assert_allclose(np.median(depth / TRUTH), 1.0, atol=0.005)


def test_the_scale_stays_when_the_cue_ends_until_it_is_recalibrated(start, peer):
    start("plane")
    device = CuedCamera(peer, "cues/depth")
    device.wait_for_node()
    device.answer(device.send_with(depth_cue))
    header = device.send(camera.image(RGB, "rgb8"), camera.info())
    answers = device.answer(header)
    depth = array(answers["depth/image_rect"], np.float32)
    np.testing.assert_allclose(np.median(depth / TRUTH), 1.0, atol=0.01)
    assert answers["scale"].vector.z > 0.0  # older than this frame
    answer = peer.call(Trigger, "/depth_node/recalibrate_scale", Trigger.Request())
    assert answer.success, answer.message
    header = device.send(camera.image(RGB, "rgb8"), camera.info())
    depth = array(device.answer(header, ["depth/image_rect"])["depth/image_rect"], np.float32)
    np.testing.assert_allclose(depth, plane(), atol=1e-3)
