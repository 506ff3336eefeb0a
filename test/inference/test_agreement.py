"""The figures that decide whether an export is kept, on numbers worked out by hand."""

import numpy as np
import pytest
import torch

from depth_pro_ros.inference.agreement import BOUNDS, compare, watched
from depth_pro_ros.network import NetworkConfig, build

SMALL = NetworkConfig(16, 2, 16, 2, 1, (0, 1), (8, 8, 8), 8, head_dim=8)
EXACT = (np.array([1.0, 2.0, 3.0, 2.0], np.float32).reshape(1, 1, 2, 2), np.array([60.0], np.float32))


def shifted(canonical, fov_deg=0.0):
    return EXACT[0] + np.array(canonical, np.float32).reshape(1, 1, 2, 2), EXACT[1] + np.float32(fov_deg)


def test_differences_are_relative_to_the_mean():
    found = compare("x", shifted([0.0, 0.02, -0.04, 0.4], fov_deg=-0.5), EXACT)
    assert (found.image, found.fov_deg) == ("x", 0.5)
    assert found.median == pytest.approx(0.015, rel=1e-5)  # of 0, 0.01, 0.02, 0.2 over the mean, 2
    assert found.worst == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("precision", BOUNDS)
def test_bounds_hold_for_each_figure(precision):
    bounds = BOUNDS[precision]
    assert not bounds.exceeded_by(compare("x", EXACT, EXACT))
    assert bounds.exceeded_by(compare("x", shifted([2.1 * bounds.median] * 4), EXACT))
    assert bounds.exceeded_by(compare("x", shifted([0, 0, 0, 2.1 * bounds.worst]), EXACT))
    assert bounds.exceeded_by(compare("x", shifted([0] * 4, fov_deg=1.1 * bounds.fov_deg), EXACT))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_exceeds_every_bound(value):
    assert BOUNDS["float16"].exceeded_by(compare("x", shifted([0, 0, 0, value]), EXACT))
    assert BOUNDS["float16"].exceeded_by(compare("x", shifted([0] * 4, fov_deg=value), EXACT))


def peak_of(network):
    with torch.inference_mode(), watched(network) as peak:
        network(torch.zeros(1, 3, 64, 64))
    assert not any(module._forward_hooks for module in network.modules()), "hooks are left behind"
    return peak


def test_the_largest_number_inside_is_found_where_it_is():
    network = build(SMALL)
    assert 1 < peak_of(network).value < 1000
    network.encoder.image_encoder.blocks[1].mlp.fc1.bias.data.fill_(-5e4)  # GELU makes 0 of it
    peak = peak_of(network)
    assert peak.layer == "encoder.image_encoder.blocks.1.mlp.fc1" and peak.value == pytest.approx(5e4, rel=1e-3)


def test_attention_scores_count():
    network = build(SMALL)
    network.encoder.patch_encoder.blocks[0].attn.qkv.bias.data[:32] = 1000.0  # queries and keys, 16 numbers each
    peak = peak_of(network)
    assert peak.layer == "encoder.patch_encoder.blocks.0.attn (scores)"
    assert peak.value == pytest.approx(16 * 1000**2 / 16**0.5, rel=0.05)


def test_what_stays_in_float32_does_not_count():
    network = build(SMALL)
    before = peak_of(network).value
    network.fov.head[0].bias.data.fill_(-1e6)
    assert peak_of(network).value == before


def test_not_a_number_is_an_overflow():
    network = build(SMALL)
    network.head[0].bias.data.fill_(torch.nan)
    assert peak_of(network).value == np.inf
