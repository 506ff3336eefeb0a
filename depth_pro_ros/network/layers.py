"""PyTorch's layers, computing in their input's dtype whatever dtype their weights are stored in.

This one rule gives weights kept in half precision on processors that compute only in float32, and a
float32 field-of-view head behind half-precision encoders, without a special case anywhere else.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def _as(parameter: Tensor | None, like: Tensor) -> Tensor | None:
    return None if parameter is None else parameter.to(like.dtype)


class Linear(nn.Linear):
    """nn.Linear in the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) → (..., out)."""
        return F.linear(x, self.weight.to(x.dtype), _as(self.bias, x))


class LayerNorm(nn.LayerNorm):
    """nn.LayerNorm in the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) → (..., C)."""
        return F.layer_norm(x, self.normalized_shape, _as(self.weight, x), _as(self.bias, x), self.eps)


class Conv2d(nn.Conv2d):
    """nn.Conv2d in the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, out, H', W')."""
        return self._conv_forward(x, self.weight.to(x.dtype), _as(self.bias, x))


class Upsample2x(nn.ConvTranspose2d):
    """The 2x2 transposed convolution of stride 2: each pixel becomes its own 2x2 block."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False):
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, in, H, W) → (B, out, 2H, 2W)."""
        return F.conv_transpose2d(x, self.weight.to(x.dtype), _as(self.bias, x), stride=2)


def conv1x1(in_channels: int, out_channels: int, bias: bool = False) -> Conv2d:
    """Return a projection of channels."""
    return Conv2d(in_channels, out_channels, kernel_size=1, bias=bias)


def conv3x3(in_channels: int, out_channels: int, bias: bool = True, stride: int = 1) -> Conv2d:
    """Return a 3x3 convolution that keeps the size (or halves it with stride 2)."""
    return Conv2d(in_channels, out_channels, kernel_size=3, padding=1, stride=stride, bias=bias)


def shrink(x: Tensor, factor: float) -> Tensor:
    """Return `x` (B, C, H, W) shrunk by `factor`, bilinear without antialiasing, as the original does."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
