"""Stages, schedules and recipes as data: the paper's numbers, hand-computed rates, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import PRESETS
from depth_pro_ros.training import recipes, stepping
from depth_pro_ros.training.curriculum import Augmentation, DataSet, Objective, Recipe, Schedule, Stage


def test_plateau_is_the_papers_one_eighty_nineteen_percent():
    schedule = Schedule("plateau", warmup=0.01, plateau=0.80, decay=0.1)
    factors = {step: schedule.factor(step, 1000) for step in (0, 4, 9, 10, 500, 809, 810, 999)}
    assert factors == {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 500: 1.0, 809: 1.0, 810: 0.1, 999: 0.1}


def test_cosine_starts_at_one_is_halfway_in_the_middle_and_ends_at_its_floor():
    schedule = Schedule("cosine", warmup=0.0, decay=0.2)
    assert schedule.factor(1, 1_000_001) == pytest.approx(1.0)
    assert schedule.factor(501, 1001) == pytest.approx(0.6)  # (1 + 0.2) / 2
    assert schedule.factor(1000, 1001) == pytest.approx(0.2, abs=1e-5)
    assert schedule.factor(251, 1001) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)


def test_the_papers_stages_are_those_of_its_tables():
    first, second, focal = recipes.PAPER.stages
    assert (first.steps, second.steps) == (140_625, 56_250)
    assert (first.batch, second.batch) == (128, 128)
    for stage in (first, second):
        assert (stage.encoder_rate, stage.decoder_rate) == (1.28e-5, 1.28e-4)
        assert (stage.clip, stage.weight_decay, stage.optimiser, stage.level) == (0.2, 0.0, "adam", "full")
        assert "norm" in stage.frozen
    losses = {objective.data: [name for name, _ in objective.losses] for objective in first.objectives}
    assert len(losses) == 9 + 4 + 4 + 2
    assert losses["hypersim"] == ["mae", "ssi_mage"]
    assert losses["scannet"] == ["trimmed_mae"]
    assert losses["eden"] == ["ssi_mae", "ssi_mage"]
    assert losses["hrwsi"] == ["ssi_trimmed_mae"]
    assert len(second.objectives) == 9
    assert {tuple(name for name, _ in objective.losses) for objective in second.objectives} == {
        ("mae", "mse", "mage", "male", "msge")
    }
    assert all(recipes.PAPER.data_set(objective.data).synthetic for objective in second.objectives)
    assert (focal.target, focal.frozen) == ("fov", ("depth",))


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_names_losses_and_a_preset_that_exist(name):
    recipe = recipes.find(name)
    assert recipe.preset in PRESETS
    for stage in recipe.stages:
        stepping.check_losses(stage)


def test_the_robots_recipe_sees_the_robots_world_in_two_thirds_of_its_images_and_the_wide_one_in_a_third():
    for recipe, robot in ((recipes.TINY_ROBOT, 2 / 3), (recipes.TINY_WIDE, 1 / 3)):
        for stage in recipe.stages:
            shares = {recipe.data_set(objective.data).world: objective.share for objective in stage.objectives}
            assert shares["robot"] / sum(shares.values()) == pytest.approx(robot)
            sides = {recipe.data_set(objective.data).side for objective in stage.objectives}
            assert sides == {512 if stage.level == "full" else 256}


def test_an_unknown_recipe_is_answered_with_those_there_are():
    with pytest.raises(ConfigurationError, match="tiny_robot"):
        recipes.find("large_robot")


STAGE = Stage("a", 10, 2, "quarter", (Objective("scenes", (("mae", 1.0),)),), 1e-3, 1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": "eighth"}, "quarter"),
        ({"target": "normals"}, "fov"),
        ({"optimiser": "sgd"}, "adamw"),
        ({"frozen": ("head",)}, "head"),
        ({"schedule": Schedule("linear")}, "cosine"),
        ({"batch": 0}, "batch >= 1"),
        ({"objectives": ()}, "an objective"),
        ({"target": "fov", "augmentation": Augmentation(off_centre=True)}, "off_centre"),
    ],
)
def test_a_stage_refuses_what_cannot_be_trained(change, message):
    with pytest.raises(ConfigurationError, match=message):
        replace(STAGE, **change)


def test_absolute_losses_are_refused_for_labels_known_up_to_scale_and_shift():
    data = (DataSet("scenes", labels="scale_shift"),)
    with pytest.raises(ConfigurationError, match="'mae'.*ssi_"):
        Recipe("r", "micro", data, (STAGE,))
    free = replace(STAGE, objectives=(Objective("scenes", (("ssi_mae", 1.0), ("ssi_mage", 1.0))),))
    assert Recipe("r", "micro", data, (free,)).stages == (free,)


def test_a_recipe_refuses_data_sets_that_are_not_declared_and_stages_of_one_name():
    with pytest.raises(ConfigurationError, match="unknown data set 'scenes'.*'other'"):
        Recipe("r", "micro", (DataSet("other"),), (STAGE,))
    with pytest.raises(ConfigurationError, match="share a name"):
        Recipe("r", "micro", (DataSet("scenes"),), (STAGE, STAGE))


def test_labels_are_metric_or_up_to_scale_and_shift():
    with pytest.raises(ConfigurationError, match="scale_shift"):
        DataSet("x", labels="relative")


def test_changed_replaces_fields_of_the_named_stages_only(recipe):
    changed = recipe.changed(steps={"fine": 7}, batch={"coarse": 9})
    assert [(stage.steps, stage.batch) for stage in changed.stages] == [(5, 9), (7, 2), (3, 4)]
    with pytest.raises(ConfigurationError, match="'tine'.*'coarse', 'fine', 'focal'"):
        recipe.changed(steps={"tine": 7})
