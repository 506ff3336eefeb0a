"""The ViTs' linear layers with weights in the order in which oneDNN multiplies, for half precision on a CPU.

PyTorch hands half-precision products on a CPU to oneDNN, which puts the weights into the order of its kernels at every
call. Here that is done once, and the GELU belongs to the product before it. The results are the same but for the
rounding between the two.

Float32 networks are left alone: there PyTorch uses MKL, which needs no other order; on AVX2 it was 1.1 times as fast
as oneDNN with packed weights, whose GELU is slow besides. The operators are those that torch.compile uses for frozen
weights; they are not public, so a PyTorch without them leaves the network as it is.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network.depth_pro import DepthPro
from depth_pro_ros.network.simplify import simplify
from depth_pro_ros.network.vit import Block

_SUPPORT = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise")


class PackedLinear(nn.Module):
    """A linear layer, with a GELU behind it if wanted. It holds no parameters: only oneDNN can read its weights."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, gelu: bool = False):
        super().__init__()
        self.dtype, self._activation = dtype, ("gelu", "none") if gelu else ("none", "")  # "none": exact, by erf
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype))
        self._bias = linear.bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) → (..., out), both of the layer's dtype."""
        if x.dtype is not self.dtype:
            raise ConfigurationError(
                f"a layer packed for {self.dtype} got {x.dtype}: set the precision before packing, not after"
            )
        kind, variant = self._activation
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, kind, [], variant)


@torch.no_grad()
def pack(network: DepthPro) -> DepthPro:
    """Pack the ViTs of a network that computes in half precision on a CPU, in place; leave any other as it is.

    Simplifies it as well. Comes last, after `set_precision`: packed weights are no parameters, so they can neither
    change their dtype nor move. Layers are replaced one by one, so no second copy of the weights is needed.
    """
    device = network.encoder.patch_encoder.pos_embed.device
    if device.type == "cpu" and pays(network.compute_dtype):
        pack_blocks(simplify(network), network.compute_dtype)
    return network


def pack_blocks(module: nn.Module, dtype: torch.dtype) -> None:
    """Pack the linear layers of all transformer blocks in `module`, to compute in `dtype`."""
    for block in [part for part in module.modules() if isinstance(part, Block)]:
        attention, mlp = block.attn, block.mlp
        attention.qkv = PackedLinear(attention.qkv, dtype)
        attention.proj = PackedLinear(attention.proj, dtype)
        first, second = PackedLinear(mlp.fc1, dtype, gelu=True), PackedLinear(mlp.fc2, dtype)
        block.mlp = nn.Sequential(first, second)


@functools.cache
def pays(dtype: torch.dtype) -> bool:
    """Return whether packing for `dtype` is faster here: a half format in which this CPU computes, and rightly."""
    if dtype not in _SUPPORT or not torch.backends.mkldnn.is_available():
        return False
    names = (_SUPPORT[dtype], *_OPERATORS)
    if not all(hasattr(torch.ops.mkldnn, name) for name in names) or not getattr(torch.ops.mkldnn, names[0])():
        return False
    return works(dtype)


@torch.no_grad()
def works(dtype: torch.dtype) -> bool:
    """Return whether a small packed layer runs in `dtype` and agrees with a plain one in float32 to 5 %."""
    weight = torch.linspace(-1.0, 1.0, 64 * 32).view(64, 32)
    linear, x = nn.Linear(32, 64), torch.linspace(-1.0, 1.0, 7 * 32).view(7, 32)
    linear.weight.copy_(weight)
    try:
        found = PackedLinear(linear, dtype, gelu=True)(x.to(dtype)).float()
    except RuntimeError:  # operators that are not public may change
        return False
    wanted = F.gelu(linear(x))
    return bool((found - wanted).abs().max() <= 0.05 * wanted.abs().max())
