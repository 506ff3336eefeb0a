"""Fusion with a dense cue against the stereo that makes it, in turns within one process.

The cue is our own stereo's answer for a textured wall; the prediction is the wall, distorted as a network distorts it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.cli.benchmark_stereo import synthetic_pair
from depth_pro_ros.cli.benchmark_timing import Report, in_turns, medians, parser, report
from depth_pro_ros.fusion import Fuser, samples_from_disparity
from depth_pro_ros.geometry import pinhole, stereo
from depth_pro_ros.matching.disparity import StereoMatcher
from depth_pro_ros.records import DepthMap

WIDTH, HEIGHT, DISPARITIES, REPEATS = 1280, 720, 128, 5
FOCAL_PX, BASELINE_M = 900.0, 0.12
TARGET_OVER_STEREO = 0.4


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    return report(parser("fusion", __doc__).parse_args(argv), measured, table)


def measured(args: argparse.Namespace) -> Report:
    """Return the figures of images of the size that the flags want."""
    width, height = (WIDTH // 2, HEIGHT // 2) if args.quick else (WIDTH, HEIGHT)
    return measure(width, height, REPEATS)


def measure(width: int, height: int, repeats: int) -> Report:
    """Return median milliseconds of a bare SGBM call, our stereo, the samples and the fusion, and their ratios."""
    left, right = synthetic_pair(width, height)
    truth_px = np.broadcast_to(10 + 50 / width * np.arange(width, dtype=np.float32), (height, width))
    truth_m = stereo.depth_from_disparity(truth_px, FOCAL_PX, BASELINE_M)
    predicted, matcher, fuser = distorted(truth_m), StereoMatcher(num_disparities=DISPARITIES), Fuser()
    matched = matcher.match(left, right)

    def samples() -> Any:
        return samples_from_disparity(matched.disparity_px, FOCAL_PX, BASELINE_M, sigma_px=matched.sigma_px)

    cue = samples()
    contenders: dict[str, Callable[[], Any]] = {
        "bare_sgbm": lambda: matcher.bare(left, right),
        "stereo": lambda: matcher.match(left, right),
        "samples": samples,
        "fusion": lambda: fuser.fuse(predicted, [cue], 0),
    }
    median = medians(in_turns(contenders, repeats))
    whole, fused = median["samples"] + median["fusion"], fuser.fuse(predicted, [cue], 0)
    return {
        "width": width,
        "height": height,
        "cue_share": matched.share,
        "state": fused.factor.state,
        "abs_rel_fused": float(np.mean(np.abs(fused.depth.depth_m / truth_m - 1))),
        "ms": median,
        "fusion_over_bare_sgbm": whole / median["bare_sgbm"],
        "fusion_over_stereo": whole / median["stereo"],
        "target_over_stereo": TARGET_OVER_STEREO,
    }


def distorted(depth_m: np.ndarray) -> DepthMap:
    """Return a prediction with the scale, the shift, the smooth field and the soft edges of a network."""
    height, width = depth_m.shape
    v, u = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    inverse = 1.4 / depth_m
    inverse = (inverse + 0.2 * np.median(inverse)) * (1.0 + 0.05 * np.sin(4.0 * u) * np.cos(3.0 * v))
    blurred = cv2.GaussianBlur(inverse.astype(np.float32), (0, 0), 1.5)
    return DepthMap(1.0 / blurred, pinhole.centred(width, height, FOCAL_PX), FOCAL_PX)


def table(figures: Report) -> str:
    """Return the report for people."""
    times = ", ".join(f"{name.replace('_', ' ')} {ms:.0f} ms" for name, ms in figures["ms"].items())
    return (
        f"{figures['width']}x{figures['height']}: {times}\nsamples and fusion over stereo "
        f"{figures['fusion_over_stereo']:.2f} (target {TARGET_OVER_STEREO}), over one bare SGBM call "
        f"{figures['fusion_over_bare_sgbm']:.2f}; AbsRel {figures['abs_rel_fused']:.4f}, {figures['state']}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
