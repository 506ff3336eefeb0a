"""The stereo path against one bare SGBM call of the same range, in turns within one process.

It makes two calls, one of them on padded images, and checks them against each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from depth_pro_ros.matching.disparity import StereoMatcher

WIDTH, HEIGHT, DISPARITIES, REPEATS = 1280, 720, 128, 5


def synthetic_pair(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair (height, width) uint8 of a textured wall that comes nearer from left to right: 10 to 60 px."""
    random = np.random.default_rng(seed)
    grain = random.integers(0, 256, (height // 2, width // 2), np.uint8)
    left = cv2.GaussianBlur(cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 1.0)
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    scale = 50 / width  # d = 10 + scale u_left, so u_left = (u_right + 10) / (1 - scale)
    right = cv2.remap(left, (u + 10) / np.float32(1 - scale), v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return left, right


def measure(left: np.ndarray, right: np.ndarray, disparities: int, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of the bare call and of the stereo path, and the median of their ratios."""
    matcher = StereoMatcher(num_disparities=disparities)
    turns: dict[str, list[float]] = {"bare_ms": [], "stereo_ms": []}
    contenders: dict[str, Callable[[], object]] = {
        "bare_ms": lambda: matcher.bare(left, right),
        "stereo_ms": lambda: matcher.match(left, right),
    }
    for turn in range(repeats + 1):
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            if turn:  # the first warms up
                turns[name].append(1e3 * (time.perf_counter() - started))
    ratios = [ours / bare for ours, bare in zip(turns["stereo_ms"], turns["bare_ms"], strict=True)]
    medians = {name: statistics.median(values) for name, values in turns.items()}
    return {**medians, "ratio": statistics.median(ratios)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(prog="depth_pro_ros benchmark stereo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    width, height = (WIDTH // 2, HEIGHT // 2) if args.quick else (WIDTH, HEIGHT)
    figures = measure(*synthetic_pair(width, height), DISPARITIES, REPEATS)
    report = {"width": width, "height": height, "disparities": DISPARITIES, "opencv": cv2.__version__, **figures}
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"stereo, {width}x{height}, {DISPARITIES} disparities, OpenCV {cv2.__version__}:")
        print(f"  {figures['stereo_ms']:.0f} ms, {figures['ratio']:.2f} times one bare SGBM call")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
