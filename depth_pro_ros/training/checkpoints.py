"""Training's state on disk: last.pt and previous.pt, each whole or not there, read without running code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.network import NetworkConfig
from depth_pro_ros.network.storage import replaced
from depth_pro_ros.training.curriculum import Recipe

FORMAT = "depth_pro_ros training"
VERSION = 1
LAST, PREVIOUS = "last.pt", "previous.pt"

State = dict[str, Any]
"""Nested dictionaries and lists of tensors, numbers and strings."""


def write(folder: Path, state: State) -> Path:
    """Make `state` the folder's last.pt, and what was that previous.pt; raises CheckpointError.

    It is written aside, synced and renamed: a full disk or a crash leaves the last good one in place.
    """
    path = folder / LAST
    with replaced(path) as aside:
        try:
            torch.save({"format": FORMAT, "version": VERSION, **state}, aside)
        except RuntimeError as error:  # how PyTorch's archive writer reports a disk that takes no more
            raise OSError(_first_line(error)) from error
        if path.exists():
            _keep(path, folder / PREVIOUS)
    return path


def _keep(path: Path, previous: Path) -> None:
    """Make `previous` another name of the file at `path`."""
    aside = previous.with_name(f".{previous.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    os.link(path, aside)
    os.replace(aside, previous)


def read(folder: Path, recipe: Recipe, config: NetworkConfig) -> State:
    """Return the folder's last state; raises CheckpointError if it is absent, damaged or of another training."""
    path = folder / LAST
    if not path.exists():
        raise CheckpointError(
            f"no training to resume in '{folder}': there is no {LAST}; leave --resume out to start one"
        )
    state = _load(path)
    if state.get("format") != FORMAT:
        raise CheckpointError(f"'{path}' is no training state of this package: give the folder of a training")
    if state.get("version") != VERSION:
        raise CheckpointError(f"'{path}' has version {state.get('version')}, this package reads {VERSION}")
    if state["recipe"] != recipe.name:
        raise CheckpointError(
            f"'{path}' comes from recipe '{state['recipe']}', not '{recipe.name}': give --recipe {state['recipe']}, "
            "or another --output"
        )
    if state["config"] != plain(config):
        raise CheckpointError(
            f"'{path}' holds a network of {state['config']}, the recipe's is {plain(config)}: "
            "resume with the version that began it, or start anew in another --output"
        )
    return state


def plain(config: NetworkConfig) -> dict[str, Any]:
    """Return the config as JSON would give it back: lists, no tuples."""
    return json.loads(json.dumps(asdict(config)))


def _load(path: Path) -> State:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        other = path.with_name(PREVIOUS)
        hint = f"copy '{other}', the one before, over it" if other.exists() else "start anew in another --output"
        raise CheckpointError(
            f"training state '{path}' cannot be read ({_first_line(error)}): it is damaged; {hint}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
