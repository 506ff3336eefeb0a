"""A moving camera for tests: publishes images with depth, calibration and poses, and collects the answers."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from matching.panels import CAMERA
from nav_msgs.msg import Odometry
from ros import camera
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from depth_pro_ros.ros.odometry_messages import message_from_pose

FRAME = "camera_optical_frame"


class MovingCamera:
    """Publishes what `send` is given under one stamp; `topic` is the answer to collect."""

    def __init__(self, peer, node, topic, kind):
        self.peer, self._node, self._topic = peer, node, topic
        self._image = peer.publisher(Image, "image", depth=20)
        self._depth = peer.publisher(Image, "depth", depth=20)
        self._info = peer.publisher(CameraInfo, "camera_info", depth=20)
        self._poses = peer.publisher(Odometry, "odometry", depth=20) if topic != "odometry" else None
        peer.collect(kind, topic)
        self.answers = peer.received[topic]
        peer.collect(DiagnosticArray, "/diagnostics")

    def status(self):
        return self.peer.status(self._node)

    def wait_for_node(self):
        ready = lambda: self._image.get_subscription_count() and self._info.get_subscription_count()  # noqa: E731
        self.peer.wait(ready, 40.0, f"{self._node} to subscribe")
        self.peer.wait(lambda: self.status().get("subscribed") == self._topic, 20.0, "its output to be matched")

    def send(self, gray, stamp_ns, T=None, depth=None, info=None):
        """Publish; return the image's header."""
        header = Header(frame_id=FRAME)
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 10**9)
        info = info or camera.info(CAMERA.width, CAMERA.height, CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)
        info.header = header
        self._info.publish(info)
        if T is not None:
            self.tell(T, stamp_ns)
        if depth is not None:
            message = camera.image(depth.astype(np.float32), "32FC1", CAMERA.width, CAMERA.height)
            message.header = header
            self._depth.publish(message)
        message = camera.image(gray, "mono8", CAMERA.width, CAMERA.height)
        message.header = header
        self._image.publish(message)
        return header

    def tell(self, T, stamp_ns):
        """Publish a pose alone."""
        message = Odometry(child_frame_id=FRAME)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        message.header.frame_id = "world"
        message.pose.pose = message_from_pose(T)
        self._poses.publish(message)

    def answer(self, header, timeout_s=10.0):
        """Return the answer with the stamp of `header`."""
        find = lambda: next((m for m in self.answers if m.header.stamp == header.stamp), None)  # noqa: E731
        return self.peer.wait(find, timeout_s, f"{self._topic} of {header.stamp}")
