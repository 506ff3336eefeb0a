"""What depth_node publishes of a frame, each only when somebody listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs.pictures import colour_depth
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.clouds import cloud_from_depth
from depth_pro_ros.ros.depth_pipeline import DepthFrame
from depth_pro_ros.ros.images import encode_depth, encode_rgb
from depth_pro_ros.ros.parameters import Value

DEPTH, DEPTH_INFO, POINTS = "depth/image_rect", "depth/camera_info", "points"
COLOR, FOCAL = "depth/image_color", "focal/camera_info"

TYPES = {DEPTH: Image, DEPTH_INFO: CameraInfo, POINTS: PointCloud2, COLOR: Image, FOCAL: CameraInfo}

Live = Mapping[str, Value]


def depth_info(frame: DepthFrame, live: Live, header: Header) -> CameraInfo:
    """Return the camera_info that belongs to the depth image."""
    return info_from_intrinsics(frame.depth.intrinsics, header)


def depth_image(frame: DepthFrame, live: Live, header: Header) -> Image:
    """Return the depth image in `depth_encoding`."""
    return encode_depth(frame.depth.depth_m, str(live["depth_encoding"]), header)


def points(frame: DepthFrame, live: Live, header: Header) -> PointCloud2:
    """Return the coloured, organised cloud."""
    depth = frame.depth
    stride, reach = int(live["cloud.stride"]), float(live["cloud.max_range"])
    return cloud_from_depth(depth.depth_m, frame.rgb, depth.intrinsics, header, stride, reach)


def color_image(frame: DepthFrame, live: Live, header: Header) -> Image:
    """Return the depth as a picture for people."""
    return encode_rgb(colour_depth(frame.depth.depth_m, live["color.near"] or None, live["color.far"] or None), header)


def believed_info(frame: DepthFrame, live: Live, header: Header) -> CameraInfo | None:
    """Return the input's camera_info as the network believes it, None when it was not asked."""
    if frame.believed_focal_px is None:
        return None
    height, width = frame.rgb.shape[:2]
    return info_from_intrinsics(pinhole.centred(width, height, frame.believed_focal_px), header)


# camera_info goes out first: who pairs the two by stamp then has it when the image comes.
MAKERS: dict[str, Callable[[DepthFrame, Live, Header], object]] = {
    DEPTH_INFO: depth_info,
    DEPTH: depth_image,
    POINTS: points,
    COLOR: color_image,
    FOCAL: believed_info,
}


class DepthOutputs:
    """The publishers of depth_node: RELIABLE, depth 1, unless QoS override parameters say otherwise."""

    def __init__(self, node: LifecycleNode):
        self._node = node
        self._publishers = {
            topic: node.create_lifecycle_publisher(
                TYPES[topic],
                topic,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for topic in MAKERS
        }

    def wanted(self) -> set[str]:
        """Return the topics that have a subscriber."""
        return {topic for topic, publisher in self._publishers.items() if publisher.get_subscription_count() > 0}

    def publish(self, frame: DepthFrame, live: Live, header: Header, topics: set[str]) -> None:
        """Publish `topics` of `frame` under the input's own header."""
        for topic, make in MAKERS.items():
            if topic in topics and (message := make(frame, live, header)) is not None:
                self._publishers[topic].publish(message)

    def destroy(self) -> None:
        """Take the publishers away."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}
