"""Worlds made by hand, and inside-tests of solids that know nothing of rays."""

from __future__ import annotations

import math

import numpy as np
import torch

from depth_pro_ros.scenes.camera import Views
from depth_pro_ros.scenes.casting import cast
from depth_pro_ros.scenes.layout import BALL, BOX, COLUMN, CONE, CYLINDER, FACE, SKY, Builder

CPU = torch.device("cpu")
AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # looks along world x, image down is world -z
ROOM_M = (9.0, 4.0, 2.5)
GREY = (0.3, 0.3, 0.3)


def views(origin, rotation=AHEAD, size=(48, 64), focal=(50.0, 55.0), centre=(30.0, 25.0)) -> Views:
    """Return one camera; the default's numbers are easy to reckon with."""
    numbers = (np.array([value]) for value in (*focal, *centre))
    return Views(rotation[None], np.array(origin, float)[None], *numbers, *size)


def room() -> Builder:
    """Return an empty room of ROOM_M with its corner at the origin."""
    builder, half = Builder(), [side / 2 for side in ROOM_M]
    for index in range(6):
        axis, positive = divmod(index, 2)
        centre, normal = list(half), [0.0, 0.0, 0.0]
        centre[axis], normal[axis] = ROOM_M[axis] * positive, 1.0 - 2.0 * positive
        builder.new()
        builder.add(FACE, centre, half, 0.0, 9, GREY, normal=tuple(normal))
    return builder


def open_air() -> Builder:
    """Return a world of nothing but sky."""
    builder = Builder()
    builder.add(SKY, (0, 0, 0), (1, 1, 1), 0.0, 34, GREY)
    return builder


def depth_of(builder: Builder, camera: Views) -> np.ndarray:
    """Return depth (H, W)."""
    return cast(builder.table()[None], camera, camera.rays(CPU))[0][0].numpy()


def some_solids(rng: np.random.Generator, count: int = 12) -> Builder:
    """Return solids of every kind before a camera at the origin that looks along x."""
    builder = open_air()
    for number in range(count):
        kind = (BOX, BALL, CYLINDER, CONE)[number % 4]
        half = rng.uniform(0.1, 0.6, 3)
        if kind == BALL:
            half[:] = half[0]
        elif kind == CYLINDER:
            half[1] = half[0]
        centre = rng.uniform((2.0, -2.0, -1.5), (5.0, 2.0, 1.5))
        builder.new()
        builder.add(kind, centre, half, rng.uniform(-math.pi, math.pi), 9, GREY)
    return builder


def inside(table: np.ndarray, points: np.ndarray, slack: float) -> np.ndarray:
    """Return which points (..., 3) lie in any solid (N, C) that is grown by `slack` metres (shrunk if negative)."""
    found = np.zeros(points.shape[:-1], bool)
    for line in table:
        x, y, z = np.moveaxis(points - line[:3], -1, 0)
        c, s, kind = line[COLUMN["cos"]], line[COLUMN["sin"]], line[COLUMN["kind"]]
        a, b, h = line[3:6]
        if kind == BOX:
            u, v = np.abs(c * x + s * y), np.abs(c * y - s * x)
            found |= (u < a + slack) & (v < b + slack) & (np.abs(z) < h + slack)
        elif kind == BALL:
            found |= x**2 + y**2 + z**2 < max(a + slack, 0) ** 2
        elif kind in (CYLINDER, CONE):
            radius = a + (b - a) * (z + h) / (2 * h) + slack
            found |= (np.hypot(x, y) < radius) & (np.abs(z) < h + slack)
    return found
