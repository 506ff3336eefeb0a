"""The stereo path against one bare SGBM call of the same range, in turns within one process.

It makes two calls, one of them on padded images, and checks them against each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from depth_pro_ros.cli.benchmark_timing import Report, in_turns, medians, parser, ratio, report
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
    contenders: dict[str, Callable[[], object]] = {
        "bare_ms": lambda: matcher.bare(left, right),
        "stereo_ms": lambda: matcher.match(left, right),
    }
    turns = in_turns(contenders, repeats)
    return {**medians(turns), "ratio": ratio(turns, "stereo_ms", "bare_ms")}


def measured(args: argparse.Namespace) -> Report:
    """Return the figures of a pair of the size that the flags want."""
    width, height = (WIDTH // 2, HEIGHT // 2) if args.quick else (WIDTH, HEIGHT)
    figures = measure(*synthetic_pair(width, height), DISPARITIES, REPEATS)
    return {"width": width, "height": height, "disparities": DISPARITIES, **figures}


def table(figures: Report) -> str:
    """Return the report for people."""
    return (
        f"stereo, {figures['width']}x{figures['height']}, {figures['disparities']} disparities: "
        f"{figures['stereo_ms']:.0f} ms, {figures['ratio']:.2f} times one bare SGBM call"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    return report(parser("stereo", __doc__).parse_args(argv), measured, table)


if __name__ == "__main__":
    raise SystemExit(main())
