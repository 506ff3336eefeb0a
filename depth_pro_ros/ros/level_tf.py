"""The level frame in TF, where tf2_ros is installed."""

from __future__ import annotations

import importlib

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from depth_pro_ros.errors import ConfigurationError


class LevelTf:
    """Broadcasts transforms with tf2_ros, which the ROS 2 wheels of PyPI do not have."""

    def __init__(self, node: Node) -> None:
        """Raise ConfigurationError where tf2_ros is not installed."""
        try:
            tf2_ros = importlib.import_module("tf2_ros")
        except ImportError as error:
            raise ConfigurationError(
                f"parameter 'publish_tf' is true, but tf2_ros cannot be imported ({error}): install the "
                "distribution's tf2_ros_py, or set publish_tf to false"
            ) from error
        self._broadcaster = tf2_ros.TransformBroadcaster(node)

    def send(self, transform: TransformStamped) -> None:
        """Broadcast a transform."""
        self._broadcaster.sendTransform(transform)
