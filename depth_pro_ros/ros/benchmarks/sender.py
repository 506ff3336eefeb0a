"""A process that publishes images or clouds at an even pace and prints, as JSON, how many it sent."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.child import end_with_parent
from depth_pro_ros.ros.clouds import cloud_from_depth
from depth_pro_ros.ros.images import encode_rgb

CAMERA, CLOUD = "camera", "cloud"
FOUND_S = 60.0  # for subscribers to appear; depth_node first loads its network
SETTLE_S = 1.0  # for every pair of endpoints to have found each other, and at the end for what is under way

Message = Image | CameraInfo | PointCloud2


def messages(kind: str, width: int, height: int) -> dict[str, Message]:
    """Return topic → message, in the order in which they go out, without a stamp."""
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (height, width, 3), np.uint8)
    camera = pinhole.centred(width, height, 0.8 * width)
    if kind == CLOUD:
        depth_m = random.uniform(0.5, 20.0, (height, width)).astype(np.float32)
        return {"points": cloud_from_depth(depth_m, rgb, camera, Header(frame_id="camera"))}
    header = Header(frame_id="camera")
    return {"camera_info": info_from_intrinsics(camera, header), "image": encode_rgb(rgb, header)}


def publishers(node: Node, topics: dict[str, Message]) -> dict[str, Publisher]:
    """Return a publisher for each: images as camera drivers send them, clouds as depth_node does."""
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    return {
        topic: node.create_publisher(
            type(message), topic, qos_profile_sensor_data if isinstance(message, Image) else reliable
        )
        for topic, message in topics.items()
    }


def wait_for_subscribers(publisher: Publisher) -> None:
    """Return when the topic has a subscriber and all have had time to match; raises TimeoutError after FOUND_S."""
    deadline = time.monotonic() + FOUND_S
    while not publisher.get_subscription_count():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody has subscribed to {publisher.topic_name} within {FOUND_S:g} s")
        time.sleep(0.05)
    time.sleep(SETTLE_S)


def send(node: Node, kind: str, size: tuple[int, int], rate_hz: float, count: int) -> int:
    """Publish `count` times at `rate_hz`, never two at once to catch up; return the bytes of one image or cloud."""
    topics = messages(kind, *size)
    senders = publishers(node, topics)
    *_, (main_topic, main_message) = topics.items()
    wait_for_subscribers(senders[main_topic])
    due = time.monotonic()
    for _ in range(count):
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due, time.monotonic() - 0.5 / rate_hz) + 1.0 / rate_hz
        stamp = node.get_clock().now().to_msg()
        for topic, message in topics.items():
            message.header.stamp = stamp
            senders[topic].publish(message)
    senders[main_topic].wait_for_all_acked(Duration(seconds=SETTLE_S))
    time.sleep(SETTLE_S)
    return len(main_message.data)


def main(args: Sequence[str] | None = None) -> int:
    """Send and print {"sent", "bytes", "rmw"}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=(CAMERA, CLOUD))
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("rate_hz", type=float)
    parser.add_argument("count", type=int)
    chosen = parser.parse_args(args)
    end_with_parent()
    rclpy.init(args=[])
    node = rclpy.create_node("benchmark_sender")
    size = chosen.width, chosen.height
    try:
        nbytes = send(node, chosen.kind, size, chosen.rate_hz, chosen.count)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    rmw = rclpy.get_rmw_implementation_identifier()
    print(json.dumps({"sent": chosen.count, "bytes": nbytes, "rmw": rmw}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
