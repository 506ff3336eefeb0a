"""A process that keeps the depth of a flight as depth_node publishes it, and judges it against the truth at SIGTERM."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from depth_pro_ros.ros.benchmarks import flight
from depth_pro_ros.ros.benchmarks.listener import Listener
from depth_pro_ros.ros.child import end_with_parent
from depth_pro_ros.ros.depth_outputs import DEPTH, DEPTH_INFO, SIGMA, UNFUSED
from depth_pro_ros.ros.images import decode_depth
from depth_pro_ros.ros.listening import listened
from depth_pro_ros.ros.stamps import nanoseconds

TOPICS = (DEPTH, DEPTH_INFO, SIGMA, UNFUSED)


class Judge(Listener):
    """Keeps the images of depth, and of what the network itself gave (UNFUSED), beside what a listener notes."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Image]] = {DEPTH: [], UNFUSED: []}
        super().__init__(TOPICS)

    def _note(self, topic: str) -> Any:
        note, kept = super()._note(topic), self.kept.get(topic, [])

        def take(message: Any) -> None:
            note(message)
            kept.append(message)

        return take

    def judgement(self, truth_m: np.ndarray) -> dict[str, Any]:
        """Return by topic: the number of each frame, its stamp in ns, and its AbsRel where it is known."""
        result = {}
        for topic, messages in self.kept.items():
            numbers = [int(message.header.frame_id) for message in messages]
            pairs = zip(messages, numbers, strict=True)
            errors = [abs_rel(decode_depth(message), truth_m[number]) for message, number in pairs]
            stamps = [nanoseconds(message.header) for message in messages]
            result[topic] = {"numbers": numbers, "stamps_ns": stamps, "abs_rel": errors}
        return result


def abs_rel(depth_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Return the mean of |depth - truth| / truth over the pixels that have depth."""
    known = np.isfinite(depth_m)
    return float(np.mean(np.abs(depth_m[known] / truth_m[known] - 1)))


def main(args: Sequence[str] | None = None) -> int:
    """Listen, and print {"ages_ms", "status", "judgement"} of the flight in the folder FOLDER."""
    (folder,) = sys.argv[1:] if args is None else args
    end_with_parent()
    with listened(Judge, []) as node:
        judgement = node.judgement(flight.load(Path(folder)).depth_m)
        print(json.dumps({"ages_ms": node.ages_ms, "status": node.status, "judgement": judgement}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
