"""A process that notes when messages arrive, until SIGTERM, and then prints that as JSON."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image

from depth_pro_ros.ros.child import end_with_parent
from depth_pro_ros.ros.depth_outputs import TYPES
from depth_pro_ros.ros.listening import listened

IMAGE = "image"
KINDS = {IMAGE: Image, **TYPES}


class Listener(Node):
    """Notes the age in ms of each message, its stamp against the clock, when the callback has it.

    "image" is taken as sensor data, best effort; depth_node's topics reliably; of /diagnostics the newest is kept.
    """

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__("benchmark_listener")
        self.ages_ms: dict[str, list[float]] = {topic: [] for topic in topics}
        self.status: dict[str, str] = {}
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        for topic in topics:
            qos = qos_profile_sensor_data if topic == IMAGE else reliable
            self.create_subscription(KINDS[topic], topic, self._note(topic), qos)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _note(self, topic: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            now = self.get_clock().now()
            age_ns = (now - Time.from_msg(message.header.stamp, now.clock_type)).nanoseconds
            self.ages_ms[topic].append(age_ns / 1e6)

        return take

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.status = {"name": status.name, **{pair.key: pair.value for pair in status.values}}


def main(args: Sequence[str] | None = None) -> int:
    """Listen to the topics that the arguments name; print {"ages_ms": {topic: [...]}, "status": {...}}."""
    topics = sys.argv[1:] if args is None else args
    end_with_parent()
    with listened(functools.partial(Listener, topics), []) as node:
        print(json.dumps({"ages_ms": node.ages_ms, "status": node.status}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
