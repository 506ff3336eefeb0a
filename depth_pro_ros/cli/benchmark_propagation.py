"""Depth carried to the next view against a plain z-buffer that sorts, in turns within one process and on one thread.

The plain one carries, sorts by depth and fills what is empty with the mean of a box, without a look at the image. Then
depth_node carries depth on a flight, as a process around a network that takes half a second: rate, age and error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.cli.benchmark_timing import Report, in_turns, medians, parser, ratio, report
from depth_pro_ros.errors import DepthProError
from depth_pro_ros.geometry import motion, pinhole
from depth_pro_ros.propagation import Carrier, CarrySettings
from depth_pro_ros.records import DepthMap, Intrinsics, Pose
from depth_pro_ros.scenes import World

WIDTH, HEIGHT, FOV_DEG, REPEATS = 640, 480, 75.0, 30
CAMERA_HZ, AGE_S = 30.0, 0.5
BOX_PX = 31
TEXEL_M = 0.01
TARGET_HZ = 30.0
NODE = "depth_pro_ros.ros.benchmarks.propagation"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    arguments = parser("propagation", __doc__)
    arguments.add_argument("--no-node", action="store_true", help="leave depth_node's flight out")
    return report(arguments.parse_args(argv), measured, table)


def measured(args: argparse.Namespace) -> Report:
    """Return the figures of the carrier and, unless the flags leave it out, of depth_node's flight."""
    figures = measure(WIDTH, HEIGHT, REPEATS // 5 if args.quick else REPEATS)
    if not args.no_node:
        command = [sys.executable, "-m", NODE, "--json", *(["--quick"] if args.quick else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise DepthProError(f"depth_node's flight failed with status {done.returncode}: see above, or --no-node")
        figures["node"] = json.loads(done.stdout)["results"][0]
    return figures


def measure(width: int, height: int, repeats: int) -> Report:
    """Return medians of milliseconds and of ratios, frames a second, and the error of both contenders."""
    camera = pinhole.centred(width, height, pinhole.focal_from_fov(FOV_DEG, width))
    keyframe_depth, keyframe, rgb, truth_m, view = views(camera)
    carrier = Carrier(DepthMap(keyframe_depth, camera, camera.fx), keyframe, 0.05)
    T_view_keyframe = motion.compose(motion.inverse(view.T_world_camera), keyframe.T_world_camera)
    contenders: dict[str, Callable[[], Any]] = {
        "plain": lambda: box_filled(z_buffer(keyframe_depth, T_view_keyframe, camera)),
        "carried_only": lambda: carrier.carry(view, rgb, CarrySettings(fill_reach=0.0)),
        "carried_and_filled": lambda: carrier.carry(view, rgb),
    }
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        turns = in_turns(contenders, repeats, time.process_time)
    finally:
        cv2.setNumThreads(threads)
    median = medians(turns, 2)
    ours, plain = carrier.carry(view, rgb), contenders["plain"]()
    return {
        "width": width,
        "height": height,
        "ms": median,
        "frames_per_s": round(1e3 / median["carried_and_filled"], 1),
        "target_frames_per_s": TARGET_HZ,
        "plain_over_ours": ratio(turns, "plain", "carried_and_filled"),
        "carried_share": round(ours.carried_share, 4),
        "covered_share": round(ours.carried_share + ours.filled_share, 4),
        "abs_rel_ours": abs_rel(ours.depth.depth_m, truth_m),
        "abs_rel_plain": abs_rel(plain, truth_m),
    }


def views(camera: Intrinsics) -> tuple[np.ndarray, Pose, np.ndarray, np.ndarray, Pose]:
    """Return a keyframe's depth and pose, and image, depth and pose of the view `AGE_S` after it in a room's flight."""
    room = World("aisle", 0, texel_m=TEXEL_M)
    poses = room.flight(round(room.flight_period_s * CAMERA_HZ), CAMERA_HZ)
    keyframe, view = poses[0], poses[round(AGE_S * CAMERA_HZ)]
    seen = room.render(camera, view.T_world_camera)
    before = room.render(camera, keyframe.T_world_camera)
    return before.depth_m, keyframe, seen.rgb, seen.depth_m, view


def z_buffer(depth_m: np.ndarray, T_view_keyframe: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Return depth (H, W) carried point by point, the farthest first, NaN where nothing lands."""
    points = pinhole.unproject(depth_m, camera).reshape(-1, 3)
    points = motion.transform(T_view_keyframe, points[np.isfinite(points[:, 2])])
    points = points[points[:, 2] > 0]
    u, v = np.rint(pinhole.project(points, camera)).astype(int).T
    seen = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    u, v, z = u[seen], v[seen], points[seen, 2]
    order = np.argsort(-z)
    carried = np.full(depth_m.shape, np.nan, np.float32)
    carried[v[order], u[order]] = z[order]
    return carried


def box_filled(depth_m: np.ndarray) -> np.ndarray:
    """Return depth whose unknown pixels are the mean of the known ones in a box around them."""
    known = np.isfinite(depth_m).astype(np.float32)
    mean = cv2.blur(np.nan_to_num(depth_m), (BOX_PX, BOX_PX)) / np.maximum(cv2.blur(known, (BOX_PX, BOX_PX)), 1e-6)
    return np.where(known > 0, depth_m, np.where(mean > 0, mean, np.float32(np.nan)))


def abs_rel(depth_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Return the mean of |depth - truth| / truth over the pixels that have both."""
    both = np.isfinite(depth_m) & np.isfinite(truth_m)
    return round(float(np.mean(np.abs(depth_m[both] / truth_m[both] - 1))), 5)


def table(figures: Report) -> str:
    """Return the report for people."""
    times = ", ".join(f"{name.replace('_', ' ')} {ms:.1f} ms" for name, ms in figures["ms"].items())
    core = (
        f"{figures['width']}x{figures['height']}, one thread: {times}\n{figures['frames_per_s']:.0f} frames/s (target "
        f"{figures['target_frames_per_s']:.0f}), {figures['plain_over_ours']:.1f} times the plain z-buffer's speed; "
        f"AbsRel {figures['abs_rel_ours']:.4f}, the plain one's {figures['abs_rel_plain']:.4f}; "
        f"{figures['carried_share']:.1%} carried, {figures['covered_share']:.1%} after filling"
    )
    if not (node := figures.get("node")):
        return core
    return (
        f"{core}\ndepth_node, images at {node['camera_hz']:g} Hz, network {node['network_s']:g} s: depth at "
        f"{node['published_hz']:.1f} Hz, age {node['age_ms_p50']:.0f} ms, p95 {node['age_ms_p95']:.0f} ms; AbsRel "
        f"{node['abs_rel']:.4f}, {node['error_ratio']:.2f} times that of {node['keyframes']} keyframes"
    )


if __name__ == "__main__":
    raise SystemExit(main())
