"""A training's averaged weights as a checkpoint of this package, with the facts of how they came about."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from depth_pro_ros import network
from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training.loop import Trainer
from depth_pro_ros.training.stepping import DTYPES


def export(trainer: Trainer, path: Path, dtype: str = "float16") -> Path:
    """Write the averaged weights in `dtype` as native safetensors; the field-of-view head stays in float32.

    Raises ConfigurationError for another ending or dtype, CheckpointError when the disk takes no more.
    """
    if path.suffix != ".safetensors" or dtype not in DTYPES:
        raise ConfigurationError(f"export '{path}' in {dtype}: allowed are *.safetensors and {sorted(DTYPES)}")
    weights = copy.deepcopy(trainer.average.network).cpu().set_precision(DTYPES[dtype], torch.float32)
    return network.save(weights, path, layout="native", training=facts(trainer))


def facts(trainer: Trainer) -> dict[str, object]:
    """Return what a checkpoint says of its training: recipe, where it stopped, steps, images, seconds, seed."""
    recipe, place = trainer.recipe, trainer.progress
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "images": place.images,
        "seconds": round(place.seconds),
        "stages": dict(place.done),
        "unfinished": {trainer.stage.name: place.step} if trainer.stage and place.step else {},
    }
