"""Depth at the camera's rate around a network that takes half a second: the real process over DDS, on a scene's flight.

`python -m depth_pro_ros.ros.benchmarks.propagation [--json] [--quick]`. Calibration, true poses and images come at
30 Hz; what depth_node publishes is compared with the truth, and with what the stand-in for the network says.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.ros.benchmarks import flight, measure
from depth_pro_ros.ros.benchmarks.children import Children, shipped_environment
from depth_pro_ros.ros.depth_outputs import DEPTH, UNFUSED

WIDTH, HEIGHT, CAMERA_HZ, NETWORK_S = 640, 480, 30.0, 0.5
SECONDS, QUICK_SECONDS = 10, 3
PARAMETERS = {"propagation.enabled": "true"}
TIMEOUT_S = 150.0
NEXT_REPORT_S = 2.5  # depth_node reports once a second
TARGETS = {"rate_hz": 27.0, "age_ms_p95": 60.0, "error_ratio": 1.5}


def figures(width: int, height: int, seconds: float) -> dict[str, Any]:
    """Return rate, age, order and error of what comes out, and what depth_node says of itself.

    published_hz: from the arrival of the first depth to that of the last; age_ms: of depth_node's own, from the image's
    stamp to the end of publishing; arrival_ms: to the callback of a Python subscriber; error_ratio: AbsRel over that of
    the keyframes.
    """
    frames = round(seconds * CAMERA_HZ)
    parameters = (argument for pair in PARAMETERS.items() for argument in ("-p", "{}:={}".format(*pair)))
    with tempfile.TemporaryDirectory(prefix="depth_pro_ros_flight_") as folder:
        flight.make(Path(folder), width, height, CAMERA_HZ, frames)
        with Children(shipped_environment()) as children:
            children.start("judge", "benchmarks.judge", folder)
            late = ("benchmarks.late_depth_node", folder, str(NETWORK_S), "--ros-args", *parameters)
            children.start("depth_node", *late)
            time.sleep(NEXT_REPORT_S)
            children.start("flight", "benchmarks.flight", folder, str(CAMERA_HZ))
            children.wait("flight", TIMEOUT_S)
            time.sleep(NEXT_REPORT_S)
            report = children.stop("judge")
            if len(report["judgement"][DEPTH]["numbers"]) < 2:
                state = report["status"].get("state", "unknown")
                raise children.failure("depth_node", f"(state: {state}) let no flight through")
    return summary(report, frames)


def summary(report: dict[str, Any], frames: int) -> dict[str, Any]:
    """Return the figures of what the judge heard of `frames`."""
    status, depth, keyframes = report["status"], report["judgement"][DEPTH], report["judgement"][UNFUSED]
    ages_ms = report["ages_ms"][DEPTH]
    arrivals_s = np.array(depth["stamps_ns"]) / 1e9 + np.array(ages_ms) / 1e3
    error, keyframe_error = (float(np.mean(heard["abs_rel"])) for heard in (depth, keyframes))
    return {
        "sent": frames,
        "keyframes": len(keyframes["numbers"]),
        "published": len(arrivals_s),
        "published_hz": round((len(arrivals_s) - 1) / (arrivals_s[-1] - arrivals_s[0]), 2),
        "stamps_grow": bool((np.diff(depth["stamps_ns"]) > 0).all()),
        "age_ms_p50": float(status["age_ms_p50"]),
        "age_ms_p95": float(status["age_ms_p95"]),
        "arrival_ms_p50": measure.percentile(ages_ms, 50),
        "arrival_ms_p95": measure.percentile(ages_ms, 95),
        "abs_rel": round(error, 5),
        "abs_rel_keyframes": round(keyframe_error, 5),
        "error_ratio": round(error / keyframe_error, 3),
        "stages_ms": {key.removesuffix("_ms_p50"): float(value) for key, value in status.items() if "_ms_p50" in key},
        "facts": {fact: status[fact] for fact in ("propagation", "depth_is", "keyframe_age_s", "carried_share")},
    }


def run(quick: bool) -> list[dict[str, Any]]:
    """Fly once."""
    measure.progress(f"depth_node on a flight at {CAMERA_HZ:g} Hz, its network taking {NETWORK_S:g} s")
    row = {"size": f"{WIDTH}x{HEIGHT}", "camera_hz": CAMERA_HZ, "network_s": NETWORK_S, "targets": TARGETS}
    return [row | figures(WIDTH, HEIGHT, QUICK_SECONDS if quick else SECONDS)]


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure.main(__doc__.splitlines()[0], run, args)


if __name__ == "__main__":
    sys.exit(main())
