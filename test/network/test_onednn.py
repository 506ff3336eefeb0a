"""Fused layers against the plain ones that they stand for, in float32 and where a CPU has it in bfloat16."""

import copy

import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import onednn, packing
from depth_pro_ros.network.decoder import Fusion, ResidualUnit
from depth_pro_ros.network.onednn import FusedBlock, FusedFusion, FusedUnit, PackedLinear, attend
from depth_pro_ros.network.simplify import Sum
from depth_pro_ros.network.vit import Block

pytestmark = pytest.mark.skipif(not packing.works(torch.float32), reason="this PyTorch has no fused operators")
needs_bfloat16 = pytest.mark.skipif(not packing.pays(torch.bfloat16), reason="this CPU has no bfloat16 arithmetic")
CLOSE = {"rtol": 0, "atol": 1e-5}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def randomised(module, seed=1):
    for number, parameter in enumerate(module.requires_grad_(False).parameters()):
        parameter.copy_(noise(*parameter.shape, seed=seed + number) * max(parameter[0].numel(), 1) ** -0.5)
    return module


@torch.inference_mode()
def test_a_packed_layer_multiplies_its_factors_and_adds_to_the_trunk_without_touching_it():
    linear, x, trunk = randomised(torch.nn.Linear(6, 4)), noise(2, 3, 6), noise(2, 3, 4, seed=5)
    factors, before = torch.tensor([1.0, -2.0, 0.5, 0.0]), trunk.clone()
    torch.testing.assert_close(PackedLinear(linear, torch.float32)(x, trunk), trunk + linear(x), **CLOSE)
    assert torch.equal(trunk, before)
    scaled = PackedLinear(linear, torch.float32, factors=factors)
    torch.testing.assert_close(scaled(x), factors * linear(x), **CLOSE)
    torch.testing.assert_close(PackedLinear(linear, torch.float32, gelu=True)(x), F.gelu(linear(x)), **CLOSE)


def test_another_dtype_is_refused():
    layer = PackedLinear(torch.nn.Linear(8, 8), torch.float32)
    with pytest.raises(ConfigurationError, match="packed for torch.float32 got torch.bfloat16.*before packing"):
        layer(torch.zeros(2, 8, dtype=torch.bfloat16))


@pytest.mark.parametrize("folded", [True, False])
@torch.inference_mode()
def test_a_fused_block_is_the_block(folded):
    """Heads of 20 channels, whose scale is no power of two; LayerScale folded away or not."""
    block = randomised(Block(60, 3))
    if folded:
        block.ls1, block.ls2 = Sum(), Sum()
    fused, x, rows = FusedBlock(copy.deepcopy(block), torch.float32), noise(2, 7, 60), torch.tensor([0, 3, 8, 13])
    before = x.clone()
    torch.testing.assert_close(fused(x), block(x), **CLOSE)
    torch.testing.assert_close(fused.some(x, rows), block(x).flatten(0, 1)[rows], **CLOSE)
    assert torch.equal(x, before), "hooked blocks' outputs are kept: nothing may write into them"


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("scores_bytes", [1, 500, 1 << 20])
@pytest.mark.parametrize("long", [4, 256])
@torch.inference_mode()
def test_attention_in_groups_of_heads_is_attention(images, scores_bytes, long, monkeypatch):
    """Groups of one head, of some and of all; with queries of rows that nobody reads and without."""
    monkeypatch.setattr(onednn, "SCORES_BYTES", scores_bytes)
    monkeypatch.setattr(onednn, "LONG", long)
    qkv = noise(images, 9, 3 * 24)
    split = qkv.view(images, 9, 3, 3, 8).permute(2, 0, 3, 1, 4)
    wanted = F.scaled_dot_product_attention(*split, scale=1.0)
    torch.testing.assert_close(attend(qkv, 3), wanted.transpose(1, 2).reshape(images, 9, 24), **CLOSE)
    torch.testing.assert_close(onednn._attend_by_products(split), wanted, **CLOSE)


@needs_bfloat16
@pytest.mark.parametrize("tiles", [True, False])
@torch.inference_mode()
def test_attention_in_bfloat16_is_off_by_its_rounding_alone(tiles, monkeypatch):
    monkeypatch.setattr(onednn, "has_tiles", lambda: tiles)
    if tiles:
        monkeypatch.delattr(onednn, "_attend_by_products")
    qkv = noise(2, 65, 3 * 192)
    qkv[..., :192] *= 64**-0.5
    qkv = qkv.bfloat16()
    wanted = attend(qkv.float(), 3)
    assert (attend(qkv, 3).float() - wanted).abs().mean() < 0.01 * wanted.abs().mean()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_fused_units_and_fusions_are_the_plain_ones(layout):
    unit = randomised(ResidualUnit(8))
    x = noise(2, 8, 6, 5).contiguous(memory_format=layout)
    before = x.clone()
    torch.testing.assert_close(FusedUnit(unit)(x), unit(x), **CLOSE)
    assert torch.equal(x, before)
    fusion = randomised(Fusion(8, upsample=True))
    below, lateral = (noise(2, 8, 6, 5, seed=seed).contiguous(memory_format=layout) for seed in (3, 4))
    wanted, doubled = fusion.refine(below, lateral), fusion.up(x)
    fused = FusedFusion(fusion)
    torch.testing.assert_close(fused.up(x), doubled, **CLOSE)
    torch.testing.assert_close(fused.add(below, lateral), fusion.add(below, lateral), **CLOSE)
    torch.testing.assert_close(fused.refine(below, lateral), wanted, **CLOSE)
