"""`depth_pro_ros export`: weights in; an ONNX model or a PyTorch package out, checked against PyTorch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from depth_pro_ros import scenes
from depth_pro_ros.cli import photos
from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference import export as exporting
from depth_pro_ros.inference.agreement import BOUNDS
from depth_pro_ros.inference.export import FORMATS, SUFFIXES, Exported
from depth_pro_ros.inference.precision import choose_device
from depth_pro_ros.inference.preprocess import to_input
from depth_pro_ros.inference.weights import cache_folder, locate, open_weights
from depth_pro_ros.network import PRESETS

SCENE = ("robot", 7, (384, 512))  # kind, seed, (height, width) of the picture that stands for photos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "format",
        nargs="?",
        choices=FORMATS,
        default="onnx",
        help="onnx: for onnxruntime and TensorRT; torch: a torch.export program; aoti: compiled by AOTInductor for "
        "this machine (needs a C++ compiler); default: %(default)s",
    )
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: in the cache folder, where nodes find it")
    parser.add_argument(
        "--precision",
        choices=BOUNDS,
        default="float32",
        help="float16 (onnx only) halves the file and is what GPUs are fast in; default: %(default)s",
    )
    parser.add_argument("--images", nargs="+", type=Path, metavar="PHOTO", help="photos, or folders, to check it on")
    parser.add_argument("--device", default="cpu", help="cpu or cuda: what aoti compiles for; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Export, check, and return 0; raises OutputError when the export does not agree with PyTorch."""
    if args.format == "onnx" and args.device != "cpu":
        raise ConfigurationError("an ONNX file is for every device: leave --device out")
    device = choose_device(args.device, _note)
    source = locate(args.weights)
    loaded = open_weights(args.weights, torch.float32, device)
    images = check_images(args.images, loaded.network.config.image_size)
    path = args.out or default_path(args.weights, args.format)
    done = exporting.export(loaded, source, path, images, args.format, args.precision, _note)
    print(json.dumps(done.as_dict(), indent=2) if args.json else _summary(done, args))
    return 0


def default_path(weights: str, format: str) -> Path:
    """Return where an export goes: beside other checkpoints in the cache folder, or for a path into this folder."""
    name = Path(weights).stem + SUFFIXES[format]
    return cache_folder() / name if weights in PRESETS else Path(name)


def check_images(given: list[Path] | None, side: int) -> dict[str, np.ndarray]:
    """Return network inputs (1, 3, side, side) by name: noise, and the photos that were given, or a rendered scene."""
    rgbs = {"noise": np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)}
    if given:
        rgbs.update({str(path): photos.read(path).rgb for path in photos.find(given)})
    else:
        kind, seed, size = SCENE
        _note("no --images: checked on noise and on a rendered scene instead of photos")
        rgbs["scene"] = scenes.render(kind, [seed], *size).rgb[0].cpu().numpy()
    return {name: to_input([rgb], side, torch.device("cpu")).numpy() for name, rgb in rgbs.items()}


def _note(line: str) -> None:
    print(line, file=sys.stderr)


def _summary(done: Exported, args: argparse.Namespace) -> str:
    lines = [f"{done.path}: {done.bytes / 1e6:.1f} MB, {done.format}, {done.precision}. Against PyTorch in float32:"]
    lines += [
        f"  {found.image}: median {found.median:.1e}, worst {found.worst:.1e} of the mean inverse depth; "
        f"field of view {found.fov_deg:.1e} degrees"
        for found in done.agreements
    ]
    if done.peak is not None:
        lines.append(f"  largest number inside: {done.peak.value:.3g} ({done.peak.layer}); float16 holds 65504")
    if done.format == "onnx":
        weights = args.weights if args.out is None and args.weights in PRESETS else done.path
        lines.append(f"use it as: backend:=onnxruntime weights:={weights}")
    return "\n".join(lines)
