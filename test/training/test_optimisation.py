"""What a stage trains and at which rates, and the moving average by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import PRESETS, build
from depth_pro_ros.training import optimisation
from depth_pro_ros.training.curriculum import Augmentation, Objective, Schedule, Stage

STAGE = Stage("a", 100, 2, "full", (Objective("scenes", (("mae", 1.0),)),), 1e-4, 1e-3, fov_rate=1e-2,
              optimiser="adamw", weight_decay=0.1)  # fmt: skip


@pytest.fixture
def network():
    return build(PRESETS["micro"])


def trained(network) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_depth_stages_train_all_but_the_field_of_view(network):
    optimisation.set_trainable(network, STAGE)
    assert trained(network) == {name for name, _ in network.named_parameters() if not name.startswith("fov.")}


def test_the_focal_stage_trains_the_field_of_view_alone(network):
    stage = replace(STAGE, target="fov", frozen=("depth",), augmentation=Augmentation(off_centre=False))
    optimisation.set_trainable(network, stage)
    assert trained(network) == {name for name, _ in network.named_parameters() if name.startswith("fov.")}


def test_frozen_parts_are_not_trained(network):
    optimisation.set_trainable(network, replace(STAGE, frozen=("encoder",)))
    assert {name.split(".")[0] for name in trained(network)} == {"decoder", "head", "encoder"}
    assert not any(name.startswith(optimisation.ENCODERS) for name in trained(network))
    assert "encoder.upsample_latent0.0.weight" in trained(network)
    optimisation.set_trainable(network, replace(STAGE, frozen=("encoder", "coarse")))
    assert {name.rsplit(".", 2)[0].split(".resnet")[0] for name in trained(network)} == {
        *("encoder.upsample0", "encoder.upsample1", "encoder.upsample_latent0", "encoder.upsample_latent1"),
        *("decoder.convs", "decoder.fusions.0", "decoder.fusions.1", "decoder.fusions.2", "decoder.fusions.3"),
    }
    assert not {"decoder.convs.4.weight", "head.0.weight", "decoder.fusions.4.deconv.weight"} & trained(network)
    optimisation.set_trainable(network, replace(STAGE, frozen=("norm",)))
    norms = {name for name, _ in network.named_parameters() if ".norm" in name and not name.startswith("fov.")}
    assert len(norms) == 2 * (4 * 2 + 1) * 2  # two encoders; two norms in each of 4 blocks and a last; weight, bias
    assert not norms & trained(network)
    with pytest.raises(ConfigurationError, match="nothing to train"):
        optimisation.set_trainable(network, replace(STAGE, frozen=("depth",)))


def test_each_part_has_its_rate_and_only_kernels_decay(network):
    optimisation.set_trainable(network, STAGE)
    optimiser = optimisation.make_optimiser(network, STAGE)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    seen = {}
    for group in optimiser.param_groups:
        seen |= {names[id(parameter)]: (group["lr"], group["weight_decay"]) for parameter in group["params"]}
    assert seen.keys() == trained(network)
    assert seen["encoder.patch_encoder.blocks.0.mlp.fc1.weight"] == (1e-4, 0.1)
    assert seen["encoder.patch_encoder.blocks.0.mlp.fc1.bias"] == (1e-4, 0.0)
    assert seen["encoder.patch_encoder.pos_embed"] == (1e-4, 0.0)
    assert seen["encoder.patch_encoder.blocks.0.ls1.gamma"] == (1e-4, 0.0)
    assert seen["encoder.upsample1.0.weight"] == (1e-3, 0.1)
    assert seen["decoder.convs.1.weight"] == (1e-3, 0.1)
    assert seen["head.4.bias"] == (1e-3, 0.0)


def test_rates_follow_the_schedule(network):
    optimisation.set_trainable(network, STAGE)
    optimiser = optimisation.make_optimiser(network, STAGE)
    stage = replace(STAGE, schedule=Schedule("plateau", warmup=0.1, plateau=0.8, decay=0.1))
    for step, factor in ((0, 0.1), (9, 1.0), (95, 0.1)):
        assert optimisation.set_rates(optimiser, stage, step) == pytest.approx(factor)
        assert {group["lr"] for group in optimiser.param_groups} == {1e-4 * factor, 1e-3 * factor}


def test_the_average_by_hand(network):
    optimisation.set_trainable(network, STAGE)
    average = optimisation.Average(network)
    bias, kept = "head.4.bias", "fov.head.4.bias"
    start = network.get_parameter(bias).item()
    with torch.no_grad():
        network.get_parameter(bias).add_(1.0)
        network.get_parameter(kept).add_(1.0)
    average.update(network, 0.9, 0)  # (1 + 0) / (10 + 0) = 0.1 of the old
    assert float(average.network.get_parameter(bias)) == pytest.approx(start + 0.9)
    average.update(network, 0.9, 10_000)
    assert float(average.network.get_parameter(bias)) == pytest.approx(start + 0.9 * 0.9 + 0.1)
    assert float(average.network.get_parameter(kept)) == 60.0  # what is not trained is not averaged


def test_the_focal_vit_starts_as_the_image_encoder(network):
    optimisation.init_fov_from_image_encoder(network)
    ours, theirs = network.fov.encoder[0].state_dict(), network.encoder.image_encoder.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
