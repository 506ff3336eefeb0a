"""A network, recipe and scenes small enough to train in a test."""

from __future__ import annotations

import pytest
import torch
from training.standin import render

from depth_pro_ros.network import PRESETS, NetworkConfig
from depth_pro_ros.training.curriculum import Augmentation, DataSet, Objective, Recipe, Schedule, Stage
from depth_pro_ros.training.data import VALIDATION_SEED, SceneStream

NANO = NetworkConfig(64, 8, 32, 2, 1, (0, 1), (8, 8, 8), 8, head_dim=8)
LOSSES = (("log_mae", 1.0), ("ssi_mage", 0.2))


@pytest.fixture(autouse=True)
def one_thread():
    """Keep to one thread: sums are then made in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def nano(monkeypatch):
    """Give the presets one whose steps take hundredths of a second."""
    monkeypatch.setitem(PRESETS, "nano", NANO)


@pytest.fixture
def recipe() -> Recipe:
    """Return a recipe of three stages of a few steps: coarse depth, finer depth, field of view."""
    focal = Augmentation(off_centre=False)
    objective = Objective("scenes", LOSSES)
    return Recipe(
        "test",
        "nano",
        (DataSet("scenes", world="stand-in", side=64),),
        (
            Stage("coarse", 5, 4, "quarter", (objective,), 1e-3, 1e-3, schedule=Schedule("cosine")),
            Stage("fine", 2, 2, "half", (objective,), 1e-3, 1e-3, ema_decay=0.9),
            Stage("focal", 3, 4, "quarter", (Objective("scenes", (("l2", 1.0),)),), 0.0, 0.0, 1e-3,
                  target="fov", frozen=("depth",), augmentation=focal, init_fov_from_image_encoder=True),
        ),
    )  # fmt: skip


@pytest.fixture
def sources() -> dict[str, SceneStream]:
    """Return stand-in scenes for the recipe's data set."""
    return {"scenes": SceneStream("stand-in", 64, 0, render)}


@pytest.fixture
def validation_sources() -> dict[str, SceneStream]:
    """Return scenes that training never sees."""
    return {"scenes": SceneStream("stand-in", 64, VALIDATION_SEED, render)}
