"""The robot's world: furnished rooms and corridors whose every thing has its standard size."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from depth_pro_ros.scenes import furniture
from depth_pro_ros.scenes.layout import BOX, FACE, Builder, Colour, Layout, Spot
from depth_pro_ros.scenes.materials import M
from depth_pro_ros.scenes.palette import Rng, pick, scaled, tinted, weighted
from depth_pro_ros.scenes.place import Place
from depth_pro_ros.scenes.walls import Wall

Paper = tuple[str, Colour, Colour]  # material and its two tints
FLOORS: tuple[Paper, ...] = (
    ("floor_tiles_30", (0.62, 0.60, 0.55), (0.14, 0.13, 0.12)),
    ("floor_tiles_60", (0.30, 0.31, 0.32), (0.12, 0.12, 0.12)),
    ("planks", (0.40, 0.24, 0.12), (0.1, 0.06, 0.03)),
    ("carpet", (0.16, 0.18, 0.24), (0.24, 0.25, 0.30)),
    ("carpet", (0.26, 0.12, 0.10), (0.34, 0.19, 0.15)),
)
WALLS: tuple[Paper, ...] = (
    ("plaster", (0.72, 0.69, 0.62), (0.09, 0.07, 0.06)),
    ("plaster", (0.60, 0.66, 0.68), (0.06, 0.06, 0.07)),
    ("brick", (0.40, 0.15, 0.09), (0.50, 0.47, 0.42)),
    ("wainscot", (0.70, 0.68, 0.62), (0.20, 0.32, 0.30)),
    ("wainscot", (0.70, 0.68, 0.62), (0.35, 0.24, 0.15)),
    ("wall_tiles", (0.70, 0.72, 0.72), (0.30, 0.30, 0.30)),
)
STANDING: tuple[tuple[Callable[..., None], float], ...] = (
    (furniture.box_stack, 5.0),
    (furniture.table, 1.5),
    (furniture.chair, 2.0),
    (furniture.waste_bin, 1.2),
    (furniture.column, 0.6),
    (furniture.pole, 1.2),
    (furniture.person, 2.2),
    (furniture.ball, 0.9),
    (furniture.cone, 0.9),
    (furniture.plant, 0.9),
    (furniture.steps, 0.5),
)
RADIUS = {furniture.table: 0.8, furniture.steps: 0.7, furniture.shelf: 0.5, furniture.cabinet: 0.47}
RADIUS[furniture.box_stack] = 0.4
SMALL_RADIUS_M = 0.28
_LAMP_COLOURS = ((1.0, 0.95, 0.88), (1.0, 0.86, 0.68), (0.92, 0.97, 1.0))
_CAMERA_MARGIN_M = 0.4


class RoomPlan:
    """One room: `size` (3,) from its corner at the origin, its solids in `builder`, its `lamps` (L, 6)."""

    walls: tuple[Paper, ...] = WALLS
    racked = (0, 1, 2, 3)  # the walls that shelves and cupboards stand along
    lamps_on = 0.85  # how many of the lamps besides the first are lit

    def __init__(self, rng: Rng) -> None:
        """Draw a room, from empty shell to the last chair."""
        self.rng, self.builder = rng, Builder()
        self.size = self.draw_size()
        self._shell()
        self.niches()
        self.lamps = self._light()
        for number in range(4):
            wall = Wall(self.builder, rng, self.size, number, len(self.lamps), number in self.racked)
            wall.fill()
            self.lamps = np.vstack((self.lamps, *wall.lamps))
        self.furnish()

    def layout(self) -> Layout:
        """Return the room as a world."""
        margin = _CAMERA_MARGIN_M
        walk = (margin, self.size[0] - margin, margin, self.size[1] - margin)
        return Layout(self.builder, walk, self.lamps, (0.0, 0.0, 0.0), self.size)

    def draw_size(self) -> tuple[float, float, float]:
        """Return the size of a corridor or a room."""
        rng = self.rng
        if rng.random() < 0.35:
            size = (rng.uniform(5.0, 14.0), rng.uniform(1.9, 2.8))
        else:
            size = (rng.uniform(3.0, 12.0), rng.uniform(2.8, 8.0))
        return *size, rng.uniform(2.4, 2.8) if rng.random() < 0.9 else rng.uniform(2.8, 3.4)

    def _shell(self) -> None:
        """Paper the walls, floor and ceiling; they are the instances 1 to 6."""
        rng, half = self.rng, tuple(side / 2 for side in self.size)
        floor, wall = pick(rng, FLOORS), pick(rng, self.walls)
        other = wall if rng.random() < 0.6 else pick(rng, self.walls)
        gains = tinted(rng, (1, 1, 1), 0.25), tinted(rng, (1, 1, 1), 0.2)
        self._papers = [(name, scaled(tint, gains[i == 0]), joint)
                        for i, (name, tint, joint) in enumerate((other, wall, wall, wall))]
        gain = tinted(rng, (1, 1, 1), 0.3)
        roof = pick(rng, ("ceiling_panels", "plain", "ceiling_panels"))
        ceiling = (roof, tinted(rng, (0.72, 0.72, 0.70), 0.12), (0.4, 0.4, 0.4))
        papers = [*self._papers, (floor[0], scaled(floor[1], gain), scaled(floor[2], gain)), ceiling]
        phase = rng.random()
        for index, (name, tint, tint2) in enumerate(papers):
            axis, positive = divmod(index, 2)
            centre, normal = list(half), [0.0, 0.0, 0.0]
            centre[axis], normal[axis] = self.size[axis] * positive, 1.0 - 2.0 * positive
            self.builder.new()
            self.builder.add(FACE, centre, half, 0.0, M[name], tint, tint2, phase, tuple(normal))

    def niches(self) -> None:
        """Add wall blocks that make corners and L-shaped rooms."""
        rng, (lx, ly, lz) = self.rng, self.size
        for _ in range(int(rng.integers(0, 3)) if ly > 3.0 else int(rng.random() < 0.3)):
            corner = rng.random() < 0.5
            hx, hy = rng.uniform(0.15, lx / 6), rng.uniform(0.15, min(1.2, ly / 5))
            x = pick(rng, (hx, lx - hx)) if corner else rng.uniform(hx, lx - hx)
            y = pick(rng, (hy, ly - hy))
            if ly < 3.0:
                hy = 0.15
                y = pick(rng, (hy, ly - hy))
            name, tint, tint2 = self._papers[2]
            self.builder.new()
            self.builder.add(BOX, (x, y, lz / 2), (hx, hy, lz / 2), 0.0, M[name], tint, tint2, rng.random())
            self.builder.spots.append(Spot(x, y, hx, hy, 0.0, 0.0, lz))

    def _light(self) -> np.ndarray:
        """Hang lamps along the middle of the ceiling, panels of 0.6 m or tubes of 1.2 m; return those that are lit."""
        rng, (lx, ly, lz) = self.rng, self.size
        colour = np.array(pick(rng, _LAMP_COLOURS))
        count = int(rng.integers(1, 4)) if lx > 4 else 1
        lamps = []
        panel = rng.random() < 0.5
        for index in range(count):
            x, y = lx * (index + 0.5) / count, ly * rng.uniform(0.4, 0.6)
            on = rng.random() < self.lamps_on or index == 0
            half = (0.3, 0.3, 0.012) if panel else (0.6, 0.075, 0.03)
            tint = tuple(1.8 * colour) if on else (0.5, 0.5, 0.5)
            self.builder.new()
            self.builder.add(BOX, (x, y, lz - half[2]), half, 0.0, M["lamp" if on else "plain"], tint)
            if on:
                lamps.append((x, y, lz - 0.15, *(colour * rng.uniform(0.6, 1.4))))
        return np.array(lamps)

    def furnish(self) -> None:
        """Stand things on the floor, and sometimes hang lamps."""
        rng, (lx, ly, lz) = self.rng, self.size
        wanted = int(np.clip(lx * ly * rng.uniform(0.1, 0.55), 3, 16))
        for _ in range(3 * wanted):
            thing = weighted(rng, STANDING)
            radius = RADIUS.get(thing, SMALL_RADIUS_M)
            x, y = rng.uniform(radius, lx - radius), rng.uniform(radius, ly - radius)
            if not self.builder.free(x, y, radius):
                continue
            self.stand(thing, x, y)
            wanted -= 1
            if wanted <= 0:
                break
        for _ in range(int(rng.random() < 0.25) * int(rng.integers(1, 3))):
            self.builder.new()
            x, y = rng.uniform(0.5, lx - 0.5), rng.uniform(0.5, ly - 0.5)
            furniture.hanging_lamp(Place(self.builder, x, y, 0.0), rng, lz)

    def stand(self, thing: Callable[..., None], x: float, y: float) -> None:
        """Stand one thing at (x, y), turned anyhow or along the walls."""
        rng = self.rng
        self.builder.new()
        yaw = rng.uniform(-math.pi, math.pi) if rng.random() < 0.6 else pick(rng, (0, 1, 2, 3)) * math.pi / 2
        place = Place(self.builder, x, y, yaw)
        if thing is furniture.column:
            thing(place, rng, self.size[2])
        else:
            thing(place, rng)
