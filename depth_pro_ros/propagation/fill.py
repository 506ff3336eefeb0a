"""Holes in carried depth filled from their surroundings, along the edges of the new image.

A pyramid (pull-push; Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4.2): known inverse depth is averaged
to ever coarser levels until every hole has some, then handed down to the holes. On the way down a pixel weighs its
four parents by how alike they look in the image (joint bilateral upsampling; Kopf et al., SIGGRAPH 2007), so that depth
ends where the image has an edge, and by how far they are, since a hole opens beside a near thing and shows what is
behind it.

Inverse depth is as in `warp`: 0 is sky, negative unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.propagation.warp import UNKNOWN

ALIKE = 20.0  # standard deviation of the grey values (of 255) of one thing
UNLIKE_WEIGHT = 1e-4  # of a parent that looks entirely different; it counts where no other one is known
FILLED_WEIGHT = 0.1  # of a parent that was filled itself
FAR_AT = 0.05  # 1/m: nearer than 20 m a parent weighs as the square of its depth


@dataclass(frozen=True, eq=False)
class _Level:
    """Planes (h, w) float32 of one size: what is known, and how pixels look.

    `values` are averages over the known pixels: inverse depth (UNKNOWN where there are none) and, only where there is
    any sky, the share that is none; `trust` is their weight, 0 where they are unknown. `known_guide` is the grey value
    of the known pixels, or of all where none is known, and `guide` that of all.
    """

    values: list[np.ndarray]
    trust: np.ndarray
    known_guide: np.ndarray
    guide: np.ndarray


def fill(inverse: np.ndarray, guide: np.ndarray, reach_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return inverse depth whose holes are filled, at most `reach_px` from what is known, and the distance to it.

    inverse (H, W) float32; guide (H, W) uint8, the new image in grey values. The distance (H, W) float32 in pixels is
    0 where depth was known; up to half the reach every hole is filled. Sky is not mixed with anything: a filled pixel
    is sky when most of its surroundings are.
    """
    hole = inverse < 0
    distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    todo = hole & (distance <= reach_px)
    if hole.all() or not todo.any():
        return inverse.copy(), distance
    levels = max(1, math.ceil(math.log2(max(reach_px, 2.0))))
    pyramid = _pyramid(inverse, guide, levels)
    coarse = pyramid.pop()
    while len(pyramid) > 1:
        level = pyramid.pop()
        coarse = _resolve(level, coarse, np.flatnonzero(level.values[0] < 0))
    rows, columns = np.nonzero(todo)
    base = pyramid[0]
    found = _resolve(base, coarse, rows * base.guide.shape[1] + columns).values
    height, width = inverse.shape
    return _without_mixtures(found)[:height, :width], distance


def _pyramid(inverse: np.ndarray, guide: np.ndarray, levels: int) -> list[_Level]:
    """Return the levels, the finest first; all are padded with holes to sides that halve evenly."""
    multiple = 1 << levels
    height, width = inverse.shape
    pad = (0, -height % multiple, 0, -width % multiple)
    inverse = cv2.copyMakeBorder(inverse, *pad, cv2.BORDER_CONSTANT, value=float(UNKNOWN))
    guide = cv2.copyMakeBorder(guide, *pad, cv2.BORDER_REPLICATE).astype(np.float32)
    known: np.ndarray = (inverse >= 0).astype(np.float32)
    sums: list[np.ndarray] = [inverse * known]
    values: list[np.ndarray] = [inverse]
    if (inverse == 0).any():
        values.append((inverse > 0).astype(np.float32))
        sums.append(values[1])
    pyramid = [_Level(values, known, guide, guide)]
    seen: np.ndarray = guide * known
    for _ in range(levels):
        half = (guide.shape[1] // 2, guide.shape[0] // 2)
        *sums, known, seen, guide = (
            cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (*sums, known, seen, guide)
        )
        empty = known == 0
        share = np.where(empty, np.float32(1), known)
        values = [plane / share for plane in sums]
        values[0][empty] = UNKNOWN
        trust = (~empty).astype(np.float32)
        pyramid.append(_Level(values, trust, np.where(empty, guide, seen / share), guide))
    return pyramid


def _resolve(level: _Level, coarse: _Level, holes: np.ndarray) -> _Level:
    """Return `level`, whose `holes` (N,), flat indices, are filled in place from their four parents in `coarse`."""
    width, (coarse_height, coarse_width) = level.guide.shape[1], coarse.guide.shape
    row, column = np.divmod(holes.astype(np.int32), np.int32(width))
    looks = level.guide.ravel()[holes]
    worth = coarse.trust / (np.maximum(coarse.values[0], 0) + np.float32(FAR_AT)) ** 2
    total = np.zeros(len(holes), np.float32)
    mixed = [np.zeros(len(holes), np.float32) for _ in level.values]
    for top, share_down in _parents(row, coarse_height):
        for left, share_across in _parents(column, coarse_width):
            parent = top * coarse_width + left
            unlike = (looks - coarse.known_guide.ravel()[parent]) * np.float32(1 / ALIKE)
            weight = np.exp(np.float32(-0.5) * unlike * unlike) + np.float32(UNLIKE_WEIGHT)
            weight *= share_down * share_across * worth.ravel()[parent]
            total += weight
            for mixture, plane in zip(mixed, coarse.values, strict=True):
                mixture += weight * plane.ravel()[parent]
    reached = total > 0
    total[~reached] = 1
    for plane, mixture in zip(level.values, mixed, strict=True):
        plane.ravel()[holes] = mixture / total
    level.values[0].ravel()[holes[~reached]] = UNKNOWN
    level.trust.ravel()[holes] = reached * np.float32(FILLED_WEIGHT)
    return level


def _parents(index: np.ndarray, length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the two nearest coarse indices (N,) of fine ones along an axis, and their bilinear weights."""
    own = index >> 1
    other = np.clip(own + np.where(index & 1, 1, -1).astype(np.int32), 0, length - 1)
    return [(own, np.float32(0.75)), (other, np.float32(0.25))]


def _without_mixtures(values: list[np.ndarray]) -> np.ndarray:
    """Return inverse depth (H, W) in which sky has no part in what is not sky, nor the other way round."""
    if len(values) == 1:
        return values[0]
    inverse, solid = values
    unmixed = np.where(solid >= 0.5, inverse / np.maximum(solid, np.float32(0.5)), np.float32(0))
    return np.where(inverse < 0, UNKNOWN, unmixed)
