"""The landmark step against bare Lucas-Kanade calls on the same images and corners, in turns within one process.

A step follows the corners forth and back, finds new ones, resects the pose and triangulates every corner.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import cv2
import numpy as np

from depth_pro_ros.cli.benchmark_timing import Report, medians, parser, ratio, report
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.matching.landmarks import LandmarkSettings, Triangulator

WIDTH, HEIGHT, TRACKS = 640, 480, 300
FOCAL_PX, DEPTH_M, STEP_M = 500.0, 3.0, 0.03


def wall(frames: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return images (H, W) uint8 and poses (4, 4) of a camera that moves sideways before a textured wall."""
    random = np.random.default_rng(seed)
    margin = int(frames * STEP_M * FOCAL_PX / DEPTH_M) + 4
    grain = random.integers(0, 256, (HEIGHT // 8, (WIDTH + margin) // 8), np.uint8)
    texture = cv2.resize(grain, (WIDTH + margin, HEIGHT), interpolation=cv2.INTER_CUBIC)
    result = []
    for index in range(frames):
        pose = np.eye(4)
        pose[0, 3] = index * STEP_M
        shift = np.float32([[1, 0, -index * STEP_M * FOCAL_PX / DEPTH_M], [0, 1, 0]])
        result.append((cv2.warpAffine(texture, shift, (WIDTH, HEIGHT)), pose))
    return result


def measure(frames: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Return the medians of CPU and wall milliseconds of the step and of the bare call, and of their ratios."""
    triangulator = Triangulator(
        pinhole.centred(WIDTH, HEIGHT, FOCAL_PX), LandmarkSettings(max_tracks=TRACKS, cell_px=32)
    )
    turns: dict[str, list[float]] = {name: [] for name in ("step_ms", "step_cpu_ms", "bare_ms", "bare_cpu_ms")}
    counts = []
    for index, ((before, _), (gray, pose)) in enumerate(zip(frames, frames[1:], strict=False)):
        corners = cv2.goodFeaturesToTrack(before, TRACKS, 0.01, 10)
        laps = {}
        for name, work in (
            ("bare", lambda a=before, b=gray, c=corners: cv2.calcOpticalFlowPyrLK(a, b, c, None)),
            ("step", lambda g=gray, p=pose: triangulator.add(g, p)),
        ):
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            found = work()
            laps[f"{name}_ms"] = 1e3 * (time.perf_counter() - wall_s)
            laps[f"{name}_cpu_ms"] = 1e3 * (time.process_time() - cpu_s)
        if index >= 10:  # until then the window of keyframes fills
            counts.append(len(found.ids))
            for name, lap in laps.items():
                turns[name].append(lap)
    factor = ratio(turns, "step_cpu_ms", "bare_cpu_ms")
    return {**medians(turns), "ratio": factor, "landmarks": statistics.median(counts)}


def measured(args: argparse.Namespace) -> Report:
    """Return the figures of as many images as the flags want."""
    return {"width": WIDTH, "height": HEIGHT, "tracks": TRACKS, **measure(wall(20 if args.quick else 60))}


def table(figures: Report) -> str:
    """Return the report for people."""
    return (
        f"landmark step {figures['step_cpu_ms']:.1f} ms of CPU ({figures['step_ms']:.1f} ms), bare Lucas-Kanade "
        f"{figures['bare_cpu_ms']:.1f} ms: {figures['ratio']:.1f} times, {figures['landmarks']:.0f} landmarks of "
        f"{TRACKS} tracks at {WIDTH}x{HEIGHT}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    return report(parser("motion", __doc__).parse_args(argv), measured, table)


if __name__ == "__main__":
    raise SystemExit(main())
