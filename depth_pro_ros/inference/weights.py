"""From what a user calls weights (a name or a path) to a network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from depth_pro_ros import network
from depth_pro_ros.errors import CheckpointError

if TYPE_CHECKING:
    from depth_pro_ros.inference.onnx_backend import OnnxNetwork

EMBEDDED = Path(__file__).resolve().parent.parent / "weights"
BUILT_UNTRAINED = ("tiny", "micro")
EXPORT_VERSION = "1"  # of what exports say of themselves
FINGERPRINT_BYTES = 1 << 20


@dataclass(frozen=True)
class Loaded:
    """A network, or an export that answers like one, and where it came from; `trained` is False for random weights."""

    network: network.DepthPro | OnnxNetwork
    label: str
    preset: str
    trained: bool
    training: Mapping[str, object]


def cache_folder() -> Path:
    """Return the folder in which downloaded checkpoints lie."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "depth_pro_ros"


def locate(weights: str | Path) -> Path | None:
    """Return the file that `weights` means, or None for a preset that is built with random weights.

    A name is looked for among the embedded weights, then in the cache folder; anything else is a path.
    """
    name = str(weights)
    if name in network.PRESETS:
        places = [EMBEDDED / f"{name}.safetensors"]
        places += [cache_folder() / f"{name}{suffix}" for suffix in (".safetensors", ".pt", "")]
        found = next((place for place in places if place.exists()), None)
        if found is None and name not in BUILT_UNTRAINED:
            raise CheckpointError(
                f"no weights for '{name}' in {cache_folder()}: run `depth_pro_ros download`, put Apple's depth_pro.pt "
                "or transformers' checkpoint there, or give its path"
            )
        return found
    return Path(name).expanduser()


def fingerprint(path: Path | None) -> str:
    """Return what tells the checkpoint at `path` from another, by its size and beginning; None is random weights."""
    if path is None:
        return "untrained"
    if path.is_dir():
        path = max((file for file in path.iterdir() if file.is_file()), key=lambda file: file.stat().st_size)
    with open(path, "rb") as file:
        return f"{path.stat().st_size}-{hashlib.sha256(file.read(FINGERPRINT_BYTES)).hexdigest()[:16]}"


def open_weights(weights: str | Path, dtype: torch.dtype, device: torch.device) -> Loaded:
    """Return the network of `weights`, stored in `dtype` on `device`; raises CheckpointError."""
    path = locate(weights)
    if path is None:
        net = network.build(network.PRESETS[str(weights)]).to(device).requires_grad_(False)
        return Loaded(net.set_precision(dtype, torch.float32), f"{weights} (untrained)", str(weights), False, {})
    if path.suffix == ".onnx":
        raise CheckpointError(f"'{path}' is an export, which PyTorch cannot run: set backend to onnxruntime")
    facts = network.describe(path)
    trained = facts.layout != "native" or bool(facts.training)
    return Loaded(network.load(path, dtype=dtype, device=device), str(weights), facts.preset, trained, facts.training)
