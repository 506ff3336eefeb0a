"""What the paper says of its training, tried with a small network on procedural scenes, at equal budgets.

Three claims (Bochkovskii et al., arXiv:2410.02073, section 3.2, tables 11 to 13): the second stage, with losses on
derivatives, sharpens boundaries beyond what more of the first would; losses on gradients beat the mean absolute
error alone on synthetic data; an image encoder of the focal branch's own beats frozen depth features. A network of a
few hundred thousand weights on one world is no proof of them, nor of the contrary: the table says what came out here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from depth_pro_ros import evaluation
from depth_pro_ros.network import DepthPro
from depth_pro_ros.training import pyramid
from depth_pro_ros.training.curriculum import Augmentation, DataSet, Objective, Recipe, Schedule, Stage
from depth_pro_ros.training.data import Batch, Source, canonical_factor
from depth_pro_ros.training.loop import Settings, Trainer
from depth_pro_ros.training.validation import SMALLEST, validation_batches

DATA = DataSet("robot_256", world="robot", side=256)
LEVEL = "half"
POSSIBLE_DEG = (1.0, 179.0)
STAGE_1 = ("mae", "ssi_mage")
STAGE_2 = ("mae", "mse", "mage", "male", "msge")
BOTH, FEATURES, OWN = "both", "depth features alone", "own encoder alone"
_SILENT = {BOTH: None, FEATURES: "encoder", OWN: "downsample"}  # the part of the focal branch that is silenced


@dataclass(frozen=True)
class Outcome:
    """One contender of one claim: its measures by name."""

    claim: str
    contender: str
    steps: int
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Budget:
    """How long the contenders train: the first stage, what follows it, the focal branch; `batch` images a step."""

    first: int = 1500
    second: int = 750
    focal: int = 750
    batch: int = 16


class Trial:
    """Trains the contenders, each in a folder of its own below `folder`, on `source`; measures them on `held_out`."""

    def __init__(
        self, folder: Path, source: Source, held_out: Source, budget: Budget, settings: Settings, preset: str = "micro"
    ):
        self.folder, self.source, self.held_out = folder, source, held_out
        self.budget, self.settings, self.preset = budget, settings, preset

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes, each as soon as it is known."""
        budget = self.budget
        first = self._train("stage_1", STAGE_1, budget.first)
        plain = self._train("mae_alone", ("mae",), budget.first)
        claim = "gradient losses beat MAE alone"
        yield Outcome(claim, "MAE", budget.first, self._depth(plain))
        yield Outcome(claim, "MAE + SSI-MAGE", budget.first, self._depth(first))
        claim, steps = "the second stage sharpens", budget.first + budget.second
        for contender, losses in (("stage 1, then stage 1", STAGE_1), ("stage 1, then stage 2", STAGE_2)):
            network = self._train(contender.replace(", then ", "_").replace(" ", "_"), losses, budget.second, first)
            yield Outcome(claim, contender, steps, self._depth(network))
        for contender, silent in _SILENT.items():
            network = self._train_focal(contender, first, silent)
            yield Outcome("an own focal encoder helps", contender, budget.focal, self._focal(network))

    def _train(self, name: str, losses: tuple[str, ...], steps: int, start: DepthPro | None = None) -> DepthPro:
        objective = Objective(DATA.name, tuple((loss, 1.0) for loss in losses))
        rate = 1e-3 if start is None else 3e-4
        return self._run(name, Stage("depth", steps, self.budget.batch, LEVEL, (objective,), rate, rate), start)

    def _train_focal(self, contender: str, start: DepthPro, silent: str | None) -> DepthPro:
        network = copy.deepcopy(start)
        if silent is not None:
            part = network.fov.encoder[1] if silent == "encoder" else network.fov.downsample
            part.register_forward_hook(_nothing)
        objective = Objective(DATA.name, (("l2", 1.0),))
        stage = Stage(
            "focal", self.budget.focal, self.budget.batch, "quarter", (objective,), 0.0, 0.0, 5e-4,
            frozen=("depth",), target="fov", augmentation=Augmentation(off_centre=False),
            init_fov_from_image_encoder=True,
        )  # fmt: skip
        return self._run(f"focal_{contender.replace(' ', '_')}", stage, network)

    def _run(self, name: str, stage: Stage, start: DepthPro | None) -> DepthPro:
        """Train, or take up what an interrupted trial left, and return the averaged network."""
        stage = replace(stage, schedule=Schedule("cosine", warmup=0.03, decay=0.02), ema_decay=0.995)
        recipe = Recipe(f"claims_{name}", self.preset, (DATA,), (stage,))
        network = None if start is None else copy.deepcopy(start)
        trainer = Trainer(recipe, self.folder / name, {DATA.name: self.source}, self.settings, network=network)
        if (self.folder / name / "last.pt").exists():
            trainer.resume()
        if (reason := trainer.run()) is not None:
            raise KeyboardInterrupt(reason)
        return trainer.average.network

    def _held_out_batches(self, network: DepthPro, level: str) -> Iterator[Batch]:
        settings = self.settings
        return validation_batches(network, level, self.held_out, settings.validation_images, settings.compute)

    @torch.no_grad()
    def _depth(self, network: DepthPro) -> dict[str, float]:
        """Return boundary F1, delta1 and AbsRel over the held-out scenes, the focal length given."""
        f1, metrics = [], []
        for batch in self._held_out_batches(network, LEVEL):
            predicted = pyramid.forward(network, batch.image, LEVEL).clamp_min(SMALLEST)
            target, mask = pyramid.shrink_target(batch.canonical, batch.mask, predicted.shape[-1])
            for mine, true, valid in zip(*(_images(x) for x in (predicted, target, mask)), strict=True):
                known = valid & (true > SMALLEST)
                depth, truth = 1 / mine, np.where(known, 1 / np.maximum(true, SMALLEST), np.nan)
                f1.append(evaluation.boundary_f1(depth, truth, known))
                metrics.append(evaluation.depth_metrics(depth, truth, known))
        mean = evaluation.mean_metrics(metrics)
        return {"boundary_f1": float(np.mean(f1)), "delta1": mean.delta1, "abs_rel": mean.abs_rel}

    @torch.no_grad()
    def _focal(self, network: DepthPro) -> dict[str, float]:
        """Return the focal length's delta25 and the median error of the angle over the held-out scenes."""
        angles = [
            (pyramid.fov(network, batch.image), batch.fov_deg)
            for batch in self._held_out_batches(network, "quarter")
        ]
        mine, true = (torch.cat(each).clamp(*POSSIBLE_DEG) for each in zip(*angles, strict=True))
        focal = evaluation.focal_metrics(*(canonical_factor(each).tolist() for each in (mine, true)))
        return {"focal_delta25": focal.delta25, "fov_median_error_deg": float((mine - true).abs().median())}


def _nothing(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Silence a part of the network: a forward hook that gives zeros, through which no gradient comes."""
    return torch.zeros_like(output)


def _images(x: Tensor) -> np.ndarray:
    return x[:, 0].numpy()
