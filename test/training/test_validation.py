"""Validation's figures by hand, through a network that answers what it is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training.standin import render

from depth_pro_ros.training import pyramid, validation
from depth_pro_ros.training.data import canonical_factor, raw_scenes
from depth_pro_ros.training.loop import random_network
from depth_pro_ros.training.stepping import Compute

CPU = Compute(torch.device("cpu"))


@pytest.fixture
def truth(recipe, validation_sources) -> torch.Tensor:
    """Return the canonical truth (4, 1, 64, 64) of the first four validation scenes."""
    raw = validation_sources["scenes"].read(np.arange(4))
    return (raw.inverse_m * canonical_factor(raw.fov_deg)[:, None, None])[:, None]


@pytest.mark.parametrize(("factor", "delta1", "abs_rel"), [(1.0, 1.0, 0.0), (1.2, 1.0, 0.2), (0.5, 0.0, 0.5)])
def test_depth_that_is_so_many_times_the_truth(recipe, validation_sources, truth, monkeypatch, factor, delta1, abs_rel):
    monkeypatch.setattr(pyramid, "forward", lambda network, image, level, tied: truth / factor)
    figures, picture = validation.validate(
        random_network(recipe), recipe.stages[0], validation_sources["scenes"], 4, CPU
    )
    assert figures["delta1"] == pytest.approx(delta1, abs=1e-6)
    assert figures["abs_rel"] == pytest.approx(abs_rel, abs=1e-4)
    assert figures["si_log"] == pytest.approx(0, abs=1e-4)
    assert picture.shape == (4 * 64, 4 * 64, 3) and picture.dtype == np.uint8


def test_the_picture_shows_photo_prediction_truth_and_error(recipe, validation_sources, truth, monkeypatch):
    monkeypatch.setattr(pyramid, "forward", lambda network, image, level, tied: truth.clone())
    _, picture = validation.validate(random_network(recipe), recipe.stages[0], validation_sources["scenes"], 4, CPU)
    photo, predicted, true, error = np.split(picture[:64].astype(int), 4, axis=1)
    scene = render("x", [20_000_000], 64, 64)
    assert np.abs(photo - scene.rgb[0].numpy()).max() <= 1
    assert np.array_equal(predicted[8:], true[8:])  # the sky above is clamped in the prediction
    assert len(np.unique(error.reshape(-1, 3), axis=0)) == 1  # no error anywhere


def test_the_field_of_view(recipe, validation_sources, monkeypatch):
    raw = raw_scenes(render("x", range(20_000_000, 20_000_004), 64, 64))
    errors = torch.tensor([1.0, -2.0, 3.0, 10.0])
    monkeypatch.setattr(pyramid, "fov", lambda network, image: raw.fov_deg + errors)
    figures, picture = validation.validate(
        random_network(recipe), recipe.stages[2], validation_sources["scenes"], 4, CPU
    )
    assert figures["fov_median_error_deg"] == pytest.approx(2.0, abs=1e-4)
    assert figures["fov_p90_error_deg"] == pytest.approx(3 + 0.7 * 7, abs=1e-3)
    assert picture is None


def test_no_more_images_than_the_source_has(recipe, validation_sources, truth, monkeypatch):
    source, asked = validation_sources["scenes"], []

    class Four:
        size = 4

        def read(self, indices):
            asked.extend(indices)
            return source.read(indices)

    monkeypatch.setattr(pyramid, "forward", lambda network, image, level, tied: truth)
    validation.validate(random_network(recipe), replace(recipe.stages[0]), Four(), 100, CPU)
    assert asked == [0, 1, 2, 3]
