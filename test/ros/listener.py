"""Collects messages in a process of its own: listener.py TOPICS_AS_JSON COUNT TIMEOUT_S FILE."""

from __future__ import annotations

import importlib
import json
import pickle
import sys
import time
from pathlib import Path

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy


def message_type(name: str) -> type:
    """Return the class of a type such as 'sensor_msgs/msg/Image'."""
    package, _, short = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), short)


def main() -> None:
    """Listen until every topic has COUNT messages or the time is over; write topic → serialised messages."""
    topics, count = json.loads(sys.argv[1]), int(sys.argv[2])
    rclpy.init(args=[])
    node = rclpy.create_node("listener")
    received: dict[str, list[bytes]] = {topic: [] for topic in topics}
    qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
    for topic, name in topics.items():
        node.create_subscription(message_type(name), topic, received[topic].append, qos, raw=True)
    deadline = time.monotonic() + float(sys.argv[3])
    while any(len(messages) < count for messages in received.values()) and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.2)
    node.destroy_node()
    rclpy.try_shutdown()
    Path(sys.argv[4]).write_bytes(pickle.dumps(received))


if __name__ == "__main__":
    main()
