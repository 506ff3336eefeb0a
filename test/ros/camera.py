"""A camera for tests: publishes images in any encoding with their camera_info, and collects what depth_node gives."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Vector3Stamped
from rclpy.qos import ReliabilityPolicy
from ros.doubles import FOCAL_OVER_WIDTH, A, B, C
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

WIDTH, HEIGHT, FX, FY, CX, CY = 640, 480, 512.0, 500.0, 300.0, 250.0

OUTPUTS = {
    "depth/image_rect": Image,
    "depth/camera_info": CameraInfo,
    "points": PointCloud2,
    "depth/image_color": Image,
    "focal/camera_info": CameraInfo,
}


FUSED_OUTPUTS = {**OUTPUTS, "depth/sigma": Image, "scale": Vector3Stamped, "depth/unfused": Image}


def plane(width=WIDTH, height=HEIGHT, fx=FX, sensor_width=WIDTH):
    """Return the depth that the stand-in network of doubles.py means: Z = f / (w C), C = 0.8 (A + B s + C t)."""
    s = (np.arange(width) + 0.5) / width
    t = (np.arange(height) + 0.5) / height
    return fx / (sensor_width * FOCAL_OVER_WIDTH * (A + B * s[None, :] + C * t[:, None]))


def array(message, dtype, channels=1):
    """Return the pixels of an image message, (H, W) or (H, W, channels)."""
    flat = np.frombuffer(bytes(message.data), dtype).reshape(message.height, message.step // np.dtype(dtype).itemsize)
    return flat.reshape(message.height, message.width, channels).squeeze()


def info(width=WIDTH, height=HEIGHT, fx=FX, fy=FY, cx=CX, cy=CY, **fields):
    """Return a camera_info written out by hand."""
    k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return CameraInfo(width=width, height=height, **{"k": k, "p": p, "r": r, "distortion_model": "plumb_bob", **fields})


def image(data, encoding, width=WIDTH, height=HEIGHT, step=None, is_bigendian=0):
    """Return an image message written out by hand."""
    raw = np.ascontiguousarray(data).tobytes()
    step = len(raw) // height if step is None else step
    return Image(width=width, height=height, encoding=encoding, step=step, data=raw, is_bigendian=is_bigendian)


def red_picture(width=WIDTH, height=HEIGHT):
    """Return an RGB picture that is much redder than blue."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[...] = (220, 90, 20)
    return rgb


class TestCamera:
    """Sends frames with stamps of its own and waits for the answers."""

    __test__ = False

    def __init__(self, peer, outputs=OUTPUTS, compressed=False, name=""):
        """With a `name`, this is one of several cameras: its topics are in that namespace."""
        self.peer = peer
        self._name, self.status_name = name, f"depth_node: {name}" if name else "depth_node"
        topic, kind = ("image/compressed", CompressedImage) if compressed else ("image", Image)
        self.images = peer.publisher(kind, self.named(topic))
        self.infos = peer.publisher(CameraInfo, self.named("camera_info"))
        for topic, message in outputs.items():
            peer.collect(message, self.named(topic))
        if "/diagnostics" not in peer.received:
            peer.collect(DiagnosticArray, "/diagnostics", ReliabilityPolicy.RELIABLE)
        self._outputs = outputs
        self._count = 0

    def named(self, topic):
        """Return a topic of this camera."""
        return f"{self._name}/{topic}" if self._name else topic

    def status(self):
        """Return the newest diagnostics of this camera."""
        return self.peer.status(self.status_name)

    def wait_for_node(self, timeout_s=40.0):
        """Return once the node listens and its outputs are matched."""
        ready = lambda: self.images.get_subscription_count() and self.infos.get_subscription_count()  # noqa: E731
        self.peer.wait(ready, timeout_s, "depth_node to subscribe")
        expected = " ".join(sorted(self._outputs)) or "nothing"
        self.peer.wait(lambda: self.status().get("subscribed") == expected, timeout_s, "its outputs to be matched")

    def header(self):
        """Return a header with a stamp now and a frame id that no other frame has."""
        self._count += 1
        return Header(stamp=self.peer.node.get_clock().now().to_msg(), frame_id=self.named(f"camera_{self._count}"))

    def send(self, message, camera_info=None):
        """Publish `message` (and before it `camera_info`) under a new header; return the header."""
        message.header = header = self.header()
        if camera_info is not None:
            camera_info.header = header
            self.infos.publish(camera_info)
            self.peer.wait(lambda: self._delivered(), 2.0, "the camera_info to leave")
        self.images.publish(message)
        return header

    def _delivered(self):
        return self.infos.wait_for_all_acked()

    def answer(self, header, topics=None, timeout_s=20.0):
        """Return topic → message of the frame that was sent under `header`, once all have come."""
        topics = list(topics or self._outputs)

        def found():
            answers = {}
            for topic in topics:
                for message in self.peer.received[self.named(topic)]:
                    if message.header.frame_id == header.frame_id:
                        answers[topic] = message
            return answers if len(answers) == len(topics) else None

        return self.peer.wait(found, timeout_s, f"{topics} of {header.frame_id}")
