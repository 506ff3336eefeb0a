"""Streets and fields under a sky: worlds without walls, for cameras from ankle height to that of a low drone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from depth_pro_ros.scenes import furniture, nature, outdoor_things
from depth_pro_ros.scenes.layout import BALL, BOX, SKY, Builder, Colour, Layout
from depth_pro_ros.scenes.lighting import FALL_OFF
from depth_pro_ros.scenes.materials import M
from depth_pro_ros.scenes.materials_outdoor import LANE_M
from depth_pro_ros.scenes.palette import Rng, pick, scaled, tinted, weighted
from depth_pro_ros.scenes.place import Place

_SUN_DISTANCE_M = 300.0
_GROUND_M = 600.0
_STREET_M = (-60.0, 90.0)
_PAVEMENT_TOP_M = 0.13
_KERB_M = 0.075  # half its width
Things = tuple[tuple[Callable[..., None], float], ...]
Area = tuple[float, ...]  # (x0, x1, y0, y1)

ON_PAVEMENT: Things = (
    (furniture.person, 3.0),
    (outdoor_things.bollard, 2.0),
    (furniture.waste_bin, 1.0),
    (nature.tree, 1.6),
    (outdoor_things.bench, 0.8),
    (outdoor_things.sign, 1.0),
    (furniture.box_stack, 1.0),
    (nature.bush, 1.0),
    (furniture.plant, 0.5),
)
IN_FIELD: Things = (
    (nature.tree, 3.0),
    (nature.conifer, 1.5),
    (nature.bush, 3.0),
    (nature.boulder, 2.0),
    (nature.bale, 1.5),
    (nature.weeds, 4.0),
    (furniture.person, 1.0),
    (furniture.box_stack, 0.7),
    (furniture.cone, 0.5),
    (outdoor_things.bench, 0.5),
)


class Outdoors:
    """What streets and fields share: ground, sky and sun."""

    def __init__(self, rng: Rng, ground: str, tint: Colour, tint2: Colour) -> None:
        """Spread the ground and the sky."""
        self.rng, self.builder = rng, Builder()
        self.horizon = tinted(rng, pick(rng, ((0.45, 0.52, 0.58), (0.52, 0.50, 0.47), (0.42, 0.44, 0.46))), 0.2)
        zenith = tinted(rng, pick(rng, ((0.10, 0.21, 0.46), (0.20, 0.30, 0.48), (0.33, 0.35, 0.38))), 0.2)
        self.builder.add(SKY, (0, 0, 0), (1, 1, 1), 0.0, M["sky"], self.horizon, zenith, rng.random())
        self.solid((0, 0, -5.05), (_GROUND_M, _GROUND_M, 5.0), ground, tint, tint2)

    def solid(
        self, centre: Sequence[float], half: Sequence[float], material: str, tint: Colour,
        tint2: Colour = (0.5, 0.5, 0.5),
    ) -> None:  # fmt: skip
        """Add a box along the axes as an instance of its own."""
        self.builder.new()
        self.builder.add(BOX, centre, half, 0.0, M[material], tint, tint2, self.rng.random())

    def scatter(self, things: Things, count: int, area: Area, ground_m: float = 0.0) -> None:
        """Stand up to `count` things in a rectangle (x0, x1, y0, y1)."""
        rng = self.rng
        for _ in range(count):
            x, y = rng.uniform(area[0], area[1]), rng.uniform(area[2], area[3])
            if self.builder.free(x, y, 0.4):
                self.builder.new()
                weighted(rng, things)(Place(self.builder, x, y, rng.uniform(-math.pi, math.pi), ground_m), rng)

    def layout(self, walk: tuple[float, float, float, float]) -> Layout:
        """Return the world with a sun, hidden by clouds or not, that shines from 15 to 70 degrees up."""
        rng = self.rng
        azimuth, height = rng.uniform(-math.pi, math.pi), math.radians(rng.uniform(15, 70))
        level = math.cos(height)
        towards = np.array([math.cos(azimuth) * level, math.sin(azimuth) * level, math.sin(height)])
        middle = np.array([(walk[0] + walk[1]) / 2, (walk[2] + walk[3]) / 2, 0.0])
        position = middle + _SUN_DISTANCE_M * towards
        power = rng.uniform(0.8, 1.6) if rng.random() < 0.7 else rng.uniform(0.05, 0.3)
        colour = power * (FALL_OFF[0] + FALL_OFF[1] * _SUN_DISTANCE_M**2) * np.array([1.0, 0.94, 0.84])
        sun = np.concatenate((position, colour))
        return Layout(self.builder, walk, sun[None], haze=self.horizon)


def street(rng: Rng) -> Layout:
    """Return a street along x: lanes of 3.5 m, kerbs, pavements, buildings, parked cars, lamps, wires, people."""
    world = Outdoors(rng, "earth", tinted(rng, (0.16, 0.15, 0.12)), (0.1, 0.1, 0.1))
    lanes = int(rng.integers(1, 4))
    half = lanes * LANE_M / 2 + rng.uniform(0.0, 2.2)
    middle, reach = sum(_STREET_M) / 2, (_STREET_M[1] - _STREET_M[0]) / 2 + 60
    world.solid((middle, 0, -0.5), (reach, lanes * LANE_M / 2, 0.5), "road", tinted(rng, (0.10, 0.10, 0.105), 0.3))
    if half > lanes * LANE_M / 2:
        world.solid((middle, 0, -0.505), (reach, half, 0.5), "speckled", tinted(rng, (0.13, 0.13, 0.13), 0.3))
    brick = rng.random() < 0.4
    wide = rng.uniform(1.5, 4.0)
    for side in (-1, 1):
        _side_of_street(world, side, half, wide, reach, middle, brick)
    walk = (-15.0, 45.0, -half - wide + 0.5, half + wide - 0.5)
    return world.layout(walk)


def _side_of_street(
    world: Outdoors, side: int, half: float, wide: float, reach: float, middle: float, brick: bool
) -> None:
    """Build the pavement of one side, what is parked along it and stands on it, and the buildings behind."""
    rng, b = world.rng, world.builder
    grey = tinted(rng, (0.34, 0.33, 0.31), 0.2)
    tall = _PAVEMENT_TOP_M / 2
    world.solid((middle, side * (half + _KERB_M), tall), (reach, _KERB_M, tall), "kerb", scaled(grey, 1.25))
    outer = half + 2 * _KERB_M
    centre = (middle, side * (outer + wide / 2), tall - 0.005)
    world.solid(centre, (reach, wide / 2, tall), "slabs", grey, scaled(grey, 0.4))
    parked = rng.random() < 0.7
    x = _STREET_M[0] + rng.uniform(0, 6)
    while parked and x < _STREET_M[1]:
        if rng.random() < 0.45:
            b.new()
            turn = 0.0 if rng.random() < 0.5 else math.pi
            outdoor_things.car(Place(b, x, side * (half - 1.05), turn + rng.normal(0, 0.02)), rng)
        x += rng.uniform(5.5, 9.0)
    _poles(world, side, outer + 0.35)
    area = (-25.0, 60.0, *sorted((side * (outer + 0.5), side * (outer + wide - 0.3))))
    world.scatter(ON_PAVEMENT, int(rng.integers(6, 20)), area, 2 * tall - 0.005)
    _buildings(world, side, outer + wide, brick)


def _poles(world: Outdoors, side: int, y: float) -> None:
    """Set lamps or poles with wires every 25 m."""
    rng, b = world.rng, world.builder
    wired = rng.random() < 0.4
    start = _STREET_M[0] + rng.uniform(0, 20)
    for x in np.arange(start, _STREET_M[1], 25.0).tolist():
        place = Place(b, x, side * y, 0.0 if side < 0 else math.pi, _PAVEMENT_TOP_M)
        b.new()
        if wired:
            outdoor_things.utility_pole(place, rng)
            outdoor_things.wires(Place(b, x, side * y, 0.0, _PAVEMENT_TOP_M), 25.0)
        else:
            outdoor_things.street_lamp(place, rng)


def _buildings(world: Outdoors, side: int, y: float, brick: bool) -> None:
    """Line the street with buildings, their fronts at `y`, with gaps, trees in them."""
    rng, b = world.rng, world.builder
    x = _STREET_M[0]
    while x < _STREET_M[1]:
        half_u, half_v = 1.2 * int(rng.integers(3, 10)), rng.uniform(4.0, 7.0)
        if rng.random() < 0.85:
            b.new()
            place = Place(b, x + half_u, side * (y + half_v), 0.0 if side > 0 else math.pi)
            outdoor_things.building(place, rng, half_u, half_v, int(rng.integers(1, 6)), brick != (rng.random() < 0.25))
        elif rng.random() < 0.7:
            b.new()
            nature.tree(Place(b, x + half_u, side * (y + 2.0), 0.0), rng)
        x += 2 * half_u + (rng.uniform(1.0, 6.0) if rng.random() < 0.3 else 0.0)


def meadow(rng: Rng) -> Layout:
    """Return a field with a path, trees, bushes, fences, a shed, poles with wires, hills and woods far away."""
    green = tinted(rng, pick(rng, nature.GREENS), 0.3)
    world = Outdoors(rng, "grass", scaled(green, 1.3), tinted(rng, (0.24, 0.19, 0.08), 0.3))
    b = world.builder
    if rng.random() < 0.7:
        centre, half = (0, rng.uniform(-4, 4), -0.54), (300, rng.uniform(0.6, 1.6), 0.5)
        world.solid(centre, half, "earth", tinted(rng, (0.3, 0.24, 0.17)))
    _far(world)
    for _ in range(int(rng.integers(0, 4))):
        b.new()
        turn = pick(rng, (0, 1)) * math.pi / 2 + rng.normal(0, 0.1)
        place = Place(b, rng.uniform(-25, 25), rng.uniform(-25, 25), turn)
        outdoor_things.fence(place, rng, int(rng.integers(4, 14)))
    if rng.random() < 0.4:
        y = rng.uniform(-15, 15)
        for x in (-45.0, -15.0, 15.0, 45.0):
            b.new()
            outdoor_things.utility_pole(Place(b, x, y, 0.0), rng)
            outdoor_things.wires(Place(b, x, y, 0.0), 30.0)
    if rng.random() < 0.4:
        b.new()
        place = Place(b, rng.uniform(-25, 25), rng.uniform(-25, 25), rng.uniform(-math.pi, math.pi))
        outdoor_things.building(place, rng, 1.2 * int(rng.integers(3, 5)), rng.uniform(2, 4), 1, rng.random() < 0.4)
    world.scatter(IN_FIELD, int(rng.integers(6, 26)), (-22.0, 22.0, -22.0, 22.0))
    return world.layout((-10.0, 10.0, -10.0, 10.0))


def _far(world: Outdoors) -> None:
    """Put hills and strips of wood at 60 to 400 m."""
    rng, b = world.rng, world.builder
    for _ in range(int(rng.integers(0, 4))):
        angle, far = rng.uniform(-math.pi, math.pi), rng.uniform(250, 420)
        radius = rng.uniform(150, 300)
        b.new()
        centre = (far * math.cos(angle), far * math.sin(angle), rng.uniform(15, 50) - radius)
        b.add(BALL, centre, (radius,) * 3, 0.0, M["grass"], tinted(rng, (0.10, 0.14, 0.08), 0.3), (0.2, 0.2, 0.12))
    for _ in range(int(rng.integers(2, 7))):
        angle, far, half = rng.uniform(-math.pi, math.pi), rng.uniform(50, 200), rng.uniform(5, 30)
        b.new()
        tall, turn = rng.uniform(3, 6), angle + math.pi / 2
        b.add(BOX, (far * math.cos(angle), far * math.sin(angle), tall), (half, 4.0, tall), turn, M["leaves"],
              tinted(rng, (0.04, 0.08, 0.04), 0.4), phase=rng.random())
