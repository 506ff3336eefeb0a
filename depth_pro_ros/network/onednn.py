"""Layers for a CPU that call oneDNN's fused operators: weights in its own order, additions and activations inside.

PyTorch's plain layers put the weights into the order of oneDNN's kernels at every call, and pass over memory once more
for each activation, addition and conversion. The operators here are those that torch.compile uses for frozen weights;
they are not public, so `packing` tries them before it trusts them. Results are the same but for rounding, of which
there is less: sums with the trunk are rounded once.
"""

from __future__ import annotations

import functools
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network.decoder import Fusion, ResidualUnit
from depth_pro_ros.network.layers import Conv2d
from depth_pro_ros.network.simplify import Sum
from depth_pro_ros.network.vit import Block

SCORES_BYTES = 3 << 20  # attention scores that a thread makes, turns into weights and uses while a cache holds them
ROWS, LONG = 4, 256  # of LONG tokens or more, queries are filled up to a multiple of ROWS


class PackedLinear(nn.Module):
    """A linear layer, with a GELU behind it if wanted. It holds no parameters: only oneDNN can read its weights."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, gelu: bool = False, factors: Tensor | None = None):
        """`factors` (out,) multiply what the layer gives, before the GELU."""
        super().__init__()
        self.dtype, self._activation = dtype, ("gelu", "none") if gelu else ("none", "")  # "none": exact, by erf
        weight, bias = linear.weight.detach(), linear.bias.detach()
        if factors is not None:
            weight, bias = weight * factors.to(weight.dtype)[:, None], bias * factors.to(bias.dtype)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype))
        self._bias = bias.to(dtype)

    def forward(self, x: Tensor, trunk: Tensor | None = None) -> Tensor:
        """(..., in) → (..., out), both of the layer's dtype; added to `trunk` (..., out), which stays as it is."""
        if x.dtype is not self.dtype:
            raise ConfigurationError(
                f"a layer packed for {self.dtype} got {x.dtype}: set the precision before packing, not after"
            )
        if trunk is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, trunk, self._weight, self._bias, "add")
        kind, variant = self._activation
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, kind, [], variant)


class FusedBlock(nn.Module):
    """A transformer block whose linear layers are packed; called as Block is."""

    def __init__(self, block: Block, dtype: torch.dtype):
        super().__init__()
        attention, mlp = block.attn, block.mlp
        dim, self.heads = attention.proj.in_features, attention.heads
        scale = torch.ones(3 * dim)
        scale[:dim] = (dim // self.heads) ** -0.5  # of queries times keys; a power of two for 16, 64 or 256 a head
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv, self.proj = PackedLinear(attention.qkv, dtype, factors=scale), PackedLinear(attention.proj, dtype)
        self.fc1, self.fc2 = PackedLinear(mlp.fc1, dtype, gelu=True), PackedLinear(mlp.fc2, dtype)
        self.ls1, self.ls2 = (None if isinstance(ls, Sum) else ls for ls in (block.ls1, block.ls2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        return self._rest(x, attend(self.qkv(self.norm1(x)), self.heads))

    def some(self, x: Tensor, rows: Tensor) -> Tensor:
        """(N, T, C) → the same at `rows` (M,) of the N * T tokens: (M, C); all are attended to."""
        mixed = attend(self.qkv(self.norm1(x)), self.heads)
        return self._rest(x.flatten(0, 1)[rows], mixed.flatten(0, 1)[rows])

    def _rest(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Do all that follows the attention: trunk and attended values (..., C) → (..., C)."""
        x = self.proj(mixed, x) if self.ls1 is None else self.ls1(x, self.proj(mixed))
        hidden = self.fc1(self.norm2(x))
        return self.fc2(hidden, x) if self.ls2 is None else self.ls2(x, self.fc2(hidden))


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Queries, keys and values (N, T, 3 * C), the queries scaled → what each token attends to (N, T, C).

    In half precision PyTorch's fused kernel computes on a CPU without matrix tiles at the rate of float32. Plain
    products run at twice that rate, if the scores of a few heads at a time stay in the cache. With tiles (AMX, of which
    this one has those of bfloat16) the fused kernel is the fastest.
    """
    n, t, c = qkv.shape
    split = qkv.view(n, t, 3, heads, c // (3 * heads)).permute(2, 0, 3, 1, 4)  # (3, N, heads, T, C / heads)
    if qkv.dtype is torch.float32 or (qkv.dtype is torch.bfloat16 and has_tiles()):
        mixed = F.scaled_dot_product_attention(*split.unbind(0), scale=1.0)
    else:
        mixed = _attend_by_products(split)
    return mixed.transpose(1, 2).reshape(n, t, c // 3)


@functools.cache
def has_tiles() -> bool:
    """Return whether this CPU multiplies matrices in tiles of bfloat16, as PyTorch tells; an older one does not."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def _attend_by_products(split: Tensor) -> Tensor:
    """Attend a few heads at a time: queries, keys and values (3, N, H, T, D) → (N, H, T, D).

    A patch of the published network has 577 tokens, a prime that no block of a product divides, and an odd number of
    heads leaves one of two threads idle: rows that nobody reads, and groups that all threads share, cost less.
    """
    _, n, heads, length, dim = split.shape
    count, rows = n * heads, length + (-length % ROWS if length >= LONG else 0)
    if rows == length:
        queries, keys, values = split.flatten(1, 2)
    else:
        keys, values = split[1:].flatten(1, 2)
        queries = split.new_zeros(n, heads, rows, dim)
        queries[:, :, :length] = split[0]
        queries = queries.flatten(0, 1)
    each = max(1, SCORES_BYTES // (rows * length * split.element_size()))
    group = min(count, each * torch.get_num_threads())
    mixed, room = torch.empty_like(queries), split.new_empty(group, rows, length)
    for start in range(0, count, group):
        part = slice(start, min(start + group, count))
        scores = room[: part.stop - start]
        torch.bmm(queries[part], keys[part].transpose(1, 2), out=scores)
        torch.softmax(scores, dim=-1, out=scores)
        torch.bmm(scores, values[part], out=mixed[part])
    return mixed.view(n, heads, rows, dim)[:, :, :length]


class FusedUnit(nn.Module):
    """A decoder's residual unit whose second ReLU and sum belong to the convolutions before them."""

    def __init__(self, unit: ResidualUnit):
        super().__init__()
        self.first, self.second = cast(Conv2d, unit.residual[1]), cast(Conv2d, unit.residual[3])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return torch.ops.mkldnn._convolution_pointwise.binary(
            self._hidden(F.relu(x)), x, *_convolution(self.second, x), "add", 1.0, None, [], None
        )

    def add_to(self, total: Tensor, rectified: Tensor) -> Tensor:
        """Add to `total`, in place, what the unit would add to the input whose ReLU is given, and return it."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            total, self._hidden(rectified), *_convolution(self.second, total), "add", 1.0, None, [], None
        )

    def _hidden(self, rectified: Tensor) -> Tensor:
        layer = _convolution(self.first, rectified)
        return torch.ops.mkldnn._convolution_pointwise(rectified, *layer, "relu", [], "")


class FusedFusion(Fusion):
    """A fusion whose units are fused; it refines in place, since memory that was not touched before is slow."""

    def __init__(self, fusion: Fusion):
        nn.Module.__init__(self)
        self.resnet1, self.resnet2 = FusedUnit(fusion.resnet1), FusedUnit(fusion.resnet2)
        self.deconv, self.out_conv = fusion.deconv, fusion.out_conv

    def refine(self, below: Tensor, lateral: Tensor) -> Tensor:
        """(B, C, H, W) twice → their refined sum, in `lateral`."""
        total = self.resnet1.add_to(lateral, F.relu(lateral)).add_(below)
        return self.resnet2.add_to(total, F.relu(total))


def _convolution(layer: Conv2d, x: Tensor) -> tuple[object, ...]:
    """Return what the operators want to know of a 3x3 convolution: weight, bias, padding, stride, dilation, groups."""
    bias = cast(Tensor, layer.bias)
    return layer.weight.to(x.dtype), bias.to(x.dtype), layer.padding, layer.stride, layer.dilation, layer.groups
