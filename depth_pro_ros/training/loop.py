"""The training loop: stage by stage, with checkpoints that resume exactly.

Apart from the weights, their average and the optimiser's moments, all that a step depends on are the counters in the
state: batches are functions of them (`feed`), learning rates too (`curriculum.Schedule`). On a CPU with the same
number of threads an interrupted and resumed training gives the bits of an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import torch

from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.network import PRESETS, DepthPro, build
from depth_pro_ros.training import checkpoints, distributed, optimisation, pyramid, stepping, validation
from depth_pro_ros.training.curriculum import Recipe, Stage
from depth_pro_ros.training.data import Batch, Source
from depth_pro_ros.training.feed import Feed, batches
from depth_pro_ros.training.journal import Journal
from depth_pro_ros.training.stepping import Compute, StepResult
from depth_pro_ros.training.stopping import Stopper, TrainingError


@dataclass(frozen=True)
class Settings:
    """How a training runs, as opposed to what it computes (`Recipe`); intervals of 0 mean never."""

    compute: Compute = field(default_factory=lambda: Compute(torch.device("cpu")))
    log_every: int = 20  # steps
    validate_every: int = 500  # steps
    validation_images: int = 64
    checkpoint_minutes: float = 5.0
    limit_minutes: float | None = None


@dataclass
class Progress:
    """Where a training is: the stage's number, the step in it, images seen and seconds spent in all.

    `done` has the steps that each finished stage really took.
    """

    stage: int = 0
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    done: dict[str, int] = field(default_factory=dict)


class Trainer:
    """Trains a network by a recipe, with its state in `folder`.

    `sources` are the recipe's data sets by name, `validation_sources` scenes to validate on by name of the data set
    they stand for. `network` is what to start from (None: random weights of the recipe's preset).
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        sources: Mapping[str, Source],
        settings: Settings | None = None,
        validation_sources: Mapping[str, Source] | None = None,
        network: DepthPro | None = None,
    ):
        self.recipe, self.folder, self.settings = recipe, folder, settings or Settings()
        self.validation_sources = validation_sources or {}
        for stage in recipe.stages:
            stepping.check_losses(stage)
            if stage.batch < distributed.world():
                raise ConfigurationError(
                    f"stage '{stage.name}': {distributed.world()} processes cannot share a batch of {stage.batch}; "
                    "give a larger --batch"
                )
        device = self.settings.compute.device
        self.network = (network or random_network(recipe)).to(device, memory_format=torch.channels_last).train()
        self.average = optimisation.Average(self.network)
        self.progress = Progress()
        self.feed = Feed(sources, recipe.seed, distributed.rank(), distributed.world())
        self._optimiser: torch.optim.Optimizer | None = None
        self._scaler = self.settings.compute.scaler()
        self._saved = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"folder '{folder}' cannot be made ({error}): give another --output") from error
        self.journal = Journal(folder, quiet=distributed.rank() != 0)

    @property
    def stage(self) -> Stage | None:
        """Return the current stage, or None when all are done."""
        return self.recipe.stages[self.progress.stage] if self.progress.stage < len(self.recipe.stages) else None

    def resume(self) -> None:
        """Take up the state in the folder; raises CheckpointError."""
        state = checkpoints.read(self.folder, self.recipe, self.network.config)
        names = [stage.name for stage in self.recipe.stages]
        if state["stage"] is not None and state["stage"] not in names:
            raise ConfigurationError(f"the training stopped in stage '{state['stage']}'; the recipe has {names}")
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        number = len(names) if state["stage"] is None else names.index(state["stage"])
        self.progress = Progress(number, state["step"], state["images"], state["seconds"], state["done"])
        if state["optimiser"] is not None and self.stage is not None:
            self._prepare_optimiser()
            self._optimiser.load_state_dict(state["optimiser"])
            self._scaler.load_state_dict(state["scaler"])

    def save(self) -> None:
        """Write the state; only the first process does."""
        if distributed.rank() == 0:
            checkpoints.write(
                self.folder,
                {
                    "recipe": self.recipe.name,
                    "config": checkpoints.plain(self.network.config),
                    "stage": self.stage.name if self.stage else None,
                    "step": self.progress.step,
                    "images": self.progress.images,
                    "seconds": self.progress.seconds,
                    "done": self.progress.done,
                    "network": self.network.state_dict(),
                    "average": self.average.network.state_dict(),
                    "optimiser": self._optimiser.state_dict() if self._optimiser else None,
                    "scaler": self._scaler.state_dict(),
                },
            )
        self._saved = time.monotonic()

    def finish_stage(self) -> None:
        """End the current stage where it is; the next run begins the next one."""
        if self.stage is None:
            raise ConfigurationError(f"every stage of recipe '{self.recipe.name}' is done: there is none to finish")
        self._next_stage()
        self.save()

    def run(self) -> str | None:
        """Train until every stage is done (returns None), or return why training stopped before; the state is saved.

        Raises TrainingError when numbers are no longer finite; the last checkpoint is from before.
        """
        limit = self.settings.limit_minutes
        with Stopper(None if limit is None else 60 * limit) as stopper, contextlib.closing(self.journal):
            while self.stage is not None and not self._stops(stopper):
                self._run_stage(self.stage, stopper)
                self.save()
            if not (self.folder / checkpoints.LAST).exists():  # stopped before the first step
                self.save()
        return stopper.reason if self.stage is not None else None

    def _run_stage(self, stage: Stage, stopper: Stopper) -> None:
        if self.progress.step >= stage.steps:  # of no steps, or cut below what is done: there is nothing to train
            self._next_stage()
            return
        self._prepare_sources(stage)
        if self._optimiser is None:
            self._begin(stage)
        self.journal.stage(stage.name, stage.steps, self.progress.step)
        side = pyramid.input_side(self.network.config, stage.level)
        place = self.progress
        feed = batches(self.feed, stage, place.stage, place.step, place.images, side)
        with contextlib.closing(feed):
            for batch in feed:
                self._step(stage, batch)
                if self._stops(stopper):
                    break
        if place.step >= stage.steps:
            if self.settings.validate_every:
                self._validate(stage)
            self._next_stage()

    def _stops(self, stopper: Stopper) -> bool:
        """Tell whether to stop: all processes do as soon as one of them should."""
        stops = distributed.any_of(stopper.wanted(), self.settings.compute.device)
        if stops:
            stopper.reason = stopper.reason or "another process was told to stop"
        return stops

    def _prepare_sources(self, stage: Stage) -> None:
        """Make the stage's images ready: the first process does, the others wait."""
        if distributed.rank() == 0:
            for objective in stage.objectives:
                for sources in (self.feed.sources, self.validation_sources):
                    if objective.data in sources:
                        sources[objective.data].prepare()
        distributed.wait()

    def _begin(self, stage: Stage) -> None:
        """Start a stage from averaged weights, with fresh moments; a finer level begins by passing on the coarser."""
        below = self._trained_level()
        finer = below is not None and pyramid.LEVELS.index(stage.level) > pyramid.LEVELS.index(below)
        if finer and stage.target == "depth":
            pyramid.restart(self.average.network, random_network(self.recipe), below, stage.level)
        self.network.load_state_dict(self.average.network.state_dict())
        if stage.init_fov_from_image_encoder:
            optimisation.init_fov_from_image_encoder(self.network)
            optimisation.init_fov_from_image_encoder(self.average.network)
        self._prepare_optimiser()

    def _trained_level(self) -> str | None:
        """Return the finest level at which this training has trained depth so far, or None."""
        done = self.progress.done
        trained = {stage.level for stage in self.recipe.stages if stage.target == "depth" and done.get(stage.name)}
        return next((level for level in reversed(pyramid.LEVELS) if level in trained), None)

    def _prepare_optimiser(self) -> None:
        optimisation.set_trainable(self.network, self.stage)
        self._optimiser = optimisation.make_optimiser(self.network, self.stage)
        self._scaler = self.settings.compute.scaler()

    def _next_stage(self) -> None:
        if self.stage.tied and self.progress.step:
            for network in (self.network, self.average.network):
                pyramid.untie(network)
        self.progress.done[self.stage.name] = self.progress.step
        self.progress.stage += 1
        self.progress.step = 0
        self._optimiser = None

    def _step(self, stage: Stage, batch: Batch) -> None:
        started, place = time.monotonic(), self.progress
        factor = optimisation.set_rates(self._optimiser, stage, place.step)
        try:
            result = stepping.take(self.network, stage, batch, self._optimiser, self._scaler, self.settings.compute)
        except TrainingError as error:
            raise TrainingError(
                f"stage '{stage.name}', step {place.step}: {error}. The state in '{self.folder}' is from before; "
                "resume it with a lower learning rate or in float32"
            ) from error
        self.average.update(self.network, stage.ema_decay, place.step)
        place.step += 1
        place.images += stage.batch
        place.seconds += time.monotonic() - started
        self._tell(stage, result, factor, stage.batch / (time.monotonic() - started))
        if self.settings.validate_every and place.step % self.settings.validate_every == 0 and place.step < stage.steps:
            self._validate(stage)
        if time.monotonic() - self._saved > 60 * self.settings.checkpoint_minutes:
            self.save()

    def _tell(self, stage: Stage, result: StepResult, factor: float, rate: float) -> None:
        place = self.progress
        self.journal.advance({"loss": f"{result.loss:.4f}", "images/s": f"{rate:.1f}"})
        if self.settings.log_every and place.step % self.settings.log_every == 0:
            self.journal.record(
                "train",
                place.images,
                stage=stage.name,
                step=place.step,
                seconds=round(place.seconds, 2),
                loss=result.loss,
                terms=result.terms,
                gradient_norm=result.gradient_norm,
                rate_factor=factor,
                images_per_s=round(rate, 2),
            )

    def _validate(self, stage: Stage) -> None:
        """Validate the averaged weights on the stage's first data set that has validation scenes."""
        named = (self.validation_sources.get(objective.data) for objective in stage.objectives)
        source = next((source for source in named if source is not None), None)
        if source is None or distributed.rank() != 0:
            return
        place, settings = self.progress, self.settings
        figures, picture = validation.validate(
            self.average.network, stage, source, settings.validation_images, settings.compute
        )
        self.journal.record("validation", place.images, stage=stage.name, step=place.step, **figures)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self.journal.say(f"stage {stage.name}, step {place.step}, {place.images} images: {shown}")
        if picture is not None:
            path = self.folder / f"validation_{stage.name}_{place.step:06d}.png"
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            self.journal.picture("validation", picture, place.images)


def random_network(recipe: Recipe) -> DepthPro:
    """Return the network that a training from scratch starts from."""
    network = build(PRESETS[recipe.preset], seed=recipe.seed)
    return pyramid.initialise(network)
