"""What is trained on what, in which order, as frozen data: stages, schedules, augmentation, recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from depth_pro_ros.errors import ConfigurationError

LEVELS = ("quarter", "half", "full")
TARGETS = ("depth", "fov")
PARTS = ("encoder", "coarse", "depth", "norm")  # of the network, as optimisation.set_trainable knows them
LABELS = ("metric", "scale_shift")
SCHEDULES = ("plateau", "cosine")
OPTIMISERS = ("adam", "adamw")


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes over a stage, in shares of its steps.

    "plateau" is the paper's: linear warm-up, constant until `warmup` + `plateau`, then `decay` times that.
    "cosine" falls from the end of the warm-up to `decay` times the peak at the stage's end.
    """

    kind: str = "plateau"
    warmup: float = 0.01
    plateau: float = 0.80
    decay: float = 0.1

    def factor(self, step: int, steps: int) -> float:
        """Return the multiple of the stage's learning rate at `step`, counted from 0, of `steps`."""
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return (step + 1) / warm
        if self.kind == "plateau":
            return 1.0 if step < (self.warmup + self.plateau) * steps else self.decay
        progress = (step - warm) / max(1, steps - warm)
        return self.decay + (1.0 - self.decay) * 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Augmentation:
    """Chances (of an image) and strengths (largest deviation) of what is done to training images.

    A zoom keeps `zoom_least`..1 of the width and height; it is centred unless `off_centre`, which the field of view
    cannot learn from (the optical axis would leave the middle) and depth can.
    """

    flip: float = 0.5
    zoom: float = 0.5
    zoom_least: float = 0.6
    off_centre: bool = True
    colour: float = 0.75
    brightness: float = 0.3  # factor within 1 ± this
    contrast: float = 0.3
    saturation: float = 0.4
    tint: float = 0.1  # factor of each channel
    gamma: float = 0.3  # exponent within exp(± this)
    blur: float = 0.3
    blur_sigma: float = 1.2  # pixels
    noise: float = 0.3
    noise_sigma: float = 0.03  # of the range 0..1


NO_AUGMENTATION = Augmentation(flip=0.0, zoom=0.0, colour=0.0, blur=0.0, noise=0.0)


@dataclass(frozen=True)
class DataSet:
    """A source of labelled images: a procedural `world` drawn at `side` x `side`, or (world None) a folder.

    `labels` is "metric", or "scale_shift" when inverse depth is known only up to an affine map: then
    only scale-and-shift-invariant losses may see it.
    """

    name: str
    world: str | None = None
    side: int = 512
    synthetic: bool = True
    labels: str = "metric"

    def __post_init__(self) -> None:
        """Refuse labels that do not exist."""
        if self.labels not in LABELS:
            raise ConfigurationError(f"data set '{self.name}': labels '{self.labels}' must be one of {LABELS}")


@dataclass(frozen=True)
class Objective:
    """The losses (name, weight) that images of one data set get, and the data set's share of a batch."""

    data: str
    losses: tuple[tuple[str, float], ...]
    share: float = 1.0


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one level of the pyramid with one set of losses."""

    name: str
    steps: int
    batch: int
    level: str
    objectives: tuple[Objective, ...]
    encoder_rate: float
    decoder_rate: float
    fov_rate: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)
    optimiser: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 0.2
    frozen: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    ema_decay: float = 0.999
    target: str = "depth"
    init_fov_from_image_encoder: bool = False
    tied: bool = False  # one encoder stands for both until the stage ends (pyramid.forward)

    def __post_init__(self) -> None:
        """Refuse words that mean nothing and numbers that cannot train."""
        allowed = {"level": LEVELS, "target": TARGETS, "optimiser": OPTIMISERS}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ConfigurationError(f"stage '{self.name}': {name} '{getattr(self, name)}' must be one of {values}")
        if self.schedule.kind not in SCHEDULES:
            raise ConfigurationError(f"stage '{self.name}': schedule '{self.schedule.kind}' must be one of {SCHEDULES}")
        if unknown := set(self.frozen) - set(PARTS):
            raise ConfigurationError(f"stage '{self.name}': cannot freeze {sorted(unknown)}; parts are {PARTS}")
        if self.steps < 0 or self.batch < 1 or not self.objectives:
            raise ConfigurationError(
                f"stage '{self.name}': {self.steps} steps of {self.batch} images with {len(self.objectives)} "
                "objectives; needed are steps >= 0, batch >= 1 and an objective"
            )
        if self.tied and (self.level == LEVELS[-1] or self.target != "depth"):
            raise ConfigurationError(f"stage '{self.name}': encoders are tied only while depth is trained below full")
        if self.target == "fov" and self.augmentation.off_centre and self.augmentation.zoom > 0:
            raise ConfigurationError(
                f"stage '{self.name}': off-centre crops have no field of view; set off_centre False"
            )


@dataclass(frozen=True)
class Recipe:
    """A network's whole training: data sets, stages in order, and the seed of everything random."""

    name: str
    preset: str
    data: tuple[DataSet, ...]
    stages: tuple[Stage, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse stages whose data sets are not declared, or that ask absolute losses of scale-free labels."""
        sets = {data.name: data for data in self.data}
        for stage in self.stages:
            for objective in stage.objectives:
                if objective.data not in sets:
                    raise ConfigurationError(
                        f"recipe '{self.name}', stage '{stage.name}': unknown data set '{objective.data}', "
                        f"declared are {sorted(sets)}"
                    )
                absolute = [name for name, _ in objective.losses if not name.startswith("ssi_")]
                if sets[objective.data].labels == "scale_shift" and absolute and stage.target == "depth":
                    raise ConfigurationError(
                        f"recipe '{self.name}', stage '{stage.name}': {absolute} need metric labels, but data set "
                        f"'{objective.data}' is known only up to scale and shift; use losses that begin with ssi_"
                    )
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"recipe '{self.name}': stages share a name: {names}")

    def data_set(self, name: str) -> DataSet:
        """Return the data set called `name`."""
        return next(data for data in self.data if data.name == name)

    def changed(self, **by_field: Mapping[str, Any]) -> Recipe:
        """Return the recipe with fields of stages replaced, for example steps={"1a": 10}, batch={"1a": 4}.

        Raises ConfigurationError for a stage that does not exist.
        """
        known = [stage.name for stage in self.stages]
        for name, values in by_field.items():
            if unknown := set(values) - set(known):
                raise ConfigurationError(f"{name} for stages {sorted(unknown)}: recipe '{self.name}' has {known}")
        stages = tuple(
            replace(stage, **{name: values[stage.name] for name, values in by_field.items() if stage.name in values})
            for stage in self.stages
        )
        return replace(self, stages=stages)
