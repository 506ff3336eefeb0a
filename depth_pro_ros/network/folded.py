"""Layers that stand for a chain of linear layers; `simplify` makes them.

A 3x3 convolution of an image that was just doubled sees each pixel up to three times. As 2x2 convolutions of the
image before, one for each place in a doubled pixel (a phase), it needs 4/9 of the multiplications (Shi et al.,
arXiv:1609.05158, run backwards), and the doubled features are never written down. All four phases are one
convolution here, whose windows they take one pixel apart.

A convolution's zero padding lies behind the biases that are folded through it: on the outermost ring of the image
the part of the bias that would have come from outside is taken off again.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.network.layers import Conv2d, Upsample2x

STRIP_BYTES = 4 << 20  # on a CPU the head's widest features are made in strips of this size, which a cache can hold
PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))  # (row, column) of a pixel within its doubled pixel


def phase_kernels(doubling: Tensor, convolution: Tensor) -> Tensor:
    """Doubling (in, mid, 2, 2) then 3x3 convolution (out, mid, 3, 3) → kernels (4, out, in, 2, 2) by PHASES.

    Row 2y + p of the doubled image, p = 0 or 1, is reached by the convolution's rows 2y + p - 1 to 2y + p + 1, which
    lie in the rows y + p - 1 and y + p of the image before: two, whatever p. The same holds for columns.
    """
    kernels = doubling.new_zeros(4, convolution.shape[0], doubling.shape[0], 2, 2)
    for kernel, (p, q) in zip(kernels, PHASES, strict=True):
        for ky in range(3):
            for kx in range(3):
                y, x = p + ky - 1, q + kx - 1  # within the doubled image, relative to row 2y and column 2x
                part = torch.einsum("im,om->oi", doubling[:, :, y % 2, x % 2], convolution[:, :, ky, kx])
                kernel[:, :, y // 2 - p + 1, x // 2 - q + 1] += part
    return kernels


def interleave(windows: Tensor) -> Tensor:
    """Windows of all phases (B, 4 * C, H + 1, W + 1) → the doubled image (B, C, 2H, 2W), channels last."""
    batch, channels, height, width = windows.shape
    shape = (batch, channels // 4, 2 * (height - 1), 2 * (width - 1))
    out = torch.empty(shape, dtype=windows.dtype, device=windows.device, memory_format=torch.channels_last)
    for phase, (p, q) in zip(windows.chunk(4, dim=1), PHASES, strict=True):
        out[:, :, p::2, q::2] = phase[:, :, p : p + height - 1, q : q + width - 1]
    return out


def constant(weight: Tensor, like: Tensor) -> nn.Parameter:
    """Return a parameter without gradient, laid out channels-last, in the dtype of `like`."""
    layout = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
    return nn.Parameter(weight.to(like.dtype).contiguous(memory_format=layout), requires_grad=False)


def exact(layer: Conv2d | Upsample2x) -> tuple[Tensor, Tensor]:
    """Return a layer's weight and bias (zeros where it has none) in at least float32, in which folds are computed."""
    weight = layer.weight.detach()
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    bias = weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias.detach().to(weight.dtype)
    return weight, bias


class BorderedConv(nn.Module):
    """A convolution padded by 1, through which a bias was folded: `taps` (out, 3, 3) is what it adds tap by tap."""

    def __init__(self, weight: Tensor, bias: Tensor, taps: Tensor, like: Tensor):
        super().__init__()
        self.weight, self.bias = constant(weight, like), constant(bias + taps.sum((1, 2)), like)
        sides = (taps[:, 0].sum(1), taps[:, 2].sum(1), taps[:, :, 0].sum(1), taps[:, :, 2].sum(1))
        self.sides = constant(torch.stack(sides), like)  # outside at the top, bottom, left, right: (4, out)
        self.corners = constant(taps[:, ::2, ::2].flatten(1).T, like)  # in the order of PHASES: (4, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, out, H, W) for a 3x3 kernel, (B, out, H + 1, W + 1) for 2x2."""
        return self.rows(x, 0, x.shape[2] + 3 - self.weight.shape[2])

    def rows(self, x: Tensor, start: int, end: int) -> Tensor:
        """Return the rows from `start` to before `end` of what `forward` gives."""
        size, height = self.weight.shape[2], x.shape[2]
        first, last = start == 0, end == height + 3 - size
        piece = x[:, :, max(start - 1, 0) : end + size - 2]
        if first != last:  # the convolution can pad both ends or none
            piece = F.pad(piece, (0, 0, int(first), int(last)))
        y = F.conv2d(piece, self.weight.to(x.dtype), self.bias.to(x.dtype), padding=(int(first and last), 1))
        sides, corners = self.sides.to(x.dtype), self.corners.to(x.dtype)
        y[:, :, :, 0] -= sides[2, :, None]
        y[:, :, :, -1] -= sides[3, :, None]
        for at_border, row in ((first, 0), (last, 1)):
            if at_border:
                y[:, :, -row] -= sides[row, :, None]
                y[:, :, -row, 0] += corners[2 * row]  # they were taken off twice
                y[:, :, -row, -1] += corners[2 * row + 1]
        return y


class PhaseConv(BorderedConv):
    """A doubling and the 3x3 convolution after it, each (weight, bias), in one: the windows of all phases.

    A phase in the upper row has a tap outside at the top only, one in the lower row at the bottom only. What is
    wrongly taken off at the other border lies in the row and column of windows that `interleave` leaves out.
    """

    def __init__(self, doubling: tuple[Tensor, Tensor], convolution: tuple[Tensor, Tensor], like: Tensor):
        taps = torch.einsum("omyx,m->oyx", convolution[0], doubling[1])
        kernels = phase_kernels(doubling[0], convolution[0]).flatten(0, 1)
        super().__init__(kernels, convolution[1].repeat(4), taps.repeat(4, 1, 1), like)


class DoubledConv(PhaseConv):
    """A doubling and the 3x3 convolution after it."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, out, 2H, 2W)."""
        return interleave(super().forward(x))


class FoldedHead(nn.Module):
    """The head, its doubling folded into its second convolution; the `projection` before it into its first."""

    def __init__(self, head: nn.Sequential, projection: Conv2d | None = None):
        super().__init__()
        first, doubling, second, last = (cast(Conv2d, head[number]) for number in (0, 1, 2, 4))
        self.first: nn.Module = first if projection is None else _projected(projection, first)
        self.phases = PhaseConv(exact(doubling), exact(second), first.weight)
        weight, bias = exact(last)
        self.last = constant(weight.repeat(4, 1, 1, 1), last.weight)
        self.last_bias = constant(bias.repeat(4), last.weight)

    def forward(self, features: Tensor, raw: bool = False) -> Tensor:
        """(B, C, H, W) → (B, 1, 2H, 2W); `raw` leaves out the last ReLU."""
        x = self.first(features)
        windows = x.shape[2] + 1
        row_bytes = x.element_size() * len(x) * (x.shape[3] + 1) * len(self.phases.weight)
        height = max(1, STRIP_BYTES // row_bytes) if x.device.type == "cpu" else windows
        strips = [self._strip(x, top, min(top + height, windows)) for top in range(0, windows, height)]
        out = interleave(torch.cat(strips, dim=2))
        return out if raw else F.relu_(out)

    def _strip(self, x: Tensor, start: int, end: int) -> Tensor:
        """Return some rows of windows of the output, (B, 4, end - start, W + 1)."""
        hidden = F.relu_(self.phases.rows(x, start, end))
        return F.conv2d(hidden, self.last.to(x.dtype), self.last_bias.to(x.dtype), groups=4)


def _projected(projection: Conv2d, convolution: Conv2d) -> BorderedConv:
    """Fold a 1x1 convolution into the 3x3 convolution after it."""
    (inner, inner_bias), (weight, bias) = exact(projection), exact(convolution)
    kernels = torch.einsum("omyx,mi->oiyx", weight, inner[:, :, 0, 0])
    return BorderedConv(kernels, bias, torch.einsum("omyx,m->oyx", weight, inner_bias), convolution.weight)
