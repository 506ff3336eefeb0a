"""Shadows: a depth map seen from the main lamp, and what objects darken where they touch the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.camera import Views
from depth_pro_ros.scenes.casting import cast
from depth_pro_ros.scenes.layout import BALL, COLUMN, FACE, SKY, Spot
from depth_pro_ros.scenes.surfaces import Hits

CONTACT_CELLS = 64
_MAP_SIDE = 176
_LAMP_REACH = 2.6  # tangent of half the angle that a ceiling lamp's map spans
_SUN_REACH_M = 18.0
_NORMAL_BIAS_M = 0.03


@dataclass(frozen=True)
class LampView:
    """How a lamp sees what throws shadows; by `slack` (factor, metres) a shadow must be nearer than a point."""

    position: np.ndarray
    rotation: np.ndarray
    reach: float
    slack: tuple[float, float]


def downward(lamp: np.ndarray) -> LampView:
    """Return the view of a ceiling lamp at (3,)."""
    return LampView(lamp, np.diag((1.0, -1.0, -1.0)), _LAMP_REACH, (0.99, 0.03))


def sunward(sun: np.ndarray, focus: np.ndarray) -> LampView:
    """Return the view of the sun, far away at (3,), of what lies around `focus` (3,)."""
    forward = focus - sun
    distance = np.linalg.norm(forward)
    forward = forward / distance
    right = np.array([forward[1], -forward[0], 0.0]) / math.hypot(forward[0], forward[1])
    rotation = np.stack((right, np.cross(forward, right), forward), axis=1)
    return LampView(sun, rotation, _SUN_REACH_M / distance, (1.0, 0.15))


class ShadowMap:
    """Depth as seen from the main lamp of each world; only objects, not the room, throw shadows."""

    def __init__(self, table: np.ndarray, lamps: list[LampView], device: torch.device) -> None:
        """Cast from the lamps onto `table` (B, N, C)."""
        rotation, origin = np.stack([lamp.rotation for lamp in lamps]), np.stack([lamp.position for lamp in lamps])
        focal = 0.5 * _MAP_SIDE / np.array([lamp.reach for lamp in lamps])
        self._centre = 0.5 * (_MAP_SIDE - 1)
        centre = np.full(len(lamps), self._centre)
        views = Views(rotation, origin, focal, focal, centre, centre, _MAP_SIDE, _MAP_SIDE)
        self._depth, _ = cast(_throwers(table, origin), views, views.rays(device))
        slack = np.array([lamp.slack for lamp in lamps])
        numbers = np.concatenate((origin, rotation.reshape(-1, 9), focal[:, None], slack), axis=1)
        self._numbers = torch.as_tensor(numbers.astype(np.float32), device=device)

    def light(self, hits: Hits) -> Tensor:
        """Return the share of lamp light that reaches points (N), soft by percentage-closer filtering."""
        number = hits.per_point(self._numbers)
        offset = [hits.points[i] + _NORMAL_BIAS_M * hits.normals[i] - number[i] for i in range(3)]
        x, y, depth = (sum(offset[i] * number[3 + 3 * i + j] for i in range(3)) for j in range(3))
        covered = depth > 0.05
        depth = depth.clamp(min=0.05)
        u, v = number[12] * x / depth + self._centre, number[12] * y / depth + self._centre
        covered &= (u > 1) & (v > 1) & (u < _MAP_SIDE - 2) & (v < _MAP_SIDE - 2)
        u, v = u.clamp_(1, _MAP_SIDE - 3), v.clamp_(1, _MAP_SIDE - 3)
        i, j = u.to(torch.int64), v.to(torch.int64)
        a, b = u - i, v - j
        flat, at = self._depth.flatten(), (hits.world * _MAP_SIDE + j) * _MAP_SIDE + i
        limit = depth * number[13] - number[14]
        c = [(flat.index_select(0, at + k) > limit).to(torch.float32) for k in (0, 1, _MAP_SIDE, _MAP_SIDE + 1)]
        lit = (c[0] * (1 - a) + c[1] * a) * (1 - b) + (c[2] * (1 - a) + c[3] * a) * b
        return torch.where(covered, lit, 1.0)


def _throwers(table: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    """Return the solids (B, M, C) that are large enough to throw a shadow, cut off below the lamp."""
    half = np.sort(table[..., 3:6], axis=-1)
    bottom, top = table[..., 2] - table[..., 5], table[..., 2] + table[..., 5]
    limit = lamps[:, None, 2] - 0.35
    kind = table[..., COLUMN["kind"]]
    kept = (half[..., 1] > 0.03) & (half[..., 0] > 0.0125) & (bottom < limit) & ((top < limit) | (kind != BALL))
    kept &= (kind != FACE) & (kind != SKY) & (bottom > -1.0)
    chosen = kept.any(axis=0)
    table, top, bottom = table[:, chosen].copy(), np.minimum(top, limit)[:, chosen], bottom[:, chosen]
    table[..., 2] = np.where(kept[:, chosen], (top + bottom) / 2, -1e4)
    table[..., 5] = np.maximum((top - bottom) / 2, 1e-3)
    return table


def floor_contact(spots: list[Spot], size: tuple[float, ...]) -> Tensor:
    """Return how much light is left on a room's floor beside objects, (CONTACT_CELLS,) * 2 by x and y, in [0, 1]."""
    low = [spot for spot in spots if spot.bottom < 0.3]
    if not low:
        return torch.ones(CONTACT_CELLS, CONTACT_CELLS)
    rows = [(s.x, s.y, s.half_x, s.half_y, math.cos(s.yaw), math.sin(s.yaw)) for s in low]
    n = torch.tensor(rows).T[..., None, None]
    m = (torch.arange(CONTACT_CELLS) + 0.5) / CONTACT_CELLS
    dx, dy = (m * size[0])[:, None] - n[0], (m * size[1])[None, :] - n[1]
    u = ((n[4] * dx + n[5] * dy).abs() - n[2]).clamp_(min=0)
    v = ((n[4] * dy - n[5] * dx).abs() - n[3]).clamp_(min=0)
    return (1 - 0.5 * torch.exp((u * u + v * v) * (-1 / 0.15**2))).prod(0).clamp_(min=0.25)


def bilinear(grids: Tensor, world: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return grids (B, N, N) of worlds (K,) at (x, y) in [0, 1]."""
    n = grids.shape[-1]
    x, y = (x * n - 0.5).clamp(0, n - 1.001), (y * n - 0.5).clamp(0, n - 1.001)
    i, j = x.to(torch.int64), y.to(torch.int64)
    a, b = x - i, y - j
    at = (world * n + i) * n + j
    c = [grids.flatten().index_select(0, at + k) for k in (0, 1, n, n + 1)]
    return (c[0] * (1 - b) + c[1] * b) * (1 - a) + (c[2] * (1 - b) + c[3] * b) * a
