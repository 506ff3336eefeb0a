"""Which networks are packed, and that they compute the same."""

import copy

import pytest
import torch

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.network import PRESETS, build, packing, save
from depth_pro_ros.network.onednn import FusedUnit, PackedLinear
from depth_pro_ros.network.packing import pack, pack_blocks
from depth_pro_ros.network.vit import VisionTransformer

MICRO = PRESETS["micro"]
needs_onednn = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")),
    reason="this PyTorch comes without oneDNN",
)


@needs_onednn
@torch.inference_mode()
def test_packed_blocks_give_the_same():
    vit = build(MICRO).encoder.patch_encoder
    packed = copy.deepcopy(vit)
    pack_blocks(packed, torch.float32)
    assert sum(isinstance(module, PackedLinear) for module in packed.modules()) == 4 * MICRO.blocks
    patches = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    (tokens, kept), (expected, expected_kept) = packed(patches, (0, 1), 2), vit(patches, (0, 1), 2)
    for found, wanted in zip((tokens, *kept), (expected, *expected_kept), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("capability", "packed"), [("AVX2", False), ("AVX512", True)])
@needs_onednn
def test_float32_is_packed_where_vectors_are_wide(capability, packed, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(packing, "pays", packing.pays.__wrapped__)
    network = pack(build(MICRO))
    assert network.simplified == packed
    assert any(isinstance(module, PackedLinear) for module in network.modules()) == packed
    assert any(isinstance(module, FusedUnit) for module in network.modules()) == packed


def test_weights_kept_smaller_than_the_arithmetic_stay_so(monkeypatch):
    """Packed for float32 they would take twice the memory that was asked for."""
    monkeypatch.setattr(packing, "pays", lambda dtype: True)
    network = pack(build(MICRO).set_precision(torch.bfloat16, torch.float32))
    assert not network.simplified and network.encoder.patch_encoder.blocks[0].attn.qkv.weight.dtype is torch.bfloat16


@needs_onednn
def test_operators_are_tried_before_they_are_trusted(monkeypatch):
    assert packing.works(torch.float32)
    monkeypatch.setattr(PackedLinear, "forward", lambda self, x: torch.zeros(len(x), 64))
    assert not packing.works(torch.float32)
    monkeypatch.setattr(PackedLinear, "forward", lambda self, x: x @ torch.zeros(2, 2))
    assert not packing.works(torch.float32)
    monkeypatch.undo()
    monkeypatch.setattr(FusedUnit, "forward", lambda self, x: x)
    assert not packing.works(torch.float32)


@needs_onednn
def test_packed_networks_hold_each_weight_once_and_are_not_saved(monkeypatch, tmp_path):
    monkeypatch.setattr(packing, "pays", lambda dtype: True)
    network = pack(build(MICRO))
    names = list(network.state_dict())
    assert not any("qkv" in name or "fc" in name for name in names if "fuse" not in name)
    assert sum(isinstance(module, VisionTransformer) for module in network.modules()) == 3
    with pytest.raises(CheckpointError, match="simplified"):
        save(network, tmp_path / "a.safetensors")
    with torch.inference_mode():
        canonical, _ = network(torch.zeros(1, 3, 512, 512))
        torch.testing.assert_close(canonical, build(MICRO)(torch.zeros(1, 3, 512, 512))[0], rtol=0, atol=1e-5)


@pytest.mark.skipif(not packing.pays(torch.bfloat16), reason="this CPU has no bfloat16 arithmetic")
@torch.inference_mode()
def test_bfloat16_where_there_is_some():
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact, _ = build(MICRO)(image)
    plain, _ = build(MICRO).set_precision(torch.bfloat16, torch.bfloat16)(image)
    packed, _ = pack(build(MICRO).set_precision(torch.bfloat16, torch.bfloat16))(image)
    assert (packed - exact).abs().mean() < 1.5 * (plain - exact).abs().mean()
