"""Procedural metric textures and the mip-mapped atlas that looks them up."""

from __future__ import annotations

import numpy as np

TEXELS = 512
TILE_M = 1.6
NAMES = ("plaster", "brick", "tile", "wood", "ceiling", "cardboard", "stripes", "door", "picture")

_LEVELS = 8


def _noise(rng: np.random.Generator, cells_v: int, cells_u: int) -> np.ndarray:
    """Return tileable value noise (TEXELS, TEXELS) in [0, 1] with the given number of cells per tile."""
    grid = rng.random((cells_v, cells_u))
    v = (np.arange(TEXELS) + 0.5) / TEXELS * cells_v
    u = (np.arange(TEXELS) + 0.5) / TEXELS * cells_u
    v0, u0 = v.astype(int), u.astype(int)
    sv, su = v - v0, u - u0
    sv, su = (sv * sv * (3 - 2 * sv))[:, None], (su * su * (3 - 2 * su))[None, :]
    rows = [grid[(v0 + i) % cells_v][:, u0 % cells_u] * (1 - su) + grid[(v0 + i) % cells_v][:, (u0 + 1) % cells_u] * su
            for i in (0, 1)]
    return rows[0] * (1 - sv) + rows[1] * sv


def _courses(rng: np.random.Generator, rows: int, columns: int, joint_m: float, shift: float) -> tuple:
    """Return (mask of the joints, a random value per brick), both (TEXELS, TEXELS), of a wall of courses."""
    m = (np.arange(TEXELS) + 0.5) / TEXELS
    row = (m * rows).astype(int)[:, None]
    across = m[None, :] * columns + row * shift
    column = across.astype(int) % columns
    du = np.abs(across % 1.0 - 0.5) * TILE_M / columns
    dv = np.abs(m[:, None] * rows % 1.0 - 0.5) * TILE_M / rows
    joint = (du > 0.5 * (TILE_M / columns - joint_m)) | (dv > 0.5 * (TILE_M / rows - joint_m))
    return joint, rng.random((rows, columns))[row, column]


def _paint(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return one texture (TEXELS, TEXELS, 3) of albedo in [0, 1], tileable, TILE_M metres wide; row 0 is its top."""
    grain = 0.6 * _noise(rng, 128, 128) + 0.4 * _noise(rng, 16, 16)
    hue = rng.uniform(-0.06, 0.06, 3)
    if name == "plaster":
        return (np.array([0.80, 0.76, 0.68]) + hue) * (0.86 + 0.14 * grain)[..., None]
    if name == "ceiling":
        joint, _ = _courses(rng, 2, 2, 0.015, 0.0)
        return np.where(joint, 0.55, 0.82 + 0.08 * _noise(rng, 96, 96))[..., None] * np.array([1.0, 0.99, 0.96])
    if name == "brick":
        joint, tone = _courses(rng, 20, 8, 0.010, 0.5)
        clay = (np.array([0.62, 0.27, 0.19]) + hue) * (0.72 + 0.35 * tone + 0.25 * (grain - 0.5))[..., None]
        return np.where(joint[..., None], np.array([0.70, 0.67, 0.62]) * (0.8 + 0.2 * grain)[..., None], clay)
    if name == "tile":
        joint, tone = _courses(rng, 4, 4, 0.008, 0.0)
        stone = (np.array([0.58, 0.60, 0.62]) + hue) * (0.78 + 0.25 * tone + 0.30 * (grain - 0.5))[..., None]
        return np.where(joint[..., None], np.array([0.30, 0.30, 0.29]), stone)
    if name in ("wood", "door"):
        joint, tone = _courses(rng, 10, 1, 0.004, 0.37)
        if name == "door":
            joint, tone = np.zeros_like(joint), np.full_like(tone, 0.3)
        streak = 0.6 * _noise(rng, 160, 4) + 0.4 * _noise(rng, 40, 3)
        plank = (np.array([0.55, 0.36, 0.20]) + hue) * (0.62 + 0.3 * tone + 0.4 * streak)[..., None]
        return np.where(joint[..., None], 0.12, plank if name == "wood" else plank.transpose(1, 0, 2))
    if name == "cardboard":
        tape = np.abs(np.arange(TEXELS) / TEXELS * TILE_M % 0.4 - 0.2) < 0.025
        paper = (np.array([0.66, 0.50, 0.33]) + hue) * (0.85 + 0.2 * grain)[..., None]
        return np.where(tape[:, None, None], np.array([0.78, 0.70, 0.55]), paper)
    if name == "stripes":
        cells = (np.add.outer(np.arange(TEXELS), np.arange(TEXELS)) * 8 // TEXELS) % 2
        colours = np.stack([rng.uniform(0.15, 0.85, 3), np.array([0.88, 0.86, 0.82])])
        return colours[cells] * (0.9 + 0.15 * grain)[..., None]
    blobs = np.stack([_noise(rng, 5, 4), _noise(rng, 4, 5), _noise(rng, 3, 3)], axis=-1)
    return 0.15 + 0.65 * (0.55 * blobs + 0.45 * blobs.mean(-1, keepdims=True))


class Atlas:
    """Every texture at every mip level in one flat table, so that one gather colours a whole image."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Paint all textures of NAMES from `rng`."""
        tables, starts = [], np.zeros((len(NAMES), _LEVELS), np.int32)
        filled = 0
        for index, name in enumerate(NAMES):
            level = np.clip(_paint(name, rng), 0.0, 1.0).astype(np.float32)
            for mip in range(_LEVELS):
                starts[index, mip] = filled
                tables.append(level.reshape(-1, 3))
                filled += len(tables[-1])
                level = level.reshape(level.shape[0] // 2, 2, level.shape[1] // 2, 2, 3).mean((1, 3), dtype=np.float32)
        self._table = np.ascontiguousarray(np.concatenate(tables))
        self._starts = starts

    def look_up(self, texture: np.ndarray, u_m: np.ndarray, v_m: np.ndarray, footprint_m: np.ndarray) -> np.ndarray:
        """Return albedo (..., 3) float32 at (u_m, v_m) metres of textures (indices into NAMES), tiled.

        `footprint_m` is how much of the surface one pixel covers; it chooses the mip level (Williams 1983).
        """
        mip = np.log2(np.maximum(footprint_m * np.float32(TEXELS / TILE_M), 1.0)) + np.float32(0.3)
        mip = np.minimum(mip.astype(np.int32), _LEVELS - 1)
        side = np.right_shift(np.int32(TEXELS), mip)
        scale = side.astype(np.float32) * np.float32(1 / TILE_M)
        row = np.floor(v_m * scale).astype(np.int32) & (side - 1)
        column = np.floor(u_m * scale).astype(np.int32) & (side - 1)
        return self._table.take(self._starts[texture, mip] + row * side + column, axis=0)
