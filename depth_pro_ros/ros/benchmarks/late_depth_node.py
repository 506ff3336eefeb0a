"""depth_node around a stand-in for the network that knows a flight's depth and takes its time to say so."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap, Intrinsics
from depth_pro_ros.ros import depth_node
from depth_pro_ros.ros.benchmarks import flight
from depth_pro_ros.ros.child import end_with_parent

FIELD = 0.05  # amplitude of the smooth relative error
BLUR_PX = 1.0


class LatePredictor:
    """Answers as inference.Predictor does, after `delay_s`, with the truth, bent and blurred as by a network."""

    def __init__(self, folder: Path, delay_s: float, **_: Any) -> None:
        self._flight, self._delay_s = flight.load(folder), delay_s
        self.max_range_m = 1000.0
        self.description = {"weights": f"a flight's truth after {delay_s:g} s", "device": "none", "trained": True}

    def warm_up(self) -> float:
        """Do nothing."""
        return 0.0

    def figures(self) -> Mapping[str, Any]:
        """Return nothing: no frame is incremental."""
        return {}

    def predict_batch(
        self,
        images: Sequence[np.ndarray],
        intrinsics: Sequence[Intrinsics],
        size: Sequence[tuple[int, int]],
        **_: Any,
    ) -> list[DepthMap]:
        """Return the depth of each of some frames of the flight."""
        start = time.perf_counter()
        truths = [np.asarray(self._flight.depth_m[flight.number_of(rgb)]) for rgb in images]
        depths_m = [cv2.resize(predicted(truth_m), wanted) for truth_m, wanted in zip(truths, size, strict=True)]
        time.sleep(max(0.0, self._delay_s - (time.perf_counter() - start)))
        timings = {"network": 1e3 * (time.perf_counter() - start)}
        return [
            DepthMap(depth_m, pinhole.resize(camera, *wanted), camera.fx, timings_ms=timings)
            for depth_m, camera, wanted in zip(depths_m, intrinsics, size, strict=True)
        ]


def predicted(truth_m: np.ndarray) -> np.ndarray:
    """Return depth (H, W) float32 as a network might see it: softer at its edges, and bent by a smooth field."""
    height, width = truth_m.shape
    v, u = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    field = 1 + FIELD * np.sin(5 * u + 1) * np.cos(4 * v)
    return (1 / (cv2.GaussianBlur(1 / truth_m, (0, 0), BLUR_PX) * field)).astype(np.float32)


def main(args: Sequence[str] | None = None) -> int:
    """Run depth_node on the flight in the folder FOLDER, its network taking DELAY seconds; ROS arguments follow."""
    folder, delay_s, *rest = sys.argv[1:] if args is None else args
    end_with_parent()
    make = functools.partial(LatePredictor, Path(folder), float(delay_s))
    return depth_node.main(rest, lambda weights, **options: make(**options))


if __name__ == "__main__":
    sys.exit(main())
