"""The stages of a frame: what the network's parts take, and decoding, resizing, metres and cloud beside plain copies.

A copy is of as many bytes as a stage reads and writes. All take turns, on one thread unless the flags say otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import cv2
import numpy as np
import torch

from depth_pro_ros.cli.benchmark_predictor import add_predictor_arguments, measured_predictor
from depth_pro_ros.cli.benchmark_timing import Report, Work, in_turns, medians, parser, ratio, report, say
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference import Predictor
from depth_pro_ros.inference.metric import to_depth
from depth_pro_ros.inference.precision import fixed_image
from depth_pro_ros.inference.preprocess import to_input
from depth_pro_ros.messages.clouds import points_from_depth
from depth_pro_ros.messages.images import decode_image
from depth_pro_ros.network.encoder import quartered

WIDTH, HEIGHT, FOCAL_PX, MAX_RANGE_M = 1280, 720, 900.0, 1000.0
REPEATS, QUICK_REPEATS = 30, 5
NETWORK_REPEATS = 5
TARGET_MS, TARGET_RATIO = 10.0, 3.0  # together, and each over its copy


class Copy:
    """A plain copy of `nbytes` bytes into memory that exists already: nothing moves them faster."""

    def __init__(self, nbytes: int):
        self._source = np.arange(nbytes, dtype=np.uint8)
        self._target = self._source.copy()

    def __call__(self) -> None:
        """Copy once."""
        np.copyto(self._target, self._source)


def around(predictor: Predictor) -> Report:
    """Return, for each stage before and after the network, its call and the bytes that it reads and writes."""
    random = np.random.default_rng(0)
    rgb = cv2.resize(random.integers(0, 256, (45, 80, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    message = SimpleNamespace(width=WIDTH, height=HEIGHT, encoding="bgr8", step=3 * WIDTH, is_bigendian=0)
    message.data = rgb.tobytes()
    side = predictor.network.config.image_size
    out = predictor.network.config.output_size
    canonical = torch.from_numpy(random.uniform(0.1, 2.0, (out, out)).astype(np.float32)).to(predictor.device)
    camera = pinhole.centred(WIDTH, HEIGHT, FOCAL_PX)
    size = (WIDTH, HEIGHT)
    depth_m = to_depth(canonical, WIDTH, FOCAL_PX, size, MAX_RANGE_M).cpu().numpy()

    def metric() -> np.ndarray:
        return to_depth(canonical, WIDTH, FOCAL_PX, size, MAX_RANGE_M).cpu().numpy()

    def cloud(stride: int) -> np.ndarray:
        return points_from_depth(depth_m, rgb, camera, stride)

    points = WIDTH * HEIGHT * 16
    return {
        "decode bgr8": (lambda: decode_image(message), 2 * rgb.nbytes),
        "resize": (lambda: to_input([rgb], side, predictor.device).cpu(), rgb.nbytes + side * side * 12),
        "metric": (metric, canonical.nbytes + depth_m.nbytes),
        "cloud, stride 2": (lambda: cloud(2), (rgb.nbytes + depth_m.nbytes + points) // 4),
        "cloud, stride 1": (lambda: cloud(1), rgb.nbytes + depth_m.nbytes + points),
    }


def beside_copies(predictor: Predictor, repeats: int) -> list[Report]:
    """Return a row for each stage before and after the network: its time, its copy's, their ratio."""
    rows = []
    for name, (step, nbytes) in around(predictor).items():
        turns = in_turns({"stage": step, "copy": Copy(nbytes)}, repeats)
        middle = medians(turns)
        times = {"ms": middle["stage"], "copy_ms": middle["copy"], "ratio": ratio(turns, "stage", "copy")}
        rows.append({"stage": name, "mb": round(nbytes / 1e6, 2), **times})
    return rows


@torch.inference_mode()
def parts(predictor: Predictor, repeats: int) -> dict[str, float]:
    """Return the milliseconds of the network's parts and of the whole of it."""
    net, device = predictor.network, predictor.device
    image = fixed_image(net.config.image_size, device).clamp(-1, 1)
    inner = image.to(net.compute_dtype)
    quarter, maps = quartered(inner, net.config), net.encoder(inner, net.patch_batch)
    lateral = net.lateral(maps)
    whole: dict[str, Work] = {
        "encoder": lambda: net.encoder(inner, net.patch_batch),
        "of it image encoder": lambda: net.encoder.image_encoder(quarter),
        "decoder to level 1": lambda: net.fuse(net.lateral(maps), maps, 1),
        "field of view": lambda: net.fov(quarter, lateral),
        "network without field of view": lambda: net(image, fov=False),
    }
    waiting = {name: waited(work, device) for name, work in whole.items()}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    figures = medians(in_turns(waiting, repeats, clock), 1)
    rest = figures["network without field of view"] - figures["encoder"] - figures["decoder to level 1"]
    return {**figures, "finest level and head": round(rest, 1)}


def waited(work: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """Return `work` followed by waiting for a GPU."""

    def run() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def measured(args: argparse.Namespace) -> Report:
    """Return both tables."""
    cv2.setNumThreads(args.threads)
    with measured_predictor(args) as predictor:
        say("decode, resize, metric, cloud")
        rows = beside_copies(predictor, QUICK_REPEATS if args.quick else REPEATS)
        say("network")
        network_ms = parts(predictor, 1 if args.quick else NETWORK_REPEATS)
    together = sum(row["ms"] for row in rows if row["stage"] != "cloud, stride 1")
    return {
        "predictor": predictor.description,
        "size": f"{WIDTH}x{HEIGHT}",
        "stages": rows,
        "together_ms": round(together, 2),
        "worst_ratio": max(row["ratio"] for row in rows),
        "median_ratio": statistics.median(row["ratio"] for row in rows),
        "targets": {"together_ms": TARGET_MS, "ratio": TARGET_RATIO},
        "network_ms": network_ms,
    }


def table(figures: Report) -> str:
    """Return the report for people."""
    about = figures["predictor"]
    lines = [f"{figures['size']}, wall time; a copy of the same bytes beside each"]
    lines += [
        f"  {row['stage']:<18}{row['ms']:>8.2f} ms   {row['ratio']:>5.2f} times the copy of {row['mb']} MB"
        for row in figures["stages"]
    ]
    lines.append(f"  together, cloud of stride 2: {figures['together_ms']:.1f} ms (target {TARGET_MS:g})")
    lines.append(f"{about['weights']}, {about['precision']} on {about['device']}, processor time on a CPU")
    lines += [f"  {name:<32}{ms:>10.1f} ms" for name, ms in figures["network_ms"].items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    arguments = parser("stages", __doc__)
    add_predictor_arguments(arguments)
    return report(arguments.parse_args(argv), measured, table)


if __name__ == "__main__":
    raise SystemExit(main())
