"""The recipes: the paper's as it stands, and the small ones of this package. Numbers are tuned here and only here."""

from __future__ import annotations

from typing import Any

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training.curriculum import Augmentation, DataSet, Objective, Recipe, Schedule, Stage

# --- Depth Pro's own training (arXiv:2410.02073, section 3.2 and tables 12, 15, 17) -----------------------------------
SYNTHETIC = (
    "hypersim",
    "tartanair",
    "synscapes",
    "urbansyn",
    "dynamic_replica",
    "bedlam",
    "irs",
    "virtual_kitti_2",
    "sailvos3d",
)
REAL_METRIC = ("arkitscenes", "diml_indoor", "scannet", "smartportraits")
SYNTHETIC_UP_TO_SCALE = ("unrealstereo4k", "3d_ken_burns", "eden", "mvs_synth")
REAL_UP_TO_SCALE = ("hrwsi", "blendedmvg")

EPOCH = 72_000  # images
PAPER_BATCH = 128
PAPER_AUGMENTATION = Augmentation(flip=0.5, zoom=0.5, off_centre=False, colour=0.75, blur=0.30, noise=0.0)


def _objectives(names: tuple[str, ...], *losses: str) -> tuple[Objective, ...]:
    """Return an objective for each data set, all losses with weight 1 (the paper gives no weights)."""
    return tuple(Objective(name, tuple((loss, 1.0) for loss in losses)) for name in names)


PAPER_STAGE_1 = Stage(
    name="1",
    steps=250 * EPOCH // PAPER_BATCH,
    batch=PAPER_BATCH,
    level="full",
    objectives=(
        *_objectives(SYNTHETIC, "mae", "ssi_mage"),
        *_objectives(REAL_METRIC, "trimmed_mae"),
        *_objectives(SYNTHETIC_UP_TO_SCALE, "ssi_mae", "ssi_mage"),
        *_objectives(REAL_UP_TO_SCALE, "ssi_trimmed_mae"),
    ),
    encoder_rate=1.28e-5,
    decoder_rate=1.28e-4,
    schedule=Schedule("plateau", warmup=0.01, plateau=0.80, decay=0.1),
    frozen=("norm",),
    augmentation=PAPER_AUGMENTATION,
)
PAPER_STAGE_2 = Stage(
    name="2",
    steps=100 * EPOCH // PAPER_BATCH,
    batch=PAPER_BATCH,
    level="full",
    objectives=_objectives(SYNTHETIC, "mae", "mse", "mage", "male", "msge"),
    encoder_rate=1.28e-5,
    decoder_rate=1.28e-4,
    schedule=Schedule("plateau", warmup=0.01, plateau=0.80, decay=0.1),
    frozen=("norm",),
    augmentation=PAPER_AUGMENTATION,
)
# The paper names the loss and what is frozen; data and numbers of this stage are ours.
PAPER_FOCAL = Stage(
    name="focal",
    steps=20 * EPOCH // PAPER_BATCH,
    batch=PAPER_BATCH,
    level="quarter",
    objectives=_objectives(SYNTHETIC, "l2"),
    encoder_rate=0.0,
    decoder_rate=0.0,
    fov_rate=1e-4,
    frozen=("depth",),
    augmentation=PAPER_AUGMENTATION,
    target="fov",
)


def _data_sets() -> tuple[DataSet, ...]:
    """Return the paper's data sets, each a folder that --data names."""
    return (
        *(DataSet(name) for name in SYNTHETIC),
        *(DataSet(name, synthetic=False) for name in REAL_METRIC),
        *(DataSet(name, labels="scale_shift") for name in SYNTHETIC_UP_TO_SCALE),
        *(DataSet(name, synthetic=False, labels="scale_shift") for name in REAL_UP_TO_SCALE),
    )


PAPER = Recipe("paper", "depth_pro", _data_sets(), (PAPER_STAGE_1, PAPER_STAGE_2, PAPER_FOCAL))

# --- The embedded weights: a robot's world, from scratch, from coarse to fine -----------------------------------------
COSINE = Schedule("cosine", warmup=0.03, decay=0.02)
STEADY: dict[str, Any] = {"optimiser": "adamw", "weight_decay": 0.02, "schedule": COSINE, "clip": 0.2}
GENTLE = Augmentation(zoom=0.4, zoom_least=0.7, blur=0.15, noise=0.2)
FOCAL = Augmentation(zoom=0.5, zoom_least=0.6, off_centre=False, blur=0.15, noise=0.2)
STAGE_1_LOSSES = (("log_mae", 1.0), ("ssi_mage", 0.2))
STAGE_2_LOSSES = (
    ("log_mae", 1.0),
    ("abs_rel", 0.3),
    ("mae", 0.5),
    ("mse", 0.5),
    ("mage", 0.2),
    ("male", 0.1),
    ("msge", 0.1),
)


Shares = dict[str, float]  # of a batch, by world


def _mixed(side: int, losses: tuple[tuple[str, float], ...], shares: Shares) -> tuple[Objective, ...]:
    """Return an objective of each world at `side` x `side` pixels."""
    return tuple(Objective(f"{world}_{side}", losses, share) for world, share in shares.items())


def _tiny(name: str, shares: Shares) -> Recipe:
    """Return a recipe of `tiny` from coarse to fine.

    The ViTs learn at the quarter level, at a fortieth of the cost of an image at the full one, and at the half level,
    whose finer patches tell what the quarter's cannot. At the full level only the convolutions that it adds learn: a
    few thousand images move all else by more than they teach it.
    """
    coarse, fine = _mixed(256, STAGE_1_LOSSES, shares), _mixed(512, STAGE_1_LOSSES, shares)
    sharp, angle = _mixed(512, STAGE_2_LOSSES, shares), _mixed(256, (("l2", 1.0),), shares)
    frozen: dict[str, Any] = {"frozen": ("encoder", "coarse"), "augmentation": GENTLE, **STEADY}
    focal: dict[str, Any] = {"target": "fov", "init_fov_from_image_encoder": True, "augmentation": FOCAL, **STEADY}
    return Recipe(
        name,
        preset="tiny",
        data=tuple(DataSet(f"{world}_{side}", world, side) for world in shares for side in (256, 512)),
        stages=(
            Stage("1a", 9000, 32, "quarter", coarse, 8e-4, 8e-4, tied=True, augmentation=GENTLE, **STEADY),
            Stage("1b", 2800, 16, "half", coarse, 1.7e-4, 5e-4, augmentation=GENTLE, **STEADY),
            Stage("1c", 250, 8, "full", fine, 0.0, 1.5e-4, **frozen),
            Stage("2", 900, 8, "full", sharp, 0.0, 1.4e-4, **frozen),
            Stage("focal", 2000, 32, "quarter", angle, 0.0, 0.0, 5e-4, frozen=("depth",), **focal),
        ),
    )


# Two of three images are the robot's. What the others show is there so that the network does not take every photograph
# for a robot's: the same rooms by cameras in hands and on heads, and streets, fields, drones' heights.
TINY_ROBOT = _tiny("tiny_robot", {"robot": 6.0, "handheld": 2.0, "wide": 1.0})

# Wider worlds come after the robot's: start it from the embedded weights (--init). A third of its images stay the
# robot's, so that what was learnt there is kept.
TINY_WIDE = _tiny("tiny_wide", {"robot": 1.0, "wide": 2.0})

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (TINY_ROBOT, TINY_WIDE, PAPER)}
"""Every recipe by its name."""


def find(name: str) -> Recipe:
    """Return the recipe called `name`; raises ConfigurationError that lists those there are."""
    if name not in RECIPES:
        raise ConfigurationError(f"no recipe '{name}': there are {sorted(RECIPES)}")
    return RECIPES[name]
