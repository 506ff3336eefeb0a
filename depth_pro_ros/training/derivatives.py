"""Errors of spatial derivatives over several scales, with masks (Depth Pro, arXiv:2410.02073, section 3.2).

    L(C, C') = 1/M sum_j 1/N_j sum_i |D C_i^j - D C'_i^j|^p

Derivative D, blur and halving are linear, and both maps have the same mask, so all of it is computed once, on C - C'.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Operator = Callable[[Tensor], Tensor]

SCALES = 6  # M in the paper
SMALLEST_SIDE = 3  # a derivative's stencil is 3 x 3
COVERAGE = 0.5  # share of the blur's weight that must lie on valid pixels


def scharr(values: Tensor) -> Tensor:
    """Return the derivatives along x and y of (B, 1, H, W), as (B, 2, H - 2, W - 2); a ramp of one a pixel gives 1."""
    x = values[..., 2:] - values[..., :-2]
    y = values[..., 2:, :] - values[..., :-2, :]
    x = (x[..., :-2, :] + x[..., 2:, :]) * (3 / 32) + x[..., 1:-1, :] * (10 / 32)
    y = (y[..., :-2] + y[..., 2:]) * (3 / 32) + y[..., 1:-1] * (10 / 32)
    return torch.cat([x, y], dim=1)


def laplace(values: Tensor) -> Tensor:
    """Return the five-point Laplacian of (B, 1, H, W), as (B, 1, H - 2, W - 2); a parabola x^2 gives 2."""
    inner = values[..., 1:-1, :]
    return inner[..., :-2] + inner[..., 2:] + values[..., :-2, 1:-1] + values[..., 2:, 1:-1] - 4 * inner[..., 1:-1]


def derivative_error(difference: Tensor, mask: Tensor, operator: Operator, power: int, scales: int = SCALES) -> Tensor:
    """Return the mean over the images of sum(|derivative of difference|^power), a scalar.

    `difference` (B, 1, H, W) float32 or float64 is 0 wherever `mask` (B, 1, H, W) bool is False. `operator` is `scharr`
    (the powers of its two directions are added) or `laplace`; derivatives are per pixel of their own scale. The
    first scale is the full size, each further one is blurred and halved; they end early, before a side is shorter
    than 3 pixels. An image's value is the mean over its scales, each the mean over the pixels whose whole 3 x 3
    window is valid. Scales and images without such a pixel do not count.
    """
    total = difference.sum(dim=(1, 2, 3)) * 0  # keeps the graph when nothing counts
    counted = torch.zeros_like(total)
    for scale in range(scales):
        if scale:
            difference, mask = halve(difference, mask)
        if min(difference.shape[-2:]) < SMALLEST_SIDE:
            break
        value, has_any = _one_scale(difference, mask, operator, power)
        total = total + value
        counted = counted + has_any
    present = (counted > 0).sum().clamp(min=1)
    return (total / counted.clamp(min=1)).sum() / present


def halve(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Blur and halve `values` (B, 1, H, W), 0 where `mask` is False, by normalised convolution.

    Return (values, mask) of (B, 1, H // 2, W // 2): the weighted mean of the valid pixels under the 4 x 4 binomial
    kernel, valid where at least half of the kernel's weight lies on them (beyond the border nothing is valid). The
    kernel is even: pixel i lies between 2i and 2i + 1, where a halved image has it. The paper does not give its blur.
    """
    weight = _blur(mask.to(values.dtype))
    smaller = weight >= COVERAGE
    return torch.where(smaller, _blur(values) / torch.where(smaller, weight, 1), 0), smaller


def _one_scale(difference: Tensor, mask: Tensor, operator: Operator, power: int) -> tuple[Tensor, Tensor]:
    """Return each image's mean, (B,), and whether it has any pixel that counts, (B,) bool."""
    inside = whole_window(mask)
    derivative = torch.where(inside, operator(difference), 0)
    size = derivative.abs() if power == 1 else derivative.pow(power)
    count = inside.sum(dim=(1, 2, 3))
    return size.sum(dim=(1, 2, 3)) / count.clamp(min=1), count > 0


def whole_window(mask: Tensor) -> Tensor:
    """Return (..., H - 2, W - 2) bool: where all of the 3 x 3 window of `mask` (..., H, W) bool is True."""
    rows = mask[..., :-2, :] & mask[..., 1:-1, :] & mask[..., 2:, :]
    return rows[..., :-2] & rows[..., 1:-1] & rows[..., 2:]


def _blur(values: Tensor) -> Tensor:
    """Return (B, 1, H // 2, W // 2): binomial 1 3 3 1 along both axes at every second pixel, 0 beyond the border."""
    padded = functional.pad(values, (1, 1, 1, 1))
    rows, columns = 2 * (values.shape[-2] // 2), 2 * (values.shape[-1] // 2)
    top, upper, lower, bottom = (padded[..., i : i + rows : 2, :] for i in range(4))
    down = (top + bottom) * (1 / 8) + (upper + lower) * (3 / 8)
    left, near, far, right = (down[..., i : i + columns : 2] for i in range(4))
    return (left + right) * (1 / 8) + (near + far) * (3 / 8)
