"""The network against transformers' implementation, with the same weights from the same file.

Run as a child process: `speed` holds both contenders in one process and lets them take turns, `memory`
loads and runs one alone. Each prints one JSON object a line, so that a parent that loses patience keeps what
came before.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.cli.benchmark_timing import traced
from depth_pro_ros.inference import Predictor

OURS, THEIRS = "depth_pro_ros", "transformers"
EXACT = f"{THEIRS} float32"  # beside contenders of another precision, whose errors are taken from it
MAX_RANGE_M = 1000.0
Forward = Callable[[Tensor], Tensor]


def ours(path: Path, precision: str) -> Forward:
    """Return our forward pass, image to canonical inverse depth and field of view, as the predictor runs it."""
    network = Predictor.load(path, device="cpu", precision=precision, log=lambda text: None).network
    return lambda image: network(image)[0][:, 0]


def ours_whole(path: Path, precision: str) -> Forward:
    """Return our way from an image (H, W, 3) uint8 to its depth (H, W), the focal length estimated."""
    predictor = Predictor.load(path, device="cpu", precision=precision, max_range_m=MAX_RANGE_M, log=lambda text: None)
    return lambda rgb: torch.from_numpy(predictor.predict(rgb.numpy(), estimate_focal=True).depth_m)


def theirs_whole(path: Path, precision: str) -> Forward:
    """Return the way around transformers' network that its documentation shows, in PyTorch alone.

    Its image processor, which needs torchvision, does the same in the same number format, float32.
    """
    import transformers

    model = _their_model(path, precision)
    side = 4 * transformers.AutoConfig.from_pretrained(path).patch_size

    def run(rgb: Tensor) -> Tensor:
        height, width = rgb.shape[:2]
        pixels = rgb.permute(2, 0, 1)[None].float().div_(255).sub_(0.5).div_(0.5)
        pixels = torch.nn.functional.interpolate(pixels, size=(side, side), mode="bilinear", align_corners=False)
        answer = model(pixels.to(model.dtype))
        focal_px = 0.5 * width / torch.tan(0.5 * torch.deg2rad(answer.field_of_view.float()))
        inverse = answer.predicted_depth.float()[None] * (width / focal_px)
        inverse = torch.nn.functional.interpolate(inverse, size=(height, width), mode="bilinear", align_corners=False)
        return 1.0 / inverse[0, 0].clamp(1 / MAX_RANGE_M, 1e4)

    return run


def theirs(path: Path, precision: str) -> Forward:
    """Return transformers' forward pass with its fastest attention."""
    model = _their_model(path, precision)
    return lambda image: model(image.to(model.dtype)).predicted_depth.float()


def _their_model(path: Path, precision: str) -> torch.nn.Module:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import transformers

    transformers.utils.logging.disable_progress_bar()
    dtype = torch.float32 if precision == "int8" else getattr(torch, precision)  # it has no 8-bit layers of its own
    model = transformers.DepthProForDepthEstimation.from_pretrained(path, dtype=dtype, attn_implementation="sdpa")
    return model.eval()


CONTENDERS = {OURS: ours, THEIRS: theirs}
WHOLE = {OURS: ours_whole, THEIRS: theirs_whole}


def tell(**facts: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(facts), flush=True)


def timed(forward: Forward, image: Tensor) -> tuple[Tensor, float]:
    """Return the output of one pass and its seconds."""
    with torch.inference_mode():
        start = time.perf_counter()
        result = forward(image)
        return result, time.perf_counter() - start


def speed(
    path: Path,
    precision: str,
    side: int,
    repeats: int,
    warm_up: bool,
    contenders: list[str],
    size: tuple[int, int] | None = None,
    profile: str | None = None,
) -> None:
    """Let all take turns, `repeats` times, on one image; tell the seconds of each run and how far they agree.

    A contender's name may be followed by a precision of its own, after a space. With a `size` (w, h) they go from an
    image of this size to its depth, else from the network's input to its output.
    `profile` is a file for a trace of one more run of ours.
    """
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    if size:
        image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))
    forwards = {}
    for name in contenders:
        whose, _, own = name.partition(" ")
        forwards[name] = (WHOLE if size else CONTENDERS)[whose](path, own or precision)
    if warm_up:
        for name, forward in forwards.items():
            tell(contender=name, warm_up_seconds=timed(forward, image)[1])
    outputs = {}
    for _ in range(repeats):
        for name, forward in forwards.items():
            outputs[name], seconds = timed(forward, image)
            tell(contender=name, seconds=seconds)
    if THEIRS in outputs:
        tell(**agreement(outputs[OURS], outputs[THEIRS]))
    if EXACT in outputs:
        tell(errors={name: agreement(outputs[name], outputs[EXACT]) for name in outputs if name != EXACT})
    if profile:
        with traced(Path(profile)):
            timed(forwards[OURS], image)


def agreement(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    """Return by how much two answers differ where both are finite, over the standard deviation of the second."""
    both = torch.isfinite(ours) & torch.isfinite(theirs)
    difference, sigma = (ours - theirs)[both].abs(), theirs[both].std()
    return {
        "mean_difference_over_sigma": float(difference.mean() / sigma),
        "max_over_sigma": float(difference.max() / sigma),
    }


def memory(path: Path, precision: str, side: int, contender: str) -> None:
    """Load and run one contender alone; tell its peak memory above the bare interpreter with PyTorch."""
    if contender == THEIRS:
        import transformers  # noqa: F401 - its import is no cost of the network
    idle = peak_mb()
    anonymous = AnonymousPeak()
    timed(CONTENDERS[contender](path, precision), torch.zeros(1, 3, side, side))
    tell(contender=contender, peak_mb=peak_mb() - idle, peak_anonymous_mb=anonymous.stop(), interpreter_mb=idle)


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, mapped files included.

    Not getrusage's: that one begins, in a child, with the memory of the process that started it.
    """
    return status_mb("VmHWM")


def status_mb(name: str) -> float:
    """Return a memory figure of this process as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


class AnonymousPeak:
    """Watches memory that no file backs, which the system cannot take back, from another thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._start = status_mb("RssAnon")
        self._peak = self._start
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self._peak = max(self._peak, status_mb("RssAnon"))

    def stop(self) -> float:
        """Return the growth from the start to the peak in MB."""
        self._stop.set()
        self._thread.join()
        return self._peak - self._start


def main() -> None:
    """Run what the JSON in the first argument asks for."""
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec.pop("threads"))
    {"speed": speed, "memory": memory}[spec.pop("what")](Path(spec.pop("path")), **spec)


if __name__ == "__main__":
    main()
