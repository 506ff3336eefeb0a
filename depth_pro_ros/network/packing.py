"""Which networks get oneDNN's fused layers (see onednn.py): those that compute on a CPU in a format where they pay.

In half precision PyTorch hands products to oneDNN anyway, but puts the weights into the order of its kernels at every
call. In float32 it uses MKL: on a CPU with AVX-512 oneDNN's products were 1.1 times as fast (AMD Zen 4, alike for the
small and the published sizes), and the GELU within them costs less than a pass over memory; on AVX2 MKL was 1.1 times
as fast, so there float32 is left alone. A PyTorch without the operators leaves every network as it is.
"""

from __future__ import annotations

import functools
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.network.decoder import Fusion, ResidualUnit
from depth_pro_ros.network.depth_pro import DepthPro
from depth_pro_ros.network.onednn import FusedBlock, FusedFusion, FusedUnit, PackedLinear
from depth_pro_ros.network.simplify import simplify
from depth_pro_ros.network.vit import Block, VisionTransformer

_SUPPORT = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise", "_convolution_pointwise")
WIDE_VECTORS = "AVX512"  # the capability, as PyTorch names it, from which on float32 pays


@torch.no_grad()
def pack(network: DepthPro) -> DepthPro:
    """Give a network that computes on a CPU the fused layers, in place, where they pay; leave any other as it is.

    Simplifies it as well. Comes last, after `set_precision`: packed weights are no parameters, so they can neither
    change their dtype nor move. Layers are replaced one by one, so no second copy of the weights is needed; weights
    that are kept in another format than that of the arithmetic stay so.
    """
    kept = network.encoder.patch_encoder.pos_embed
    if kept.device.type == "cpu" and kept.dtype is network.compute_dtype and pays(kept.dtype):
        pack_blocks(simplify(network), kept.dtype)
        fuse_fusions(network)
    return network


def pack_blocks(module: nn.Module, dtype: torch.dtype) -> None:
    """Pack all transformer blocks in `module`, to compute in `dtype`."""
    for vit in [part for part in module.modules() if isinstance(part, VisionTransformer)]:
        for number, block in enumerate(vit.blocks):
            vit.blocks[number] = FusedBlock(cast(Block, block), dtype)


def fuse_fusions(network: DepthPro) -> None:
    """Fuse the residual units of a network's decoder."""
    levels = network.decoder.fusions
    for number, fusion in enumerate(levels):
        levels[number] = FusedFusion(cast(Fusion, fusion))


@functools.cache
def pays(dtype: torch.dtype) -> bool:
    """Return whether packing for `dtype` is faster here: a format in which oneDNN is the fastest, and right."""
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS):
        return False
    if dtype is torch.float32:
        return torch.backends.cpu.get_cpu_capability() == WIDE_VECTORS and works(dtype)
    support = getattr(torch.ops.mkldnn, _SUPPORT[dtype], None) if dtype in _SUPPORT else None
    return bool(support and support()) and works(dtype)


@torch.no_grad()
def works(dtype: torch.dtype) -> bool:
    """Return whether small fused layers run in `dtype` and agree with plain ones in float32 to 5 %."""
    linear, x = nn.Linear(32, 64), torch.linspace(-1.0, 1.0, 7 * 32).view(7, 32)
    linear.weight.copy_(torch.linspace(-1.0, 1.0, 64 * 32).view(64, 32))
    unit, image = ResidualUnit(8), torch.linspace(-1.0, 1.0, 8 * 6 * 5).view(1, 8, 6, 5)
    for parameter in unit.parameters():
        parameter.copy_(torch.linspace(-0.5, 0.4, parameter.numel()).view_as(parameter))
    try:
        found = PackedLinear(linear, dtype, gelu=True)(x.to(dtype))
        found_image = FusedUnit(unit)(image.to(dtype))
    except RuntimeError:  # operators that are not public may change
        return False
    return _close(found, F.gelu(linear(x))) and _close(found_image, unit(image))


def _close(found: Tensor, wanted: Tensor) -> bool:
    return bool((found.float() - wanted).abs().max() <= 0.05 * wanted.abs().max())
