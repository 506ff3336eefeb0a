"""A room's surfaces, coloured and lit once and for all, so that an image of it is one look-up per pixel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.charts import ChartFinder, chart_points, chart_sizes
from depth_pro_ros.scenes.effects import curve, exposure
from depth_pro_ros.scenes.lighting import Light, shade
from depth_pro_ros.scenes.solids import Rays
from depth_pro_ros.scenes.surfaces import Hits, Solids

_LEVELS = 4
_CHUNK = 200_000
_BIAS = 0.4  # of the mip level, towards the coarser


class BakedRoom:
    """Displayed colours of every chart of one room at several mip levels, in one table of packed RGB."""

    def __init__(self, table: np.ndarray, light: Light, texel_m: float) -> None:
        """Colour and light the solids (1, N, C) in texels of this size."""
        self._texel_m = texel_m
        sizes = chart_sizes(table[0], texel_m)
        self._finder = ChartFinder(table[0])
        linear = _bake(table, sizes, light, texel_m)
        gain = exposure(linear)
        starts, packed, filled, at = np.zeros((_LEVELS, len(sizes)), np.int64), [], 0, 0
        for chart in np.flatnonzero(sizes[:, 0]).tolist():
            ns, nt = sizes[chart].tolist()
            full = linear[:, at : at + ns * nt].reshape(3, nt, ns)
            at += ns * nt
            for level in range(_LEVELS):
                size = (max(nt >> level, 1), max(ns >> level, 1))
                texels = torch.nn.functional.adaptive_avg_pool2d(full, size) if level else full
                packed.append(_pack(curve(texels.reshape(3, -1) * gain)))
                starts[level, chart] = filled
                filled += len(packed[-1])
        self._texels = torch.cat(packed)
        self._starts = torch.from_numpy(starts.reshape(-1))
        self._sizes = torch.from_numpy(np.ascontiguousarray(sizes.T))

    def look_up(self, ids: Tensor, depth: Tensor, rays: Rays, origin: np.ndarray, pixel: float) -> np.ndarray:
        """Return the image (H, W, 3) uint8 of rows `ids` (1, H, W) at `depth`; `pixel` is the tangent of one."""
        rows, depth = ids.reshape(-1).to(torch.int64), depth.reshape(-1)
        chart, s, t = self._finder.find(rows, depth, rays, origin)
        level = torch.log2((depth * (pixel / self._texel_m)).clamp_(min=1.0)).add_(_BIAS).to(torch.int64)
        level = level.clamp_(max=_LEVELS - 1)
        column, ns = self._texel(s, chart, level, 0)
        row, _ = self._texel(t, chart, level, 1)
        start = self._starts.index_select(0, level.mul_(self._sizes.shape[1]).add_(chart))
        texels = self._texels.index_select(0, row.mul_(ns).add_(column).add_(start))
        return np.ascontiguousarray(texels.numpy().view(np.uint8).reshape(*ids.shape[1:], 4)[..., :3])

    def _texel(self, at: Tensor, chart: Tensor, level: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Return the texel at -1 to 1 along a side of the charts, and how many there are."""
        count = torch.bitwise_right_shift(self._sizes[side].index_select(0, chart), level).clamp_(min=1)
        texel = ((at + 1) * count).mul_(0.5).to(torch.int64)
        return torch.minimum(texel, count - 1).clamp_(min=0), count


def _bake(table: np.ndarray, sizes: np.ndarray, light: Light, texel_m: float) -> Tensor:
    """Return the linear light (3, M) that every texel of the charts sends."""
    solids = Solids(table, torch.device("cpu"))
    done, rows, points, count = [], [], [], 0
    for row, place in chart_points(table[0], sizes):
        rows.append(torch.full((len(place[0]),), row))
        points.append(torch.stack(place))
        count += len(place[0])
        if count > _CHUNK:
            done.append(_shade(solids, torch.cat(rows), torch.cat(points, 1), light, texel_m))
            rows, points, count = [], [], 0
    if count:
        done.append(_shade(solids, torch.cat(rows), torch.cat(points, 1), light, texel_m))
    return torch.cat(done, 1)


def _shade(solids: Solids, rows: Tensor, points: Tensor, light: Light, texel_m: float) -> Tensor:
    order, runs = solids.sort(rows)
    hits = Hits(solids, rows[order], runs, order, points.index_select(1, order).unbind(0))
    surface = hits.surface(steps=[])
    surface.fu.fill_(texel_m)
    surface.fv.fill_(texel_m)
    return hits.unsorted(shade(hits, surface, light))


def _pack(display: Tensor) -> Tensor:
    """Return (N,) int32 whose first three bytes are the display values (3, N)."""
    channels = torch.zeros(display.shape[1], 4, dtype=torch.uint8)
    channels[:, :3] = (display.T * 255).add_(0.5).clamp_(0, 255)
    return channels.view(torch.int32)[:, 0]
