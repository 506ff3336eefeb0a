"""A depth camera for tests: publishes depth with its calibration, poses and attitudes, and collects the answers."""

import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.qos import ReliabilityPolicy
from ros import camera
from sensor_msgs.msg import CameraInfo, Image, Imu
from std_msgs.msg import Header

from depth_pro_ros.ros.odometry_messages import message_from_pose

FRAME = "camera_optical_frame"


class DepthCamera:
    """Sends depth images of `intrinsics` before `node`, whose `outputs` (topic → type) are collected."""

    def __init__(self, peer, node, intrinsics, outputs, reliability=ReliabilityPolicy.RELIABLE):
        self.peer, self.node, self.intrinsics, self.outputs = peer, node, intrinsics, outputs
        self._depth = peer.publisher(Image, "depth/image_rect", depth=20)
        self._info = peer.publisher(CameraInfo, "depth/camera_info", depth=20)
        self._others = {}
        for topic, kind in outputs.items():
            peer.collect(kind, topic, reliability)
        peer.collect(DiagnosticArray, "/diagnostics")

    def status(self):
        return self.peer.status(self.node)

    def wait_for_status(self, condition, what):
        return self.peer.wait(lambda: self.status() if condition(self.status()) else None, 20.0, what)

    def wait_for_node(self):
        """Return once the node listens and its outputs are matched."""
        ready = lambda: self._depth.get_subscription_count() and self._info.get_subscription_count()  # noqa: E731
        self.peer.wait(ready, 40.0, f"{self.node} to subscribe")
        expected = " ".join(sorted(self.outputs)) or "nothing"
        self.peer.wait(lambda: self.status().get("subscribed") == expected, 20.0, "its outputs to be matched")

    def settle(self):
        """Return once the node has taken what was published before; topics may overtake each other."""
        self.peer.settle(self.node)

    def announce(self, kind, topic):
        """Return the publisher of another topic, once it is matched."""
        if topic not in self._others:
            self._others[topic] = self.peer.publisher(kind, topic, depth=100)
            self.peer.wait(self._others[topic].get_subscription_count, 20.0, f"{self.node} to subscribe {topic}")
            time.sleep(0.5)  # the node's side may match a little later, and its subscriptions are BEST_EFFORT
        return self._others[topic]

    def publish(self, kind, topic, message, stamp_ns, frame_id="world"):
        """Publish any other message under a stamp."""
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        message.header.frame_id = frame_id
        self.announce(kind, topic).publish(message)

    def tell_pose(self, T, stamp_ns, frame_id="odom"):
        message = Odometry(child_frame_id="base_link")
        message.pose.pose = message_from_pose(T)
        self.publish(Odometry, "odometry", message, stamp_ns, frame_id)

    def tell_imu(self, R, stamp_ns, has_orientation=True):
        T = np.eye(4)
        T[:3, :3] = R
        message = Imu(orientation=message_from_pose(T).orientation)
        message.orientation_covariance[0] = 0.01 if has_orientation else -1.0
        self.publish(Imu, "imu", message, stamp_ns)

    def send(self, depth, stamp_ns, intrinsics=None, with_info=True):
        """Publish depth (H, W) with the camera_info of `intrinsics`; return the header."""
        c = intrinsics or self.intrinsics
        header = Header(frame_id=FRAME)
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 10**9)
        if with_info:
            info = camera.info(c.width, c.height, c.fx, c.fy, c.cx, c.cy)
            info.header = header
            self._info.publish(info)
            self._info.wait_for_all_acked()
        message = camera.image(depth.astype(np.float32), "32FC1", depth.shape[1], depth.shape[0])
        message.header = header
        self._depth.publish(message)
        return header

    def answers(self, header, timeout_s=20.0):
        """Return topic → message with the stamp of `header`, once all have come."""

        def found():
            got = {t: m for t in self.outputs for m in self.peer.received[t] if m.header.stamp == header.stamp}
            return got if len(got) == len(self.outputs) else None

        return self.peer.wait(found, timeout_s, f"the answers of {self.node} to {header.stamp}")
