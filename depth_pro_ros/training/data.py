"""Training images and their labels: what a source yields, what a batch is, and scenes rendered on the fly."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError

TRAINING_SEEDS = range(0, 10_000_000)
VALIDATION_SEED = 20_000_000  # scenes from here on steer training; those between are for tests

Render = Callable[[str, Sequence[int], int, int], Any]
"""(kind, seeds, height, width) -> object with rgb, depth_m and fov_x_deg as scenes.SceneBatch has them."""


@dataclass(frozen=True)
class Raw:
    """Labelled square images as a source keeps them.

    rgb (B, S, S, 3) uint8; inverse_m (B, S, S) float32, 1 / depth in metres, 0 in the sky; known (B, S, S) bool;
    fov_deg (B,) float32, the horizontal field of view. What is not known has inverse_m 0.
    """

    rgb: Tensor
    inverse_m: Tensor
    known: Tensor
    fov_deg: Tensor


@dataclass(frozen=True)
class Batch:
    """What the network is trained on.

    image (B, 3, S, S) float32 in [-1, 1]; canonical (B, 1, S, S) float32, C = f_x / (w * depth) with f_x in pixels and
    w the image's width, 0 in the sky; mask (B, 1, S, S) bool; fov_deg (B,) float32. `groups` names the data
    set of consecutive images: (name, start, stop).
    """

    image: Tensor
    canonical: Tensor
    mask: Tensor
    fov_deg: Tensor
    groups: tuple[tuple[str, int, int], ...]

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`, its images' colours side by side in memory, as convolutions like them."""
        image, *labels = (tensor.to(device, non_blocking=True) for tensor in self._tensors())
        return Batch(image.contiguous(memory_format=torch.channels_last), *labels, self.groups)

    def part(self, start: int, stop: int) -> Batch:
        """Return images `start` to `stop`, with what is left of each group."""
        cut = ((name, max(low, start) - start, min(high, stop) - start) for name, low, high in self.groups)
        tensors = (tensor[start:stop] for tensor in self._tensors())
        return Batch(*tensors, tuple(group for group in cut if group[1] < group[2]))

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.image, self.canonical, self.mask, self.fov_deg


class Source(Protocol):
    """Labelled images by number."""

    @property
    def size(self) -> int | None:
        """Return the number of images, or None when every number has one of its own."""

    def prepare(self) -> None:
        """Make ready what `read` needs; called once before a stage."""

    def read(self, indices: np.ndarray) -> Raw:
        """Return the images `indices` (B,) int64."""


def canonical_factor(fov_deg: Tensor) -> Tensor:
    """Return f_x / w for horizontal fields of view in degrees: 1 / (2 tan(fov / 2))."""
    return 0.5 / torch.tan(torch.deg2rad(fov_deg) / 2)


def scene_renderer() -> Render:
    """Return the package's own renderer of procedural worlds."""
    return importlib.import_module("depth_pro_ros.scenes").render


class SceneStream:
    """Scenes rendered when they are asked for: image i is world `world` with seed `first_seed` + i."""

    size = None

    def __init__(self, world: str, side: int, first_seed: int = 0, render: Render | None = None):
        self.world, self.side, self.first_seed = world, side, first_seed
        self._render = render or scene_renderer()

    def prepare(self) -> None:
        """Nothing is to be made ready."""

    def read(self, indices: np.ndarray) -> Raw:
        """Render the scenes `indices`."""
        seeds = [self.first_seed + int(index) for index in indices]
        return raw_scenes(self._render(self.world, seeds, self.side, self.side))


def raw_scenes(scenes: Any) -> Raw:
    """Return rendered scenes as a source keeps images; depth +inf is the sky."""
    depth = scenes.depth_m.float()
    if not bool((depth > 0).all()):
        raise ConfigurationError(
            "the scene renderer returned depth that is not positive: it must be metres, inf in sky"
        )
    return Raw(scenes.rgb, depth.reciprocal(), torch.ones_like(depth, dtype=torch.bool), scenes.fov_x_deg.float())
