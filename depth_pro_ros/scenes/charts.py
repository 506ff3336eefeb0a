"""Coordinates on the surfaces of solids, for baking: which chart a point lies on and where.

Every solid has up to six charts, flat pieces of its surface. Coordinates (s, t) are in [-1, 1]: on a face of a box the
two other axes in order; on a ball or the side of a cone the angle and the height; on a cone's caps x and y. A box's
charts are -x, +x, -y, +y, -z, +z; a round solid's its side, lower and upper cap; a face's the one of its axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.layout import BALL, BOX, COLUMN, FACE
from depth_pro_ros.scenes.solids import Rays

CHARTS = 6
_OTHERS = ((1, 2), (0, 2), (0, 1))
_CAP = 0.9999
_ON_FLOOR_M = 1e-3
_C = COLUMN
Vector = tuple[Tensor, Tensor, Tensor]


def chart_sizes(table: np.ndarray, texel_m: float) -> np.ndarray:
    """Return (N * CHARTS, 2): how many texels every chart of the solids (N, C) has along s and t; 0 for no chart."""
    sizes = np.zeros((len(table), CHARTS, 2))
    for row, line in enumerate(table):
        half, kind = line[3:6], int(line[_C["kind"]])
        if kind == FACE:
            axis = row // 2
            sizes[row, 2 * axis] = [2 * half[other] for other in _OTHERS[axis]]
        elif kind == BOX:
            for chart in range(CHARTS):
                sizes[row, chart] = [2 * half[other] for other in _OTHERS[chart // 2]]
            if line[2] - half[2] < _ON_FLOOR_M:
                sizes[row, 4] = 0
        else:
            radius = half[0] if kind == BALL else max(half[:2])
            sizes[row, 0] = 2 * math.pi * radius, 2 * half[2]
            if kind != BALL:
                sizes[row, 1], sizes[row, 2] = 2 * half[0], 2 * half[1]
    return np.ceil(sizes.reshape(-1, 2) / texel_m).astype(np.int64)


def chart_points(table: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[int, Vector]]:
    """Yield (row, points) of every chart: the world coordinates (nt * ns,) of the texels' middles, s fastest."""
    for number in np.flatnonzero(sizes[:, 0]).tolist():
        row, chart = divmod(number, CHARTS)
        s, t = ((torch.arange(n) + 0.5) * (2 / n) - 1 for n in sizes[number].tolist())
        t, s = (part.reshape(-1) for part in torch.meshgrid(t, s, indexing="ij"))
        line = table[row].tolist()
        x, y, z = _flat(line, row, chart, s, t) if line[_C["kind"]] in (FACE, BOX) else _round(line, chart, s, t)
        c, sine = line[_C["cos"]], line[_C["sin"]]
        yield row, (c * x - sine * y + line[0], sine * x + c * y + line[1], z + line[2])


def _flat(line: list[float], row: int, chart: int, s: Tensor, t: Tensor) -> list[Tensor]:
    axis, positive = divmod(chart, 2)
    first, second = _OTHERS[axis]
    local = [torch.zeros_like(s)] * 3
    local[first], local[second] = s * line[3 + first], t * line[3 + second]
    if line[_C["kind"]] == BOX:
        local[axis] = torch.full_like(s, (2 * positive - 1) * line[3 + axis])
    return local


def _round(line: list[float], chart: int, s: Tensor, t: Tensor) -> list[Tensor]:
    low, high, half = line[3:6]
    if chart:
        radius = (low, high)[chart - 1]
        return [s * radius, t * radius, torch.full_like(s, (2 * chart - 3) * half)]
    if line[_C["kind"]] == BALL:
        radius = low * (1 - t * t).sqrt()
    else:
        radius = low + (high - low) * (t + 1) / 2
    return [radius * torch.cos(s * math.pi), radius * torch.sin(s * math.pi), t * half]


class ChartFinder:
    """Finds the charts that pixels see."""

    def __init__(self, table: np.ndarray) -> None:
        """Take the solids (N, C) of one room, sorted by kind as `Builder.table` sorts them."""
        kind = table[:, _C["kind"]]
        self._boxes, self._balls = int((kind == FACE).sum()), int(((kind == FACE) | (kind == BOX)).sum())
        self._cones = self._balls + int((kind == BALL).sum())
        self._numbers = torch.as_tensor(np.ascontiguousarray(table.T, np.float32))
        self._inverse = self._numbers[3:6].reciprocal()

    def find(self, rows: Tensor, depth: Tensor, rays: Rays, origin: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return the chart number and (s, t), each (N,), of pixels that see `rows` at `depth`."""
        x, y, z = self._local(rows, depth, rays, origin)
        ax, ay, az = x.abs(), y.abs(), z.abs()
        up = (az >= ax) & (az >= ay)
        axis = torch.where(up, 2, (ay > ax).to(torch.int64))
        axis = torch.where(rows < self._boxes, rows >> 1, axis)
        across, up = axis == 0, axis == 2
        s, t = torch.where(across, y, x), torch.where(up, y, z)
        facing = torch.where(across, x, torch.where(up, z, y))
        chart = rows * CHARTS + 2 * axis + (facing > 0.5)
        chosen = (rows >= self._balls).nonzero()[:, 0]
        if len(chosen):
            which = rows[chosen]
            part, s[chosen], t[chosen] = self._around(which, x[chosen], y[chosen], z[chosen])
            chart[chosen] = which * CHARTS + part
        return chart, s, t

    def _local(self, rows: Tensor, depth: Tensor, rays: Rays, origin: np.ndarray) -> Vector:
        """Return the points in the frames of their solids, over their half sizes."""
        o = origin.tolist()
        x, y, z = (
            (direction.reshape(-1) * depth).add_(o[i]).sub_(self._numbers[i].index_select(0, rows))
            for i, direction in enumerate((rays.x, rays.y, rays.z))
        )
        c, sine = (self._numbers[_C[name]].index_select(0, rows) for name in ("cos", "sin"))
        u, v = c * x + sine * y, c * y - sine * x
        return tuple(part.mul_(self._inverse[i].index_select(0, rows)) for i, part in enumerate((u, v, z)))

    def _around(self, rows: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Vector:
        """Return chart, s and t on round solids; a cone's x and y come over its base and its top radius."""
        low, high = (self._numbers[3 + i].index_select(0, rows) for i in range(2))
        x, y = x * low, y * high
        cap = (z.abs() > _CAP) & (rows >= self._cones)
        radius = torch.where(z > 0, high, low)
        s = torch.where(cap, x / radius, torch.atan2(y, x) * (1 / math.pi))
        return torch.where(cap, 1 + (z > 0).to(torch.int64), 0), s, torch.where(cap, y / radius, z)
