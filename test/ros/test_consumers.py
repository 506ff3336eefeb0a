"""What each kind of consumer reads of depth_node's topics, over real DDS, as their own sources have it.

One node, around the tilted plane of doubles.py, is asked by all of them at once: a lens whose rectified corners show
nothing gives NaN, and a range of 3 m within the plane +Inf.
"""

import struct
import time

import cv2
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros import camera
from ros.camera import HEIGHT, WIDTH, TestCamera, array, plane
from ros.doubles import A, B, C
from ros.process import PATIENCE
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

MAX_RANGE = 3.0
LENS = [0.2, 0.05, 0.0, 0.0, 0.0]  # pincushion: the rectified corners lie outside the raw image
TOPICS = {
    "depth/image_rect": Image,
    "depth/camera_info": CameraInfo,
    "depth/image_rect/compressedDepth": CompressedImage,
    "points": PointCloud2,
    "depth/points_nav": PointCloud2,
}
ATTEMPTS = 5  # BEST_EFFORT promises no arrival


class Consumers:
    """Every topic subscribed RELIABLE (by the camera) and BEST_EFFORT."""

    def __init__(self, peer):
        self.peer = peer
        self.device = TestCamera(peer, TOPICS)
        self.lossy = {topic: [] for topic in TOPICS}
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        for topic, kind in TOPICS.items():
            peer.node.create_subscription(kind, topic, self.lossy[topic].append, qos)

    def frame(self):
        """Send an image; return topic → message as RELIABLE subscribers got it, once BEST_EFFORT ones have it, too."""
        for _ in range(ATTEMPTS):
            header = self.device.send(camera.image(camera.red_picture(), "rgb8"), camera.info(d=LENS))
            reliable, end = self.device.answer(header), time.monotonic() + PATIENCE * 3.0
            while time.monotonic() < end:
                lossy = {t: m for t, found in self.lossy.items() for m in found if m.header == reliable[t].header}
                if lossy == reliable:
                    assert all(message.header == header for message in reliable.values())
                    return reliable
                time.sleep(0.02)
        raise AssertionError(f"{sorted(set(TOPICS) - set(lossy))} never reached a BEST_EFFORT subscriber")

    def set(self, name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self.peer.call(SetParameters, "/depth_node/set_parameters", request).results[0]
        assert result.successful, result.reason


@pytest.fixture
def consumers(start, peer):
    """Return the consumers of a running depth_node."""
    start("plane", max_range=MAX_RANGE)
    found = Consumers(peer)
    found.device.wait_for_node()
    return found


def check_exact_pairs(frame):
    """Nvblox and rtabmap: an image and the camera_info of the very same stamp, of its size, whose K is its own."""
    depth, info = frame["depth/image_rect"], frame["depth/camera_info"]
    assert depth.header == info.header and (depth.width, depth.height) == (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.k[0] > 0 and info.k[4] > 0 and info.k[8] == 1.0
    assert not any(info.d) and info.r.tolist() == np.eye(3).ravel().tolist()


def check_p_and_validity(frame):
    """depth_image_proc: P is of this image, every finite float is a depth, and all others say what is known of them."""
    depth, info = array(frame["depth/image_rect"], np.float32), frame["depth/camera_info"]
    np.testing.assert_array_equal(info.p.reshape(3, 4), np.column_stack((info.k.reshape(3, 3), np.zeros(3))))
    finite = np.isfinite(depth)
    truth = plane()
    np.testing.assert_allclose(depth[finite], truth[finite], atol=1e-3)
    assert (depth[finite] > 0).all() and (depth[finite] <= MAX_RANGE).all()
    assert np.isnan(depth[0, 0]) and np.isnan(depth[-1, -1]), "what the lens did not see is unknown"
    assert np.isposinf(depth[~finite & ~np.isnan(depth)]).all(), "what is too far is +Inf"
    seen = ~np.isnan(depth)
    assert seen.mean() > 0.8 and np.isposinf(depth[seen & (truth > MAX_RANGE + 1e-3)]).all()
    assert finite[seen & (truth < MAX_RANGE - 1e-3)].all() and not finite.all()


def check_organised_cloud(frame, stride=2):
    """RViz, PCL, octomap: a point for each pixel in the image's order, depth times K^-1 (u, v, 1), or NaN."""
    depth, cloud = array(frame["depth/image_rect"], np.float32)[::stride, ::stride], frame["points"]
    assert (cloud.height, cloud.width) == depth.shape and not cloud.is_dense
    assert [(f.name, f.offset) for f in cloud.fields] == [("x", 0), ("y", 4), ("z", 8), ("rgb", 12)]
    xyz = np.frombuffer(cloud.data, "<f4").reshape(*depth.shape, 4)[..., :3]
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]] * stride
    inverse = np.linalg.inv(frame["depth/camera_info"].k.reshape(3, 3))
    finite = np.isfinite(depth)
    assert np.isnan(xyz[~finite]).all() and 0.5 < finite.mean() < 1.0
    expected = np.stack((u, v, np.ones(u.shape)), axis=-1)[finite] @ inverse.T * depth[finite, None]
    assert np.abs(xyz[finite] - expected).max() < 1e-4


def check_small_cloud(frame):
    """Nav2: x y z, every one finite, all of them on the plane, few enough for one datagram."""
    cloud, info = frame["depth/points_nav"], frame["depth/camera_info"]
    assert [f.name for f in cloud.fields] == ["x", "y", "z"] and cloud.is_dense and cloud.height == 1
    assert 100 < cloud.width <= 5000 and len(cloud.data) == 12 * cloud.width < 65507
    x, y, z = np.frombuffer(cloud.data, "<f4").reshape(-1, 3).T.astype(np.float64)
    assert z.min() > 1.9 and z.max() <= MAX_RANGE
    s, t = (info.k[0] * x / z + info.k[2] + 0.5) / WIDTH, (info.k[4] * y / z + info.k[5] + 0.5) / HEIGHT
    np.testing.assert_allclose(z * (A + B * s + C * t), info.k[0] / (WIDTH * 0.8), atol=1e-3)


def check_compressed(frame):
    """image_transport's compressed_depth: 12 bytes of header, a PNG, and its own formula; sky is still sky."""
    message, depth = frame["depth/image_rect/compressedDepth"], array(frame["depth/image_rect"], np.float32)
    assert message.format == "32FC1; compressedDepth png"
    kind, a, b = struct.unpack_from("<iff", message.data)
    pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8)[12:], cv2.IMREAD_UNCHANGED)
    assert kind == 0 and pixels.shape == depth.shape and pixels.dtype == np.uint16
    with np.errstate(divide="ignore"):
        read = np.where(pixels > 0, np.float32(a) / (pixels.astype(np.float32) - np.float32(b)), np.nan)
    np.testing.assert_array_equal(np.isnan(read), np.isnan(depth))
    np.testing.assert_array_equal(np.isposinf(read), np.isposinf(depth))
    finite = np.isfinite(depth)
    assert np.abs(read[finite] - depth[finite]).max() <= 0.51 * MAX_RANGE**2 / a


def test_every_consumer_reads_what_it_needs(consumers):
    frame = consumers.frame()
    for check in (check_exact_pairs, check_p_and_validity, check_organised_cloud, check_small_cloud, check_compressed):
        check(frame)
    again = consumers.frame()
    assert again["depth/image_rect"].data == frame["depth/image_rect"].data, "the same picture has the same scale"
    assert again["depth/camera_info"].k.tolist() == frame["depth/camera_info"].k.tolist()


def test_millimetres_and_voxels_while_running(consumers):
    """16UC1 has one word, 0, for all that is not known, in the raw image and in the compressed one."""
    consumers.set("depth_encoding", "16UC1")
    consumers.set("cloud.voxel", 0.1)
    consumers.set("cloud.color", False)
    frame = consumers.frame()
    check_exact_pairs(frame)
    message = frame["depth/image_rect"]
    assert message.encoding == "16UC1" and message.step == 2 * WIDTH
    depth, truth = array(message, np.uint16), plane()
    assert depth[0, 0] == 0 and (depth[truth > MAX_RANGE + 1e-3] == 0).all()
    assert np.abs(depth[depth > 0] / 1000 - truth[depth > 0]).max() < 1.6e-3
    compressed = frame["depth/image_rect/compressedDepth"]
    assert compressed.format == "16UC1; compressedDepth png"
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(compressed.data, np.uint8)[12:], cv2.IMREAD_UNCHANGED), depth
    )
    cloud = frame["points"]
    assert cloud.height == 1 and cloud.is_dense and cloud.point_step == 12 and 0 < cloud.width < WIDTH * HEIGHT // 4
    assert np.isfinite(np.frombuffer(cloud.data, "<f4")).all()
