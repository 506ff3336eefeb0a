"""Antialiased building blocks of textures: box-filtered stripes, cell hashes and mip-mapped noise."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

_SIDE = 512
_LEVELS = 6
_TEXEL_M = 0.004


def stripes(x: Tensor, period: float, width: float, footprint: Tensor) -> Tensor:
    """Return the share of [x - footprint/2, x + footprint/2] that lies within stripes [0, width) of every period."""
    w = footprint.clamp(min=1e-4)

    def integral(x: Tensor) -> Tensor:
        n = torch.floor(x / period)
        return n * width + (x - n * period).clamp_(max=width)

    return (integral(x + 0.5 * w) - integral(x - 0.5 * w)) / w


def step(x: Tensor, footprint: Tensor) -> Tensor:
    """Return the share of the footprint about x that is positive."""
    return (x / footprint.clamp(min=1e-4) + 0.5).clamp_(0, 1)


def band(x: Tensor, half: float | Tensor, footprint: Tensor) -> Tensor:
    """Return the share of the footprint about x within [-half, half]."""
    return step(half - x.abs(), footprint)


def cell_hash(i: Tensor, j: Tensor, phase: Tensor) -> Tensor:
    """Return a value in [-1, 1] for every integer cell (i, j), other for other phases."""
    n = (i.to(torch.int32) * 73856093) ^ (j.to(torch.int32) * 19349663) ^ (phase * 8191).to(torch.int32)
    n = (n ^ (n >> 13)) * 1274126177
    return ((n >> 8) & 0xFFFF).to(torch.float32) * (2 / 65535) - 1


def fade(footprint: Tensor, period: float) -> Tensor:
    """Return how much of a pattern of this period remains visible: 1 near, 0 where a pixel covers the period."""
    return (1.2 - footprint * (1.2 / period)).clamp_(0, 1)


@cache
def _noise_table(device: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(20240611)
    total = torch.zeros(1, 1, _SIDE, _SIDE)
    for cells, weight in ((8, 0.5), (32, 0.7), (128, 0.8), (512, 0.9)):
        grid = torch.rand(1, 1, cells, cells, generator=generator) * 2 - 1
        grid = torch.nn.functional.pad(grid, (2, 2, 2, 2), mode="circular")
        fine = torch.nn.functional.interpolate(grid, scale_factor=_SIDE // cells, mode="bicubic", align_corners=False)
        cut = 2 * _SIDE // cells
        total += weight * (fine[..., cut:-cut, cut:-cut])
    level = total / total.std() * 0.5
    starts, tables, filled = [], [], 0
    for _ in range(_LEVELS):
        starts.append(filled)
        tables.append(level.flatten())
        filled += level.numel()
        level = torch.nn.functional.avg_pool2d(level, 2)
    return torch.cat(tables).to(device), torch.tensor(starts, device=device)


def noise(u: Tensor, v: Tensor, footprint: Tensor, scale: float = 1.0) -> Tensor:
    """Return noise of mean 0 and deviation 0.5 at (u, v) metres; features from 4 mm to 0.25 m, times `scale`."""
    table, starts = _noise_table(str(u.device))
    texel = _TEXEL_M * scale
    mip = _mip(footprint, texel)
    side = torch.bitwise_right_shift(torch.full_like(mip, _SIDE), mip)
    per_m = side * (1 / (_SIDE * texel))
    row = torch.floor(v * per_m).to(torch.int64) & (side - 1)
    column = torch.floor(u * per_m).to(torch.int64) & (side - 1)
    return table.index_select(0, starts.index_select(0, mip).add_(row.mul_(side)).add_(column))


def smooth_noise(u: Tensor, v: Tensor, footprint: Tensor, scale: float) -> Tensor:
    """Return `noise` interpolated, for scales whose texels would show."""
    table, starts = _noise_table(str(u.device))
    texel = _TEXEL_M * scale
    mip = _mip(footprint, texel)
    side = torch.bitwise_right_shift(torch.full_like(mip, _SIDE), mip)
    per_m = side * (1 / (_SIDE * texel))
    start = starts.index_select(0, mip)
    x, y = u * per_m - 0.5, v * per_m - 0.5
    column, row = torch.floor(x), torch.floor(y)
    a, b = x - column, y - row
    column, row = column.to(torch.int64), row.to(torch.int64)
    mask = side - 1
    rows = [start + ((row + k) & mask) * side for k in (0, 1)]
    columns = [(column + k) & mask for k in (0, 1)]
    c = [[table.index_select(0, r + k) for k in columns] for r in rows]
    return torch.lerp(torch.lerp(c[0][0], c[0][1], a), torch.lerp(c[1][0], c[1][1], a), b)


def _mip(footprint: Tensor, texel: float) -> Tensor:
    return torch.log2((footprint * (1 / texel)).clamp_(min=1.0)).add_(0.3).to(torch.int64).clamp_(max=_LEVELS - 1)
