"""recorder: writes what depth_node publishes, frame by frame, into a folder that another process reads and empties.

It serves programs that may not know ROS, as `depth_pro_ros demo`. The folder receives frame_000000.npz and
so on (see `frame_arrays`) and status.json, depth_node's newest diagnostics. A file has its name only when it
is whole.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image

from depth_pro_ros.ros import parameters
from depth_pro_ros.ros.depth_outputs import DEPTH, DEPTH_INFO, FOCAL, POINTS, TYPES, UNFUSED
from depth_pro_ros.ros.listening import listened
from depth_pro_ros.ros.recorded_frame import IMAGE, IMAGE_INFO, TRUTH, Undistorter, frame_arrays
from depth_pro_ros.ros.stamp_matcher import Arrival, StampMatcher

RECORDER_PARAMETERS = (
    parameters.Parameter("folder", ".", "Where frames and status are written"),
    parameters.Parameter("depth_node", "depth_node", "Name of the node whose diagnostics are written"),
    parameters.Parameter("unfused", False, "Also record the depth as it was before fusion"),
)
INPUTS = {IMAGE: Image, IMAGE_INFO: CameraInfo, TRUTH: Image}
OUTPUTS = {topic: TYPES[topic] for topic in (DEPTH_INFO, DEPTH, POINTS, FOCAL)}

_QUEUE = 10
_POLL_S, _WRITE_S = 0.02, 0.1


class Recorder(Node):
    """Subscribes to depth_node's outputs at once, and to the camera only after depth_node has.

    A camera that waits for a subscriber thus starts when depth_node is active, and not because of the recorder.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        parameters.declare(self, RECORDER_PARAMETERS)
        settings = parameters.read(self, RECORDER_PARAMETERS)
        self._folder, self._depth_node = Path(settings["folder"]), settings["depth_node"]
        outputs = OUTPUTS | ({UNFUSED: TYPES[UNFUSED]} if settings["unfused"] else {})
        self._matcher, self._undistorter = StampMatcher(outputs), Undistorter()
        self._written = self._heard = 0
        for topic, kind in outputs.items():
            self._record(kind, topic, self._matcher.add_output)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _QUEUE)
        self._joining = self.create_timer(_POLL_S, self._join_camera)
        self.create_timer(_WRITE_S, self._write_frames)  # later than the frame came, so that its truth is here too

    def _record(self, kind: type, topic: str, add: Callable[[str, Arrival], None]) -> None:
        def take(message: object) -> None:
            now = self.get_clock().now()
            age_ns = (now - Time.from_msg(message.header.stamp, now.clock_type)).nanoseconds
            add(topic, Arrival(message, age_ns / 1e6, now.nanoseconds / 1e9))

        self.create_subscription(kind, topic, take, QoSProfile(depth=_QUEUE))

    def _join_camera(self) -> None:
        """Subscribe to the camera as soon as somebody else, which is depth_node, has."""
        if self.count_subscribers(self.resolve_topic_name(IMAGE)):
            self.destroy_timer(self._joining)
            for topic, kind in INPUTS.items():
                self._record(kind, topic, self._matcher.add_input)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == self._depth_node:
                self._heard += 1
                values = {pair.key: pair.value for pair in status.values}
                text = json.dumps({**values, "message": status.message, "heard": self._heard})
                self._place("status.json", lambda file, text=text: file.write(text.encode()))

    def _write_frames(self) -> None:
        for messages in self._matcher.take_complete():
            arrays = frame_arrays(messages, self._undistorter)
            self._place(f"frame_{self._written:06d}.npz", lambda file, arrays=arrays: np.savez(file, **arrays))
            self._written += 1

    def _place(self, name: str, write: Callable) -> None:
        """Write a file aside and rename it; not synced, since nobody needs it after a crash."""
        aside = self._folder / f".{name}.part"
        with aside.open("wb") as file:
            write(file)
        os.replace(aside, self._folder / name)


def main(args: Sequence[str] | None = None) -> int:
    """Record until SIGINT or SIGTERM."""
    with listened(Recorder, args):
        pass  # it has written what it heard
    return 0


if __name__ == "__main__":
    sys.exit(main())
