"""Incremental inference against the plain network, frame by frame in turns: speed, operations and error.

A camera hovers in a hall while a thing that covers 5 % of the picture moves, at its foot and in its middle; then it
flies along the hall at 0.5 m/s. The focal length is known, so that neither contender estimates it.

"difference" is the mean relative difference from the plain network's depth; "AbsRel" the error of both against the
rendered depth, which only the flight has. What threshold 0 and image_every 1 give is exact, all else approximates.

The published size takes minutes a frame on a CPU: --preset depth_pro --scenes foot --frames 3 is enough for its ratio.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from depth_pro_ros import network
from depth_pro_ros.cli.benchmark_predictor import add_predictor_arguments, measured_predictor
from depth_pro_ros.cli.benchmark_timing import Report, parser, report, say
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference import Predictor
from depth_pro_ros.inference.decoder_cache import DecoderCache
from depth_pro_ros.inference.incremental import FrameCost, IncrementalNetwork
from depth_pro_ros.inference.metric import to_depth
from depth_pro_ros.inference.preprocess import to_input
from depth_pro_ros.inference.token_cache import FINE_PATCHES, IMAGE, QUARTER, TokenCache
from depth_pro_ros.network.simplify import simplify
from depth_pro_ros.scenes import World

WIDTH, HEIGHT, FOV_DEG, CAMERA_HZ, TEXEL_M = 640, 480, 75.0, 30.0, 0.01
FRAMES, QUICK_FRAMES = 24, 6  # the first of which is computed whole and does not count
THING = (0.165, 0.27)  # height and width over the picture's
STEP = 0.02  # by which it moves in a frame, over the picture's width
MAX_RANGE_M = 1000.0
REFERENCE = "depth_pro"  # whose operations are counted for the same patches, whatever is timed


@dataclass(frozen=True)
class Case:
    """A scene and the settings with which it is followed."""

    scene: str
    threshold: float = 0.0
    refresh_frames: int = 30
    image_every: int = 1
    quick: bool = True  # whether it is a part of a first impression


CASES = {
    "foot": (Case("hovering, foot"), Case("hovering, foot", image_every=2)),
    "middle": (Case("hovering, middle"),),
    "flight": (
        Case("flying", quick=False),
        Case("flying", 4.0, quick=False),
        Case("flying", 8.0, quick=False),
        Case("flying", 255.0, 2, 2),
        Case("flying", 255.0, 3, 3),
    ),
}


@dataclass(frozen=True)
class Frame:
    """An image (H, W, 3) uint8 and, where it is known, its depth (H, W) in metres."""

    rgb: np.ndarray
    truth_m: Tensor | None = None


class Hall:
    """Frames of a camera in a painted hall."""

    def __init__(self, frames: int):
        self._world = World("aisle", 0, texel_m=TEXEL_M)
        self._camera = pinhole.centred(WIDTH, HEIGHT, pinhole.focal_from_fov(FOV_DEG, WIDTH))
        self._poses = self._world.flight(frames, CAMERA_HZ)

    def frames(self, scene: str) -> Iterator[Frame]:
        """Yield the frames of "flying", or of "hovering" with a thing at the "foot" or in the "middle"."""
        if scene == "flying":
            yield from (self._seen(index) for index in range(len(self._poses)))
            return
        still = self._seen(0).rgb
        top = 0.825 if scene.endswith("foot") else 0.4
        for index in range(len(self._poses)):
            yield Frame(with_thing(still, top, (0.1 + STEP * index) % (1 - THING[1])))

    def _seen(self, index: int) -> Frame:
        view = self._world.render(self._camera, self._poses[index].T_world_camera)
        return Frame(view.rgb, torch.from_numpy(view.depth_m))


def with_thing(rgb: np.ndarray, top: float, left: float) -> np.ndarray:
    """Return the image with a chequered thing whose corner is at (top, left), shares of height and width."""
    height, width = rgb.shape[:2]
    seen = rgb.copy()
    part = seen[round(top * height) :, round(left * width) :][: int(THING[0] * height), : int(THING[1] * width)]
    v, u = np.indices(part.shape[:2]) // 16
    part[:] = np.where((u + v) % 2, 230, 40)[..., None]
    return seen


def measured(args: argparse.Namespace) -> Report:
    """Return a row for each scene and setting."""
    frames = args.frames or (QUICK_FRAMES if args.quick else FRAMES)
    cases = [case for scene in args.scenes for case in CASES[scene] if case.quick or not args.quick]
    say("painting the hall")
    hall = Hall(frames)
    with measured_predictor(args) as predictor:
        clock = time.process_time if predictor.device.type == "cpu" else time.perf_counter
        rows = []
        for case in cases:
            say(f"{case.scene}, threshold {case.threshold:g}, whole picture at most every {case.image_every}")
            rows.append(row(case, list(hall.frames(case.scene)), predictor, args.preset, clock))
        return {"predictor": predictor.description, "frames": frames, "camera_hz": CAMERA_HZ, "rows": rows}


def row(case: Case, frames: list[Frame], predictor: Predictor, preset: str, clock: Callable[[], float]) -> Report:
    """Follow the frames and return the figures; the first one, which both compute whole, does not count."""
    follow = IncrementalNetwork(predictor.network, case.threshold, case.refresh_frames, case.image_every)
    plain_s, follow_s, costs, errors = [], [], [], []
    for frame in frames:
        pixels = to_input([frame.rgb], predictor.network.config.image_size, predictor.device)
        exact, seconds = timed(lambda x: predictor.network(x, fov=False)[0], pixels, clock)
        plain_s.append(seconds)
        found, seconds = timed(lambda x: follow(x, fov=False)[0], pixels, clock)
        follow_s.append(seconds)
        costs.append(follow.cost)
        errors.append(compared(depth_of(found), depth_of(exact), frame.truth_m))
    images = [frame.rgb for frame in frames]
    same = [(one == other).all(-1).mean() for one, other in zip(images, images[1:], strict=False)]
    difference, error, plain_error = (mean(values) for values in zip(*errors[1:], strict=True))
    return {
        **{name: value for name, value in asdict(case).items() if name != "quick"},
        "pixels_unchanged": mean(same),
        **work(costs[1:], preset),
        "speed": round(sum(plain_s[1:]) / sum(follow_s[1:]), 2),
        "plain_ms": round(1e3 * statistics.median(plain_s[1:]), 1),
        "incremental_ms": round(1e3 * statistics.median(follow_s[1:]), 1),
        "difference": difference,
        "abs_rel": error,
        "abs_rel_plain": plain_error,
        "held_mb": round(follow.nbytes / 1e6, 1),
    }


def frame_count(text: str) -> int:
    """Return how many frames are wanted: the first one, which does not count, and at least one more."""
    if text.isdecimal() and int(text) >= 2:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' frames; it must be at least 2, since the first one does not count")


def work(costs: list[FrameCost], preset: str) -> Report:
    """Return the means of what frames cost, as factors by which it is less than that of whole passes."""
    return {
        "patches": mean([cost.patches for cost in costs]),
        "encoder_operations": round(len(costs) / max(sum(cost.encoder_share for cost in costs), 1e-9), 2),
        "operations": times_less(preset, costs),
        "operations_depth_pro": times_less(REFERENCE, costs),
        "oldest_frames": max(cost.oldest_frames for cost in costs),
    }


def times_less(preset: str, costs: list[FrameCost]) -> float:
    """Return by how much fewer operations than whole passes frames of these costs take in a network of such sizes."""
    taken = sum(operations(preset, encoded) for encoded in (cost.encoded for cost in costs))
    return round(len(costs) * operations(preset, FrameCost.whole(fov=False).encoded) / max(taken, 1), 2)


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean to four digits, None of nothing."""
    known = [float(value) for value in values if value is not None]
    return float(f"{statistics.mean(known):.4g}") if known else None


def timed(run: Callable[[Tensor], Tensor], frame: Tensor, clock: Callable[[], float]) -> tuple[Tensor, float]:
    """Return the network's answer and the seconds it took, a GPU's included."""
    with torch.inference_mode():
        _drain(frame)
        started = clock()
        answer = run(frame)
        _drain(frame)
        return answer, clock() - started


def _drain(frame: Tensor) -> None:
    if frame.device.type == "cuda":
        torch.cuda.synchronize()


def depth_of(canonical: Tensor) -> Tensor:
    """Return depth (H, W) in metres of the network's answer (1, 1, S, S)."""
    focal_px = pinhole.focal_from_fov(FOV_DEG, WIDTH)
    return to_depth(canonical[0, 0].cpu(), WIDTH, focal_px, (WIDTH, HEIGHT), MAX_RANGE_M)


def compared(found_m: Tensor, plain_m: Tensor, truth_m: Tensor | None) -> tuple[float, float | None, float | None]:
    """Return the mean relative difference from the plain network's depth, and the errors of both where one knows."""
    difference = abs_rel(found_m, plain_m)
    return difference, *((None, None) if truth_m is None else (abs_rel(found_m, truth_m), abs_rel(plain_m, truth_m)))


def abs_rel(found_m: Tensor, reference_m: Tensor) -> float:
    """Return the mean of |depth - reference| / reference where both are finite."""
    both = torch.isfinite(found_m) & torch.isfinite(reference_m)
    return float((found_m[both] / reference_m[both] - 1).abs().mean())


@functools.lru_cache
def operations(preset: str, numbers: tuple[int, ...]) -> int:
    """Return the floating-point operations (2 per multiplication and addition) of a frame, without FOV.

    `numbers` are of the patches that it encodes. They are counted on PyTorch's meta device, where nothing is computed.
    """
    device, net = torch.device("meta"), _sizes(preset)
    tokens, decoder = TokenCache(net, device), DecoderCache(net, device)
    side = net.config.patch_size
    patches = torch.empty(IMAGE, 3, side, side, device=device)
    fine, middle = tokens.boxes(numbers, 0, FINE_PATCHES), tokens.boxes(numbers, FINE_PATCHES, QUARTER)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if numbers:
            tokens.encode(patches, numbers)
        decoder.update(tokens.maps, fine, middle, not {QUARTER, IMAGE}.isdisjoint(numbers))
    return counter.get_total_flops()


@functools.lru_cache
def _sizes(preset: str) -> network.DepthPro:
    """Return the simplified network of a preset without the contents of its weights."""
    with torch.device("meta"):
        return simplify(network.DepthPro(network.PRESETS[preset]))


def table(figures: Report) -> str:
    """Return the report for people."""
    about = figures["predictor"]
    lines = [
        f"{about['weights']}, {about['precision']} on {about['device']}, {figures['frames']} frames at "
        f"{figures['camera_hz']:g} Hz; times less, against the plain network",
        f"{'scene':<18}{'threshold':>10}{'refresh':>8}{'image':>6}{'unchanged':>10}{'patches':>8}{'encoder':>8}"
        f"{'all':>6}{'depth_pro':>10}{'speed':>7}{'difference':>11}  AbsRel",
    ]
    for row in figures["rows"]:
        error = "" if row["abs_rel"] is None else f"  {row['abs_rel']:.4f}, plain {row['abs_rel_plain']:.4f}"
        lines.append(
            f"{row['scene']:<18}{row['threshold']:>10g}{row['refresh_frames']:>8}{row['image_every']:>6}"
            f"{row['pixels_unchanged']:>10.1%}"
            f"{row['patches']:>8.1f}{row['encoder_operations']:>8.1f}{row['operations']:>6.2f}"
            f"{row['operations_depth_pro']:>10.2f}{row['speed']:>7.2f}{row['difference']:>11.2g}{error}"
        )
    lines.append("encoder, all, depth_pro: fewer operations of the encoders, of this network, of the published one")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    arguments = parser("incremental", __doc__)
    add_predictor_arguments(arguments)
    scenes = f"{', '.join(CASES)}; default: all"
    arguments.add_argument("--scenes", nargs="+", choices=CASES, default=[*CASES], metavar="SCENE", help=scenes)
    arguments.add_argument("--frames", type=frame_count, help=f"default: {FRAMES}, {QUICK_FRAMES} with --quick")
    return report(arguments.parse_args(argv), measured, table)


if __name__ == "__main__":
    raise SystemExit(main())
