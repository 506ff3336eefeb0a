"""Images a second that the procedural worlds are rendered at, by kind and size, with all effects of a camera."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

from depth_pro_ros.cli.benchmark_timing import Report, parser, report
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.scenes import KINDS, World, render

SIDES = (256, 512)
IMAGES, CPU_BATCH, GPU_BATCH = 24, 4, 64
FLIGHT_SIZE, FLIGHT_FOV_DEG, TEXEL_M = (640, 480), 75.0, 0.01


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    arguments = parser("scenes", __doc__)
    arguments.add_argument("--device", default="cpu", help="cpu or cuda; default: %(default)s")
    arguments.add_argument("--threads", type=int, default=1, help="of torch on a CPU; default: %(default)s")
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="default: all")
    return report(arguments.parse_args(argv), measured, table)


def measured(args: argparse.Namespace) -> Report:
    """Return the figures of the kinds and the device that the flags want."""
    torch.set_num_threads(args.threads)
    return measure(args.kinds, args.device, IMAGES // 4 if args.quick else IMAGES)


def measure(kinds: Sequence[str], device: str, images: int) -> Report:
    """Return images per second (wall time) by kind and side, and of a flight through a painted room on the CPU."""
    rates = {kind: {str(side): rate(kind, side, device, images) for side in SIDES} for kind in kinds}
    threads = torch.get_num_threads()
    return {"device": device, "threads": threads, "images": images, "rates": rates, "flight": flight(images)}


def rate(kind: str, side: int, device: str, images: int) -> float:
    """Return how many `side` x `side` images of `kind` are rendered a second, in batches."""
    batch = CPU_BATCH if device == "cpu" else GPU_BATCH
    images = max(images, 4 * batch) if device != "cpu" else images
    render(kind, range(batch), side, side, device)
    start = time.perf_counter()
    for first in range(0, images, batch):
        rgb = render(kind, range(first, first + batch), side, side, device).rgb
    rgb.cpu()  # waits for a GPU
    return round(len(range(0, images, batch)) * batch / (time.perf_counter() - start), 2)


def flight(frames: int) -> dict[str, float]:
    """Return the seconds it takes to paint a room and the milliseconds a frame of a flight through it."""
    width, height = FLIGHT_SIZE
    camera = pinhole.centred(width, height, pinhole.focal_from_fov(FLIGHT_FOV_DEG, width))
    start = time.perf_counter()
    world = World("aisle", 0, texel_m=TEXEL_M)
    painted = time.perf_counter()
    for pose in world.flight(frames, 0.5):
        world.render(camera, pose.T_world_camera)
    seconds = time.perf_counter() - painted
    return {"paint_s": round(painted - start, 2), "frame_ms": round(1000 * seconds / frames, 1)}


def table(figures: Report) -> str:
    """Return the report for people."""
    lines = [f"{figures['device']}, {figures['threads']} threads, {figures['images']} images each"]
    for kind, rates in figures["rates"].items():
        shown = ", ".join(f"{value:7.1f} images/s at {side} x {side}" for side, value in rates.items())
        lines.append(f"{kind:8s} {shown}")
    frame_ms, paint_s = figures["flight"]["frame_ms"], figures["flight"]["paint_s"]
    size = "{} x {}".format(*FLIGHT_SIZE)
    lines.append(f"aisle    {frame_ms:7.1f} ms a frame of a flight at {size}, after {paint_s} s of painting")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
