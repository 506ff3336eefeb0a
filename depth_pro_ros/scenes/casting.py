"""Which solid every pixel sees: of one world each solid within its screen rectangle, of several all at once (GPU)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes import solids
from depth_pro_ros.scenes.camera import Views
from depth_pro_ros.scenes.layout import BALL, BOX, COLUMN, COLUMNS, CONE, CYLINDER, FACE, SKY
from depth_pro_ros.scenes.solids import Rays

_KIND = COLUMN["kind"]
_NOWHERE_M = -1e4
_CORNERS = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])


def pad_tables(tables: list[np.ndarray]) -> np.ndarray:
    """Return (B, N, C): every kind's rows padded to the batch's most, with solids nobody sees."""
    blank = np.zeros(len(COLUMNS))
    blank[3:6], blank[2], blank[COLUMN["cos"]] = 1e-3, _NOWHERE_M, 1.0
    parts = []
    for kind in (SKY, FACE, BOX, BALL, CYLINDER, CONE):
        group = [table[table[:, _KIND] == kind] for table in tables]
        blank[_KIND] = kind
        most = max(len(rows) for rows in group)
        parts.append(np.stack([np.vstack([rows, np.tile(blank, (most - len(rows), 1))]) for rows in group]))
    return np.concatenate(parts, axis=1)


def cast(table: np.ndarray, views: Views, rays: Rays) -> tuple[Tensor, Tensor]:
    """Return (depth, row of the table), each (B, H, W), of the first hit of every ray; inf and 0 where none.

    `table` is (B, N, C), the rows of one kind in the same places for all B.
    """
    if table.shape[1] and table[0, 0, _KIND] == FACE:
        depth, ids = _faces(table, views, rays)
    else:
        depth = torch.full_like(rays.x, torch.inf)
        ids = torch.zeros(rays.x.shape, dtype=torch.int32, device=rays.x.device)
    if len(table) == 1:
        _cast_windows(table[0], views, rays, depth, ids)
    else:
        _cast_batch(table, views, rays, depth, ids)
    return depth, ids


def _faces(table: np.ndarray, views: Views, rays: Rays) -> tuple[Tensor, Tensor]:
    """Return where rays leave the room from its corner at the origin, through which of its faces, rows 0 to 5."""
    depth = ids = None
    for axis, direction in enumerate((rays.x, rays.y, rays.z)):
        ends = np.stack((2 * table[:, 0, COLUMN["hx"] + axis] - views.origin[:, axis], views.origin[:, axis]))
        ahead, behind = torch.as_tensor(ends.astype(np.float32), device=direction.device)[..., None, None]
        positive = direction > 0
        t = torch.where(positive, ahead, behind) / (direction.abs() + solids.TINY)
        face = positive.to(torch.int32) + 2 * axis
        if depth is None:
            depth, ids = t, face
        else:
            ids = torch.where(t < depth, face, ids)
            depth = torch.minimum(depth, t)
    return depth, ids


def _hit(kind: int, rays: Rays, o: solids.Triple, half: solids.Triple, c: solids.Number, s: solids.Number) -> Tensor:
    if kind == BOX:
        return solids.box(rays, o, half, c, s)
    if kind == BALL:
        return solids.ball(rays, o, half[0])
    return solids.cone(rays, o, half[0], half[1], half[2], kind == CONE)


def _cast_windows(table: np.ndarray, views: Views, rays: Rays, depth: Tensor, ids: Tensor) -> None:
    spans = windows(table, views)
    offsets, lines = (views.origin[0] - table[:, :3]).tolist(), table.tolist()
    seen = (spans[:, 1] > spans[:, 0]) & (spans[:, 3] > spans[:, 2]) & ~np.isin(table[:, _KIND], (FACE, SKY))
    spans = spans.tolist()
    for index in np.flatnonzero(seen).tolist():
        line, span = lines[index], spans[index]
        rows, columns = slice(span[0], span[1]), slice(span[2], span[3])
        t = _hit(int(line[_KIND]), rays.window(rows, columns), offsets[index], tuple(line[3:6]), line[6], line[7])
        old = depth[:, rows, columns]
        nearer = t < old
        torch.minimum(old, t, out=old)
        ids[:, rows, columns].masked_fill_(nearer, index)


def _cast_batch(table: np.ndarray, views: Views, rays: Rays, depth: Tensor, ids: Tensor) -> None:
    numbers = table.copy()
    numbers[:, :, :3] = views.origin[:, None] - table[:, :, :3]
    numbers = torch.as_tensor(numbers.astype(np.float32), device=rays.x.device).permute(1, 2, 0)[..., None, None]
    for index, kind in enumerate(table[0, :, _KIND].astype(int).tolist()):
        if kind in (FACE, SKY):
            continue
        n = numbers[index].contiguous()
        t = _hit(kind, rays, (n[0], n[1], n[2]), (n[3], n[4], n[5]), n[6], n[7])
        nearer = t < depth
        torch.minimum(depth, t, out=depth)
        ids.masked_fill_(nearer, index)


def windows(table: np.ndarray, views: Views) -> np.ndarray:
    """Return (N, 4): first and past-the-last row and column outside which the solids of one world cannot be seen."""
    half = table[:, 3:6].copy()
    round_ = np.isin(table[:, _KIND], (CYLINDER, CONE))
    half[round_, :2] = half[round_, :2].max(axis=1, keepdims=True)
    local = half[:, None] * _CORNERS
    c, s = table[:, None, COLUMN["cos"]], table[:, None, COLUMN["sin"]]
    turned = (c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1], local[..., 2])
    corners = np.stack(turned, -1)
    x, y, z = np.moveaxis((corners + table[:, None, :3] - views.origin[0]) @ views.rotation[0], -1, 0)
    rows = _span(y, z, views.fy[0], views.cy[0], views.height)
    columns = _span(x, z, views.fx[0], views.cx[0], views.width)
    rows[z.max(1) < solids.NEAR_M] = 0
    return np.concatenate((rows, columns), axis=1)


def _span(across: np.ndarray, z: np.ndarray, focal: float, centre: float, size: int) -> np.ndarray:
    """Return first and past-the-last pixel (N, 2) that the corners (N, 8) of boxes span; all where one is behind."""
    low, high = (-0.5 - centre) / focal, (size - 0.5 - centre) / focal
    outside = (across < low * z).all(1) | (across > high * z).all(1)
    ahead = z.min(1) > solids.NEAR_M
    at = focal * across / np.where(ahead[:, None], z, 1.0) + centre
    span = np.stack((np.floor(at.min(1)), np.ceil(at.max(1)) + 1), 1)
    span[~ahead] = 0, size
    span[outside] = 0
    return np.clip(span, 0, size).astype(int)
