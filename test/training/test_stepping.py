"""One step: pieces of a batch add up to the whole, masked images count for nothing, NaN stops."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.standin import render

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import vit
from depth_pro_ros.training import losses, optimisation, pyramid, stepping
from depth_pro_ros.training.curriculum import Objective
from depth_pro_ros.training.data import Batch
from depth_pro_ros.training.feed import Feed
from depth_pro_ros.training.loop import random_network
from depth_pro_ros.training.stepping import Compute
from depth_pro_ros.training.stopping import TrainingError

CPU = Compute(torch.device("cpu"))


@pytest.fixture
def network(recipe):
    network = random_network(recipe)
    optimisation.set_trainable(network, recipe.stages[0])
    return network


@pytest.fixture
def batch(recipe, sources) -> Batch:
    """Return 4 images of which the second is unknown altogether and the third in part."""
    batch = Feed(sources, 0).batch(recipe.stages[0], 0, 0, 0, 64)
    batch.mask[1] = False
    batch.mask[2, :, :35] = False
    return batch


def gradients(network, stage, batch, compute=CPU):
    network.zero_grad()
    terms = stepping.backward(network, stage, batch, compute.scaler(), compute)
    return terms, {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_plain_attention_on_a_cpu_has_the_gradients_of_the_fused_kernel(network, recipe, batch, monkeypatch):
    smooth = replace(recipe.stages[0], objectives=(Objective("scenes", (("mse", 1.0),)),))
    calls = []
    plainly = vit.products
    monkeypatch.setattr(vit, "products", lambda *tokens: calls.append(1) or plainly(*tokens))
    _, plain = gradients(network, smooth, batch)
    assert calls
    calls.clear()
    monkeypatch.setattr(vit, "FEW_TOKENS", 0)
    _, fused = gradients(network, smooth, batch)
    assert not calls
    for name, gradient in fused.items():
        assert (gradient - plain[name]).abs().max() < 1e-6 + 1e-4 * gradient.abs().max(), name


def test_the_number_format_holds_while_the_network_runs_and_not_after():
    half = replace(CPU, dtype=torch.bfloat16)
    with half.running():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("size", [1, 3])
def test_pieces_add_up_to_the_whole_batch(network, recipe, batch, size):
    smooth = replace(recipe.stages[0], objectives=(Objective("scenes", (("mse", 1.0),)),))
    whole_terms, whole = gradients(network, smooth, batch)
    terms, pieces = gradients(network, smooth, batch, replace(CPU, micro_batch=size))
    assert terms == pytest.approx(whole_terms, rel=1e-5)
    assert whole.keys() == pieces.keys()
    for name, gradient in whole.items():
        assert (gradient - pieces[name]).abs().max() < 1e-6 + 1e-4 * gradient.abs().max(), name


def test_the_loss_is_the_weighted_sum_of_means_over_images_with_known_pixels(network, recipe, batch):
    terms, _ = gradients(network, recipe.stages[0], batch)
    with torch.no_grad():
        predicted = pyramid.forward(network, batch.image, "quarter")
    target, mask = pyramid.shrink_target(batch.canonical, batch.mask, 64)
    each = [losses.log_mae(predicted[i : i + 1], target[i : i + 1], mask[i : i + 1]).item() for i in (0, 2, 3)]
    assert terms["scenes/log_mae"] == pytest.approx(sum(each) / 3, rel=1e-5)
    assert terms["loss"] == pytest.approx(terms["scenes/log_mae"] + 0.2 * terms["scenes/ssi_mage"], rel=1e-5)


def test_what_is_unknown_cannot_change_anything(network, recipe, batch):
    _, before = gradients(network, recipe.stages[0], batch)
    wild = replace(batch, canonical=batch.canonical.masked_fill(~batch.mask, float("nan")))
    _, after = gradients(network, recipe.stages[0], wild)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_batch_without_any_known_pixel_trains_nothing(network, recipe, batch):
    empty = replace(batch, mask=torch.zeros_like(batch.mask))
    terms, found = gradients(network, recipe.stages[0], empty)
    assert terms["loss"] == 0
    assert all(bool((gradient == 0).all()) for gradient in found.values())


def test_each_data_set_gets_its_own_losses(network, recipe, batch):
    objectives = (Objective("a", (("mae", 1.0),)), Objective("b", (("mse", 2.0),)))
    stage = replace(recipe.stages[0], objectives=objectives)
    mixed = replace(batch, groups=(("a", 0, 2), ("b", 2, 4)))
    terms, _ = gradients(network, stage, mixed)
    assert set(terms) == {"loss", "a/mae", "b/mse"}
    assert terms["loss"] == pytest.approx(terms["a/mae"] + 2 * terms["b/mse"], rel=1e-5)


def test_the_field_of_view_gets_l2_in_degrees(network, recipe, batch):
    stage = recipe.stages[2]
    optimisation.set_trainable(network, stage)
    terms, found = gradients(network, stage, batch)
    with torch.no_grad():
        error = pyramid.fov(network, batch.image) - batch.fov_deg
    assert terms["scenes/l2"] == pytest.approx(error.square().mean().item(), rel=1e-5)
    assert found and all(name.startswith("fov.") for name in found)


def test_gradients_are_clipped(network, recipe, batch):
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    before = copy.deepcopy(network)
    result = stepping.take(network, recipe.stages[0], batch, optimiser, CPU.scaler(), CPU)
    moved = [(a - b).detach().flatten() for a, b in zip(network.parameters(), before.parameters(), strict=True)]
    assert result.gradient_norm > 0.2
    assert torch.cat(moved).norm().item() == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_number_that_is_none_stops_before_the_weights_change(network, recipe, batch, monkeypatch, where):
    def broken(predicted, target, mask):
        return predicted.mean() * float("nan") if where == "loss" else (predicted.mean() - predicted.mean()).sqrt()

    stage = replace(recipe.stages[0], objectives=(Objective("scenes", (("mae", 1.0),)),))
    monkeypatch.setattr(stepping, "LOSSES", {"mae": broken})
    before = copy.deepcopy(network.state_dict())
    optimiser = optimisation.make_optimiser(network, stage)
    with pytest.raises(TrainingError, match="no number.*scenes/mae"):
        stepping.take(network, stage, batch, optimiser, CPU.scaler(), CPU)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_bfloat16_computes_nearly_the_same(network, recipe, batch):
    batch = batch.part(0, 1)
    terms, _ = gradients(network, recipe.stages[0], batch)
    half, found = gradients(network, recipe.stages[0], batch, replace(CPU, dtype=torch.bfloat16))
    assert half["loss"] == pytest.approx(terms["loss"], rel=0.05)
    assert half["loss"] != terms["loss"]
    assert all(gradient.dtype == torch.float32 for gradient in found.values())


def test_losses_that_do_not_exist_are_refused(recipe):
    unknown = replace(recipe.stages[0], objectives=(Objective("scenes", (("berhu", 1.0),)),))
    with pytest.raises(ConfigurationError, match="'berhu'.*log_mae"):
        stepping.check_losses(unknown)
    with pytest.raises(ConfigurationError, match="'mae'.*fov.*l2"):
        stepping.check_losses(replace(recipe.stages[2], objectives=(Objective("scenes", (("mae", 1.0),)),)))


def test_a_stand_in_scene_has_both_sky_and_ground():
    scenes = render("x", [1], 64, 64)  # what the tests above stand on
    assert np.isinf(scenes.depth_m.numpy()).any() and np.isfinite(scenes.depth_m.numpy()).any()
