"""Simplified networks against the networks that they were: the same results, fewer multiplications."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.network import PRESETS, DepthPro, NetworkConfig, build, load, save
from depth_pro_ros.network.decoder import Head
from depth_pro_ros.network.encoder import merge, merged_tokens, quartered
from depth_pro_ros.network.folded import DoubledConv, FoldedHead
from depth_pro_ros.network.simplify import simplify
from depth_pro_ros.network.vit import LayerScale

EXACT = {"rtol": 0, "atol": 1e-9}
MICRO = PRESETS["micro"]
# Projections pay before doublings at every level here; the last block is hooked, so that it must be finished whole.
ODD = NetworkConfig(64, 8, 48, 3, 2, (1, 2), (56, 48, 72), 8, head_dim=5, stem="conv")


def randomised(config):
    """Return a network in double precision with no weight at its start, which might hide a fault."""
    network = build(config).double().requires_grad_(False)
    network.compute_dtype = torch.float64
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_(noise * 0.3 * max(parameter[0].numel(), 1) ** -0.5)
    return network


def image(config, batch=1):
    shape = (batch, 3, config.image_size, config.image_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize(
    ("config", "batch", "patch_batch", "strips"),
    [(MICRO, 1, 0, 1), (ODD, 2, 6, 2), pytest.param(PRESETS["tiny"], 1, 0, 1, marks=pytest.mark.slow)],
)
@torch.inference_mode()
def test_every_part_gives_the_same(config, batch, patch_batch, strips):
    network = randomised(config)
    network.patch_batch, network.strips = patch_batch, strips
    simplified = simplify(copy.deepcopy(network))
    rgb = image(config, batch)
    stages, simplified_stages = (_stages(one, rgb) for one in (network, simplified))
    for found, expected in zip(simplified_stages, stages, strict=True):
        assert expected.dtype is torch.float64 and expected.std() > 1e-3
        torch.testing.assert_close(found, expected, **EXACT)


def _stages(network, rgb):
    maps = network.encoder(rgb, network.patch_batch * len(rgb))
    lateral = network.lateral(maps)
    features = network.fuse(lateral, maps, 1)
    yield from maps
    yield network.fov.encoder[0](quartered(rgb, network.config))[0]
    yield lateral
    yield features
    yield network.head(network.decoder.fusions[1].up(features), raw=True)  # as a coarser level ends
    yield network._finest_in_strips(features, maps[0], True)


@torch.inference_mode()
def test_half_precision_weights_stay_so_and_results_stay_close():
    rgb = image(MICRO).float()
    exact, _ = build(MICRO)(rgb)
    for dtype in (torch.bfloat16, torch.float16):
        rounded, _ = build(MICRO).set_precision(dtype, torch.float32)(rgb)
        network = simplify(build(MICRO).set_precision(dtype, torch.float32))
        found, _ = network(rgb)
        kinds = {p.dtype for name, p in network.named_parameters() if not name.startswith("fov.")}
        assert kinds == {dtype}
        assert (found - exact).abs().mean() < 1.5 * (rounded - exact).abs().mean()


def test_small_factors_survive_in_float16():
    """A factor of 1e-6 times a weight of 1e-2 is nothing in float16: LayerScale stays there."""
    kinds = [type(module) for module in simplify(build(MICRO).set_precision(torch.float16, torch.float32)).modules()]
    assert LayerScale in kinds


def test_everything_that_can_be_folded_is():
    network = simplify(build(MICRO))
    kinds = [type(module) for module in network.modules()]
    assert LayerScale not in kinds and Head not in kinds
    assert kinds.count(DoubledConv) == 4 and kinds.count(FoldedHead) == 2
    for fusion in network.decoder.fusions[1:]:
        assert isinstance(fusion.out_conv, nn.Identity)
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(("preset", "saved"), [("micro", 0.15), ("depth_pro", 0.035)])
def test_multiplications_are_saved(preset, saved):
    """Counted by PyTorch itself, without computing: the published 19.2 TFLOP lose more than 0.67."""
    counts = []
    for simplified in (False, True):
        with torch.device("meta"):
            network = DepthPro(PRESETS[preset])
            rgb = torch.empty(1, 3, network.config.image_size, network.config.image_size)
        network = simplify(network) if simplified else network
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            network(rgb, fov=False)
        counts.append(counter.get_total_flops())
    assert counts[1] < (1 - saved) * counts[0]


@pytest.mark.parametrize(("batch", "size"), [(1, 35), (2, 9)])
def test_merged_tokens_are_those_that_merge_keeps(batch, size):
    """Zero all others, and every map is as before; the published share is 60 %."""
    grid, count = 8, 35 * batch
    wanted = torch.cat(
        [
            merged_tokens(grid, batch, start, min(start + size, count), torch.device("cpu")) + start * grid**2
            for start in range(0, count, size)
        ]
    )
    assert len(wanted.unique()) == len(wanted) == batch * (32**2 + 16**2 + 8**2)
    tokens = torch.randn(count, grid**2, 3)
    kept = torch.zeros_like(tokens).flatten(0, 1).index_copy(0, wanted, tokens.flatten(0, 1)[wanted]).view_as(tokens)
    for steps, padding, first in ((5, 1, 0), (3, 2, 25 * batch), (1, 0, 34 * batch)):
        part = slice(first, first + steps**2 * batch)
        assert torch.equal(merge(kept[part], steps, padding), merge(tokens[part], steps, padding))


def test_simplifying_twice_changes_nothing():
    network = simplify(build(MICRO))
    names = list(network.state_dict())
    assert simplify(network) is network and list(network.state_dict()) == names


@pytest.mark.parametrize("layout", ["native", "apple", "transformers"])
def test_a_simplified_network_is_not_saved(layout, tmp_path):
    with pytest.raises(CheckpointError, match="simplified.*load it anew"):
        save(simplify(build(MICRO)), tmp_path / "weights", layout)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_simplified_after_loading(tmp_path):
    path = save(build(MICRO), tmp_path / "a.safetensors")
    rgb = image(MICRO).float()
    with torch.inference_mode():
        torch.testing.assert_close(simplify(load(path))(rgb)[0], load(path)(rgb)[0], rtol=0, atol=1e-5)


def test_the_field_of_view_is_left_out_when_not_wanted():
    network = simplify(build(replace(MICRO, blocks=2, hooks=(0, 1))))
    calls = []
    network.fov.encoder[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        assert network(image(MICRO).float(), fov=False)[1] is None
    assert not calls
