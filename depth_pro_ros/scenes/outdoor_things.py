"""Things that stand in streets and fields, all of standard sizes: each function adds one at a `Place`."""

from __future__ import annotations

import math

from depth_pro_ros.scenes.layout import BALL, BOX, CYLINDER
from depth_pro_ros.scenes.palette import WOODS, Rng, pick, tinted, vivid
from depth_pro_ros.scenes.place import Place

_METAL = (0.22, 0.23, 0.24)
_TYRE = (0.02, 0.02, 0.02)
FENCE_POST_M = 2.0
WIRE_M = (6.6, 6.2)


def car(p: Place, rng: Rng) -> None:
    """A car of about 4.4 x 1.8 x 1.45 m, along u."""
    long, wide = rng.uniform(1.9, 2.35), rng.uniform(0.85, 0.92)
    paint = vivid(rng)
    p.spot(long, wide, 1.45)
    p.add(BOX, (0, 0, 0.55), (long, wide, 0.33), "car_body", paint, (0.8, 0.78, 0.7))
    shift = rng.uniform(-0.35, 0.1)
    p.add(BOX, (shift, 0, 1.15), (0.55 * long, 0.9 * wide, 0.28), "glazing", paint)
    for u in (-0.62 * long, 0.62 * long):
        for v in (-1, 1):
            p.add(BALL, (u, v * (wide - 0.24), 0.32), (0.32,) * 3, "plain", _TYRE)


def street_lamp(p: Place, rng: Rng) -> None:
    """A street lamp of 5 to 7 m whose arm reaches along +v."""
    top = rng.uniform(5.0, 7.0)
    p.spot(0.1, 0.1, top)
    colour = tinted(rng, _METAL, 0.4)
    p.add(CYLINDER, (0, 0, top / 2), (0.07, 0.07, top / 2), "plain", colour)
    p.add(BOX, (0, 0.6, top), (0.03, 0.6, 0.03), "plain", colour)
    p.add(BOX, (0, 1.1, top - 0.05), (0.12, 0.3, 0.05), "plain", colour)


def utility_pole(p: Place, rng: Rng) -> None:
    """A wooden pole of 7 m with a cross-arm for wires at (0, +-0.5)."""
    p.spot(0.12, 0.12, 7.0)
    p.add(CYLINDER, (0, 0, 3.5), (0.12, 0.12, 3.5), "bark", tinted(rng, (0.2, 0.14, 0.09), 0.3), phase=rng.random())
    p.add(BOX, (0, 0, 6.6), (0.05, 0.7, 0.05), "wood", tinted(rng, WOODS[2]))


def wires(p: Place, length: float) -> None:
    """Wires along +u from one pole to the next."""
    for v in (-0.5, 0.5):
        p.add(BOX, (length / 2, v, WIRE_M[0] + 0.08), (length / 2, 0.012, 0.012), "plain", _TYRE)
    p.add(BOX, (length / 2, 0, WIRE_M[1]), (length / 2, 0.02, 0.02), "plain", _TYRE)


def bollard(p: Place, rng: Rng) -> None:
    """A bollard of 0.9 m."""
    p.spot(0.06, 0.06, 0.9)
    striped = rng.random() < 0.5
    colour = (0.5, 0.04, 0.03) if striped else tinted(rng, _METAL, 0.5)
    p.add(CYLINDER, (0, 0, 0.45), (0.05, 0.05, 0.45), "hoops" if striped else "plain", colour)


def sign(p: Place, rng: Rng) -> None:
    """A traffic sign of 0.6 m at 2.2 m on a pole."""
    p.spot(0.05, 0.05, 2.8)
    p.add(CYLINDER, (0, 0, 1.3), (0.03, 0.03, 1.3), "plain", (0.4, 0.4, 0.4))
    paint = pick(rng, ((0.5, 0.03, 0.03), (0.03, 0.1, 0.45)))
    p.add(BOX, (0, -0.04, 2.4), (0.3, 0.005, 0.3), "picture", paint, (0.8, 0.8, 0.8))


def bench(p: Place, rng: Rng) -> None:
    """A bench, its seat at 0.45 m."""
    p.spot(0.8, 0.25, 0.85)
    colour = tinted(rng, pick(rng, WOODS))
    for v in (-0.15, 0.0, 0.15):
        p.add(BOX, (0, v, 0.43), (0.8, 0.06, 0.02), "wood", colour, phase=rng.random())
    for z in (0.62, 0.8):
        p.add(BOX, (0, 0.24, z), (0.8, 0.015, 0.06), "wood", colour, phase=rng.random())
    for u in (-0.6, 0.6):
        p.add(BOX, (u, 0, 0.2), (0.03, 0.2, 0.2), "plain", _METAL)
        p.add(BOX, (u, 0.22, 0.6), (0.03, 0.015, 0.26), "plain", _METAL)


def fence(p: Place, rng: Rng, spans: int) -> None:
    """A fence along +u: posts of 1.1 m every 2 m, with three rails or three thin wires."""
    wired = rng.random() < 0.5
    colour = tinted(rng, pick(rng, WOODS), 0.4)
    for k in range(spans + 1):
        p.add(BOX, (k * FENCE_POST_M, 0, 0.55), (0.05, 0.05, 0.55), "wood", colour, phase=rng.random())
    half = spans * FENCE_POST_M / 2
    for z in (0.35, 0.65, 0.95):
        thin = (half, 0.004, 0.004) if wired else (half, 0.02, 0.05)
        p.add(BOX, (half, 0.06, z), thin, "plain" if wired else "wood", (0.1, 0.1, 0.1) if wired else colour)


def building(p: Place, rng: Rng, half_u: float, half_v: float, storeys: int, brick: bool) -> None:
    """A building of storeys of 3 m with windows, its door of 0.9 x 2 m towards -v, three steps and a flat roof."""
    half = (storeys * 3.0 + 0.6) / 2
    p.spot(half_u, half_v, 2 * half)
    colour = tinted(rng, (0.36, 0.15, 0.10), 0.3) if brick else tinted(rng, pick(rng, _FRONTS), 0.25)
    p.add(BOX, (0, 0, half), (half_u, half_v, half), "brick_facade" if brick else "facade", colour,
          tinted(rng, (0.16, 0.15, 0.14)), rng.random())
    p.add(BOX, (0, 0, 2 * half + 0.1), (half_u + 0.25, half_v + 0.25, 0.1), "roof", tinted(rng, (0.2, 0.09, 0.07), 0.4))
    u = 1.2 + 2.4 * math.floor(rng.uniform(-half_u + 1.5, half_u - 1.5) / 2.4)
    paint = tinted(rng, pick(rng, WOODS), 0.4)
    p.add(BOX, (u, -half_v - 0.01, 1.0), (0.45, 0.02, 1.0), "door", paint, phase=rng.random())
    for side in (-0.5, 0.5):
        p.add(BOX, (u + side, -half_v - 0.02, 1.05), (0.05, 0.04, 1.05), "plain", (0.6, 0.59, 0.56))
    if rng.random() < 0.3:
        p.add(BOX, (u, -half_v - 0.15, 0.085), (0.7, 0.15, 0.085), "speckled", (0.42, 0.41, 0.4), phase=rng.random())


_FRONTS = ((0.55, 0.50, 0.40), (0.60, 0.58, 0.54), (0.48, 0.36, 0.25), (0.42, 0.45, 0.46), (0.55, 0.40, 0.34))
