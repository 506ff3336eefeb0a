"""Things that stand in rooms, all of standard sizes: each function adds one at a `Place`."""

from __future__ import annotations

from depth_pro_ros.scenes.layout import BALL, BOX, CONE, CYLINDER, Spot
from depth_pro_ros.scenes.palette import CARDBOARD, SKINS, WOODS, Rng, pick, scaled, tinted, vivid
from depth_pro_ros.scenes.place import Place


def box_stack(p: Place, rng: Rng) -> None:
    """Cardboard boxes or crates, cubes of 0.3, 0.4 or 0.6 m, up to three on each other."""
    side = pick(rng, (0.3, 0.4, 0.6))
    wooden, z = rng.random() < 0.4, 0.0
    p.spot(side / 2, side / 2, side)
    for _ in range(int(rng.integers(1, 4)) if side < 0.6 else 1 + (rng.random() < 0.3)):
        p.b.new()
        colour = tinted(rng, pick(rng, WOODS) if wooden else CARDBOARD, 0.3)
        q = Place(p.b, p.x, p.y, p.yaw + rng.normal(0, 0.1), p.bottom)
        q.add(BOX, (0, 0, z + side / 2), (side / 2,) * 3, "crate" if wooden else "cardboard", colour,
              phase=rng.random())
        z += side
    p.b.spots[-1].top = p.bottom + z


def shelf(p: Place, rng: Rng) -> None:
    """A shelf of 0.9 x 0.4 x 1.8 m with boards every 0.36 m and things on them."""
    p.spot(0.45, 0.2, 1.8)
    metal = rng.random() < 0.4
    material, colour = ("plain", vivid(rng)) if metal else ("wood", tinted(rng, pick(rng, WOODS)))
    for u in (-0.44, 0.44):
        p.add(BOX, (u, 0, 0.9), (0.0125, 0.2, 0.9), material, colour, phase=rng.random())
    if rng.random() < 0.6:
        p.add(BOX, (0, 0.195, 0.9), (0.44, 0.005, 0.9), material, scaled(colour, 0.8), phase=rng.random())
    for z in (0.06, 0.42, 0.78, 1.14, 1.50, 1.79):
        p.add(BOX, (0, 0, z), (0.43, 0.195, 0.0125), material, colour, phase=rng.random())
        if z < 1.6 and rng.random() < 0.75:
            if rng.random() < 0.6:
                half = rng.uniform(0.15, 0.4)
                p.add(BOX, (rng.uniform(half - 0.42, 0.42 - half), 0.02, z + 0.135), (half, 0.11, 0.12), "books",
                      vivid(rng), vivid(rng), rng.random())
            else:
                p.add(BOX, (rng.uniform(-0.2, 0.2), 0, z + 0.1125), (0.15, 0.15, 0.1), "cardboard",
                      tinted(rng, CARDBOARD), phase=rng.random())


def table(p: Place, rng: Rng) -> None:
    """A table, its top at 0.72 m, on four thin legs."""
    u, v = rng.uniform(0.5, 0.8), rng.uniform(0.35, 0.45)
    p.spot(u, v, 0.72)
    wooden = rng.random() < 0.6
    top = tinted(rng, pick(rng, WOODS)) if wooden else (0.6, 0.6, 0.58)
    leg = top if rng.random() < 0.5 else tinted(rng, (0.1, 0.1, 0.1), 0.5)
    p.add(BOX, (0, 0, 0.705), (u, v, 0.015), "wood" if wooden else "plain", top, phase=rng.random())
    for a in (-1, 1):
        for c in (-1, 1):
            p.add(BOX, (a * (u - 0.05), c * (v - 0.05), 0.345), (0.025, 0.025, 0.345), "plain", leg)
    if rng.random() < 0.5:
        p.add(BOX, (rng.uniform(-0.3, 0.3), 0, 0.87), (0.15, 0.15, 0.15), "cardboard", tinted(rng, CARDBOARD))
    if rng.random() < 0.4:
        p.add(CYLINDER, (rng.uniform(-0.4, 0.4), 0.2, 0.77), (0.04, 0.04, 0.05), "plain", vivid(rng))
    if rng.random() < 0.4:
        p.add(BOX, (0.1, -0.1, 0.95), (0.27, 0.015, 0.17), "plain", (0.03, 0.03, 0.035))
        p.add(BOX, (0.1, -0.1, 0.75), (0.03, 0.015, 0.04), "plain", (0.03, 0.03, 0.035))


def chair(p: Place, rng: Rng) -> None:
    """A chair: seat at 0.45 m, back to 0.85 m."""
    p.spot(0.22, 0.22, 0.85)
    seat = vivid(rng) if rng.random() < 0.5 else tinted(rng, pick(rng, WOODS))
    leg = tinted(rng, (0.12, 0.12, 0.12), 0.6)
    p.add(BOX, (0, 0, 0.435), (0.22, 0.22, 0.02), "plain", seat)
    p.add(BOX, (0, 0.205, 0.68), (0.21, 0.015, 0.17), "plain", seat)
    for a in (-0.2, 0.2):
        p.add(BOX, (a, -0.2, 0.21), (0.015, 0.015, 0.21), "plain", leg)
        p.add(BOX, (a, 0.205, 0.42), (0.015, 0.014, 0.42), "plain", leg)


def waste_bin(p: Place, rng: Rng) -> None:
    """A bin, radius 0.15 to 0.2 m, height 0.6 m, with a rim."""
    radius = rng.uniform(0.15, 0.20)
    p.spot(radius, radius, 0.6)
    colour = vivid(rng)
    p.add(CYLINDER, (0, 0, 0.29), (radius, radius, 0.29), "plain", colour)
    p.add(CYLINDER, (0, 0, 0.59), (radius + 0.01, radius + 0.01, 0.015), "plain", scaled(colour, 0.5))


def column(p: Place, rng: Rng, ceiling: float) -> None:
    """A column from floor to ceiling."""
    radius = rng.uniform(0.15, 0.25)
    p.spot(radius, radius, ceiling)
    material = pick(rng, ("plaster", "wall_tiles", "speckled"))
    p.add(CYLINDER, (0, 0, ceiling / 2), (radius, radius, ceiling / 2), material, tinted(rng, (0.6, 0.58, 0.52)),
          (0.12, 0.11, 0.1), rng.random())


def pole(p: Place, rng: Rng) -> None:
    """A thin pole on a foot."""
    radius, top = rng.uniform(0.02, 0.04), rng.uniform(1.0, 2.4)
    p.spot(0.08, 0.08, top)
    striped = rng.random() < 0.4
    colour = (0.5, 0.04, 0.03) if striped else tinted(rng, (0.3, 0.3, 0.3), 0.9)
    p.add(CYLINDER, (0, 0, top / 2), (radius, radius, top / 2), "hoops" if striped else "plain", colour)
    p.add(CYLINDER, (0, 0, 0.015), (0.15, 0.15, 0.015), "plain", (0.08, 0.08, 0.08))


def person(p: Place, rng: Rng) -> None:
    """A person-sized capsule in clothes, with a head; 1.6 to 1.85 m."""
    radius, top = rng.uniform(0.2, 0.25), rng.uniform(1.6, 1.85)
    p.spot(radius, radius, top)
    shirt, trousers = vivid(rng), scaled(vivid(rng), 0.5)
    neck = top - 0.27
    body = (neck - radius) / 2
    p.add(CYLINDER, (0, 0, body), (radius * 0.8, radius, body), "clothes", shirt, trousers, rng.random())
    p.add(BALL, (0, 0, 2 * body), (radius,) * 3, "plain", shirt)
    p.add(BALL, (0, 0, top - 0.12), (0.12,) * 3, "plain", tinted(rng, pick(rng, SKINS)))
    p.add(BALL, (0, 0.02, top - 0.105), (0.118,) * 3, "plain", tinted(rng, (0.07, 0.045, 0.03), 0.6))


def ball(p: Place, rng: Rng) -> None:
    """A football (0.11 m) or a larger ball (0.2 m)."""
    radius = pick(rng, (0.11, 0.2))
    p.spot(radius, radius, 2 * radius)
    p.add(BALL, (0, 0, radius), (radius,) * 3, "hoops" if rng.random() < 0.5 else "plain", vivid(rng))


def cone(p: Place, rng: Rng) -> None:
    """A traffic cone of 0.5 m."""
    p.spot(0.18, 0.18, 0.5)
    orange = tinted(rng, (0.75, 0.17, 0.03))
    p.add(CONE, (0, 0, 0.27), (0.14, 0.025, 0.23), "hoops", orange)
    p.add(BOX, (0, 0, 0.02), (0.18, 0.18, 0.02), "plain", orange)


def plant(p: Place, rng: Rng) -> None:
    """A pot with a stem and a clutter of leaves."""
    p.spot(0.18, 0.18, 1.0)
    p.add(CONE, (0, 0, 0.15), (0.12, 0.17, 0.15), "plain", tinted(rng, (0.35, 0.13, 0.07), 0.6))
    top, green = rng.uniform(0.7, 1.3), tinted(rng, (0.06, 0.16, 0.04), 0.4)
    p.add(CYLINDER, (0, 0, top / 2), (0.015, 0.015, top / 2), "plain", (0.12, 0.08, 0.04))
    for _ in range(int(rng.integers(9, 16))):
        u, v = rng.normal(0, 0.13, 2)
        z, r = max(0.35, rng.normal(top - 0.1, 0.2)), rng.uniform(0.04, 0.11)
        p.add(BALL, (u, v, z), (r,) * 3, "leaves", tinted(rng, green, 0.3), phase=rng.random())


def steps(p: Place, rng: Rng) -> None:
    """Two to four steps, rise 0.17 m, tread 0.28 m, 1 m wide."""
    count = int(rng.integers(2, 5))
    p.spot(0.14 * count, 0.5, 0.17 * count)
    colour = tinted(rng, pick(rng, ((0.45, 0.44, 0.42), (0.42, 0.27, 0.14))))
    for k in range(count):
        half = 0.14 * (count - k)
        p.add(BOX, (0.14 * k, 0, 0.17 * (k + 0.5)), (half, 0.5, 0.085), "speckled", colour, phase=rng.random())


def hanging_lamp(p: Place, rng: Rng, ceiling: float) -> None:
    """A lamp that hangs on a wire from the ceiling."""
    low = rng.uniform(1.75, ceiling - 0.3)
    p.b.spots.append(Spot(p.x, p.y, 0.18, 0.18, 0.0, low - 0.15, ceiling))
    p.add(CYLINDER, (0, 0, (ceiling + low) / 2), (0.006, 0.006, (ceiling - low) / 2), "plain", (0.03, 0.03, 0.03))
    p.add(CONE, (0, 0, low), (0.16, 0.04, 0.08), "plain", vivid(rng))
    p.add(BALL, (0, 0, low - 0.07), (0.05,) * 3, "lamp", (1.6, 1.5, 1.2))


def cabinet(p: Place, rng: Rng) -> None:
    """A cupboard of 0.8 x 0.45 m, 0.9 or 2.0 m high, with two doors and knobs."""
    top = pick(rng, (0.9, 2.0))
    p.spot(0.4, 0.225, top)
    colour = tinted(rng, pick(rng, WOODS)) if rng.random() < 0.6 else vivid(rng)
    p.add(BOX, (0, 0, top / 2), (0.4, 0.225, top / 2), "wood", scaled(colour, 0.7), phase=rng.random())
    for u in (-0.198, 0.198):
        p.add(BOX, (u, -0.23, top / 2 + 0.02), (0.192, 0.008, top / 2 - 0.04), "wood", colour, phase=rng.random())
        p.add(BALL, (u * 0.3, -0.25, min(1.0, top * 0.6)), (0.018,) * 3, "plain", (0.5, 0.5, 0.5))
