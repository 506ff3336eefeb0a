"""One optimisation step: losses, gradients of all micro-batches and processes, clipping, update.

A step's loss is the mean over the images of the joint batch (all micro-batches, all processes) that have any valid
pixel. Each piece therefore counts by its number of such images, and gradients of pieces are added up, so that neither
accumulation nor data parallelism changes what is optimised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import DepthPro
from depth_pro_ros.training import distributed, pyramid
from depth_pro_ros.training.curriculum import Objective, Stage
from depth_pro_ros.training.data import Batch
from depth_pro_ros.training.losses import LOSSES
from depth_pro_ros.training.stopping import TrainingError

FOV_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": lambda predicted, target: (predicted - target).square().mean(),
    "l1": lambda predicted, target: (predicted - target).abs().mean(),
}
"""Losses of the field of view in degrees, (B,) each; the paper's is l2."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """Where and how precisely gradients are computed, `micro_batch` images at a time (None: all)."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    micro_batch: int | None = None

    def running(self) -> AbstractContextManager[object]:
        """Return the context in which the network runs: its number format."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Return a gradient scaler, which does nothing unless the precision is float16."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)


@dataclass(frozen=True)
class StepResult:
    """A step's loss, its terms before weighting ("data set/loss"), and the gradient's norm before clipping."""

    loss: float
    terms: dict[str, float]
    gradient_norm: float


def check_losses(stage: Stage) -> None:
    """Raise ConfigurationError for a loss of `stage` that does not exist."""
    known = FOV_LOSSES if stage.target == "fov" else LOSSES
    for objective in stage.objectives:
        for name, _ in objective.losses:
            if name not in known:
                raise ConfigurationError(
                    f"stage '{stage.name}': no loss '{name}' for target {stage.target}; there are {sorted(known)}"
                )


def take(
    network: DepthPro,
    stage: Stage,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    compute: Compute,
) -> StepResult:
    """Do one step on this process's share of the joint batch.

    Raises TrainingError when the loss or the gradient is not finite; the weights are then as they were before.
    """
    optimiser.zero_grad(set_to_none=True)
    terms = backward(network, stage, batch, scaler, compute)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    distributed.sum_gradients(parameters)
    scaler.unscale_(optimiser)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, stage.clip))
    terms = distributed.sum_terms(terms)
    loss = terms.pop("loss")
    if not _finite(loss, norm, scaler.is_enabled()):
        shown = ", ".join(f"{name} {value:.6g}" for name, value in terms.items())
        raise TrainingError(f"loss {loss:.6g} with gradient norm {norm:.6g} is no number to train on ({shown})")
    scaler.step(optimiser)
    scaler.update()
    return StepResult(loss, terms, norm)


def _finite(loss: float, norm: float, scaled: bool) -> bool:
    """Tell whether to go on; an infinite gradient under a scaler only makes it skip the step and scale less."""
    limit = float("inf")
    return abs(loss) < limit and (scaled or norm < limit)


def backward(
    network: DepthPro, stage: Stage, batch: Batch, scaler: torch.amp.GradScaler, compute: Compute
) -> dict[str, float]:
    """Add up the gradients of this process's images; return its share of the joint loss ("loss") and of each term."""
    batch = batch.to(compute.device)
    size = compute.micro_batch or len(batch)
    pieces = [batch.part(start, start + size) for start in range(0, len(batch), size)]
    if stage.target == "depth":
        pieces = [_shrunk(piece, network, stage) for piece in pieces]
    total = distributed.sum_number(sum(_valid(piece, stage) for piece in pieces), compute.device)
    terms = {"loss": torch.zeros((), device=compute.device)}
    for piece in pieces:
        with compute.running():
            predicted = _predict(network, stage, piece)
        loss = torch.zeros((), device=compute.device)
        for objective, part, values in _groups(stage, piece, predicted):
            for name, weight, value in _losses(stage, objective, part, values):
                share = value * (_valid(part, stage) / max(total, 1))
                loss = loss + weight * share
                key = f"{objective.data}/{name}"
                terms[key] = terms.get(key, 0.0) + share.detach()
        terms["loss"] += loss.detach()
        scaler.scale(loss).backward()
    return {name: float(value) for name, value in terms.items()}


def _predict(network: DepthPro, stage: Stage, batch: Batch) -> Tensor:
    if stage.target == "fov":
        return pyramid.fov(network, batch.image).float()
    return pyramid.forward(network, batch.image, stage.level, stage.tied).float()


def _shrunk(batch: Batch, network: DepthPro, stage: Stage) -> Batch:
    side = pyramid.output_side(network.config, stage.level)
    target, mask = pyramid.shrink_target(batch.canonical, batch.mask, side)
    return Batch(batch.image, target, mask, batch.fov_deg, batch.groups)


def _valid(batch: Batch, stage: Stage) -> int:
    """Return the number of images that count: those with any valid pixel."""
    return len(batch) if stage.target == "fov" else int(batch.mask.flatten(1).any(1).sum())


def _groups(stage: Stage, batch: Batch, predicted: Tensor) -> Iterator[tuple[Objective, Batch, Tensor]]:
    objectives = {objective.data: objective for objective in stage.objectives}
    for name, start, stop in batch.groups:
        yield objectives[name], batch.part(start, stop), predicted[start:stop]


def _losses(stage: Stage, objective: Objective, batch: Batch, predicted: Tensor) -> Iterator[tuple[str, float, Tensor]]:
    """Yield (name, weight, value) of each loss of one data set's images, in float32."""
    for name, weight in objective.losses:
        if stage.target == "fov":
            yield name, weight, FOV_LOSSES[name](predicted, batch.fov_deg)
        else:
            yield name, weight, LOSSES[name](predicted, batch.canonical, batch.mask)
