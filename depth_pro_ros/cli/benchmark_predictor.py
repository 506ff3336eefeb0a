"""The predictor that a benchmark measures, with random weights where there are no others: they take as long."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from depth_pro_ros import network
from depth_pro_ros.cli.benchmark_timing import say
from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.inference import Predictor
from depth_pro_ros.inference.precision import DEVICES, PRECISIONS
from depth_pro_ros.inference.weights import locate


def add_predictor_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which predictor is measured."""
    parser.add_argument("--preset", choices=network.PRESETS, default="tiny", help="default: %(default)s")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="default: %(default)s")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of torch and OpenCV; default: %(default)s")


@contextmanager
def weights_of(preset: str) -> Iterator[str]:
    """Yield what `Predictor.load` takes: the preset's name where weights are found, else a file of random ones."""
    try:
        locate(preset)
    except CheckpointError:
        say(f"no weights of '{preset}' here: measuring random ones")
    else:
        yield preset
        return
    with tempfile.TemporaryDirectory(prefix="depth_pro_ros_benchmark_") as folder:
        path = Path(folder, f"{preset}.safetensors")
        network.save(network.build(network.PRESETS[preset]), path)
        yield str(path)


@contextmanager
def measured_predictor(args: argparse.Namespace) -> Iterator[Predictor]:
    """Yield the predictor that the flags want."""
    torch.set_num_threads(args.threads)
    with weights_of(args.preset) as weights:
        yield Predictor.load(weights, args.device, args.precision, log=say)
