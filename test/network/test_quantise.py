"""8-bit linear layers against float32: how far off they are, and what is left alone."""

import warnings

import pytest
import torch

from depth_pro_ros.errors import CheckpointError, ConfigurationError
from depth_pro_ros.network import PRESETS, build, quantise, save
from depth_pro_ros.network.layers import Linear
from depth_pro_ros.network.quantise import QuantisedLinear, quantise_linears

MICRO = PRESETS["micro"]
pytestmark = pytest.mark.skipif(not quantise.available(), reason="this PyTorch has no 8-bit kernels")


@torch.inference_mode()
def test_whole_numbers_are_exact():
    """Weights that are multiples of their row's scale and activations of 7 bits lose nothing."""
    layer = torch.nn.Linear(2, 2)
    layer.weight.copy_(torch.tensor([[127.0, -3.0], [1.27, 0.5]]))
    layer.bias.copy_(torch.tensor([10.0, 0.0]))
    x = torch.tensor([[127.0, 0.0], [5.0, 1.0]])
    found = QuantisedLinear(layer)(x)
    torch.testing.assert_close(found, layer(x), rtol=0, atol=1e-3)


@torch.inference_mode()
def test_each_output_channel_has_its_own_scale():
    """One scale for all would lose the small rows altogether."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 8, bias=True)
    layer.weight.mul_(torch.logspace(0, -4, 8)[:, None])
    layer.bias.zero_()
    x = torch.randn(50, 64)
    error = (QuantisedLinear(layer)(x) - layer(x)).norm(dim=0) / layer(x).norm(dim=0)
    assert (error < 0.04).all()


@torch.inference_mode()
def test_depth_stays_close_and_nothing_but_the_vits_changes():
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact, fov_deg = build(MICRO)(image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = quantise_linears(build(MICRO))
    found, found_fov_deg = network(image)
    assert 0 < (found - exact).abs().mean() / exact.std() < 0.05
    assert (found_fov_deg - fov_deg).abs().max() < 1.0
    assert sum(isinstance(module, QuantisedLinear) for module in network.modules()) == 3 * 4 * MICRO.blocks
    assert isinstance(network.fov.encoder[1], Linear)


def test_half_precision_in_and_out():
    layer = QuantisedLinear(torch.nn.Linear(16, 8).to(torch.bfloat16))
    assert layer(torch.zeros(2, 3, 16, dtype=torch.bfloat16)).dtype is torch.bfloat16


def test_a_quantised_network_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="load it anew"):
        save(quantise_linears(build(MICRO)), tmp_path / "a.safetensors")


def test_what_cannot_be_is_refused(monkeypatch):
    with torch.device("meta"):
        elsewhere = build(MICRO)
    with pytest.raises(ConfigurationError, match="on 'meta'.*for the CPU"):
        quantise_linears(elsewhere)
    monkeypatch.setattr(quantise, "available", lambda: False)
    with pytest.raises(ConfigurationError, match="no 8-bit linear layers"):
        quantise_linears(build(MICRO))
