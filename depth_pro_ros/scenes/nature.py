"""Plants and stones of streets and fields: each function adds one at a `Place`."""

from __future__ import annotations

import math

from depth_pro_ros.scenes.layout import BALL, BOX, CONE, CYLINDER
from depth_pro_ros.scenes.palette import Rng, pick, tinted
from depth_pro_ros.scenes.place import Place

GREENS = ((0.06, 0.14, 0.03), (0.10, 0.16, 0.04), (0.05, 0.11, 0.05), (0.16, 0.13, 0.03))
_BARK = (0.14, 0.10, 0.07)


def tree(p: Place, rng: Rng) -> None:
    """A tree of 4 to 10 m: a trunk, three branches and a clutter of foliage."""
    top, radius = rng.uniform(4.0, 10.0), rng.uniform(0.08, 0.25)
    crown, low = 0.28 * top, rng.uniform(0.3, 0.45) * top
    p.spot(radius, radius, top)
    brown = tinted(rng, _BARK, 0.4)
    p.add(CONE, (0, 0, 0.4 * top), (radius, 0.5 * radius, 0.4 * top), "bark", brown, phase=rng.random())
    green = tinted(rng, pick(rng, GREENS), 0.3)
    for _ in range(int(rng.integers(24, 44))):
        angle, out = rng.uniform(0, 2 * math.pi), crown * math.sqrt(rng.random())
        z = rng.uniform(low, top - 0.1 * top)
        p.add(BALL, (out * math.cos(angle), out * math.sin(angle), z), (rng.uniform(0.16, 0.42) * crown,) * 3, "leaves",
              tinted(rng, green, 0.25), phase=rng.random())


def conifer(p: Place, rng: Rng) -> None:
    """A fir of 4 to 12 m: a trunk and three cones."""
    top = rng.uniform(4.0, 12.0)
    green = tinted(rng, (0.03, 0.08, 0.04), 0.4)
    p.spot(0.3, 0.3, top)
    p.add(CYLINDER, (0, 0, 0.12 * top), (0.02 * top, 0.02 * top, 0.12 * top), "bark", _BARK, phase=rng.random())
    for k in range(3):
        low, high = (0.15 + 0.24 * k) * top, (0.55 + 0.225 * k) * top
        wide = (0.22 - 0.055 * k) * top
        p.add(CONE, (0, 0, (low + high) / 2), (wide, 0.05, (high - low) / 2), "leaves", green, phase=rng.random())


def bush(p: Place, rng: Rng) -> None:
    """A bush of 0.6 to 1.6 m: a clutter of balls."""
    size = rng.uniform(0.3, 0.8)
    p.spot(size, size, 2 * size)
    green = tinted(rng, pick(rng, GREENS), 0.4)
    for _ in range(int(rng.integers(7, 14))):
        u, v = rng.normal(0, 0.45 * size, 2)
        r = rng.uniform(0.3, 0.55) * size
        z = rng.uniform(0.3, 1.5) * size
        p.add(BALL, (u, v, z), (r,) * 3, "leaves", tinted(rng, green, 0.3), phase=rng.random())


def boulder(p: Place, rng: Rng) -> None:
    """A boulder, half in the ground."""
    radius = rng.uniform(0.2, 0.9)
    p.spot(radius, radius, radius)
    p.add(BALL, (0, 0, 0.2 * radius), (radius,) * 3, "stone", tinted(rng, (0.25, 0.24, 0.22), 0.4), phase=rng.random())


def bale(p: Place, rng: Rng) -> None:
    """A straw bale of 0.9 x 0.45 x 0.35 m."""
    p.spot(0.45, 0.225, 0.35)
    p.add(BOX, (0, 0, 0.175), (0.45, 0.225, 0.175), "bark", tinted(rng, (0.45, 0.33, 0.12), 0.3), phase=rng.random())


def weeds(p: Place, rng: Rng) -> None:
    """A tuft of tall stems."""
    green = tinted(rng, pick(rng, GREENS), 0.5)
    for _ in range(int(rng.integers(6, 14))):
        u, v = rng.normal(0, 0.18, 2)
        half = rng.uniform(0.12, 0.4)
        p.add(CONE, (u, v, half), (0.012, 0.003, half), "leaves", tinted(rng, green, 0.3), phase=rng.random())
