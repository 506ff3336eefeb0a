"""What hangs on a room's wall or stands along it: doors, windows, pictures, switches, sockets, racks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from depth_pro_ros.scenes import furniture
from depth_pro_ros.scenes.layout import BOX, GREY, Builder, Colour
from depth_pro_ros.scenes.materials import M
from depth_pro_ros.scenes.palette import WOODS, Rng, pick, scaled, tinted, vivid, weighted
from depth_pro_ros.scenes.place import Place

MAX_LAMPS = 6
WHITE_PLASTIC = (0.75, 0.75, 0.72)
FRAME = (0.62, 0.61, 0.58)
_STEEL = (0.35, 0.35, 0.34)
_STANDING: tuple[tuple[Callable[..., None], float], ...] = (
    (furniture.shelf, 1.5),
    (furniture.cabinet, 1.5),
    (furniture.box_stack, 1.0),
    (furniture.table, 0.6),
)
_HALF_WIDTH = {furniture.shelf: 0.45, furniture.cabinet: 0.4, furniture.box_stack: 0.3, furniture.table: 0.8}
_DEPTH = {furniture.shelf: 0.21, furniture.cabinet: 0.23, furniture.box_stack: 0.32, furniture.table: 0.47}
_NARROW_M = 2.4  # in rooms narrower than this nothing stands along the long walls
_SKIP_M = 0.3


class Wall:
    """Wall 0 to 3 (x-, x+, y-, y+) of a room of `size`; `lamps` are its windows' light, rows (x, y, z, r, g, b)."""

    def __init__(
        self, builder: Builder, rng: Rng, size: tuple[float, float, float], number: int, lamps: int, racks: bool = True
    ) -> None:
        """Make a wall of a room that has so many `lamps` already; without `racks` nothing stands along it."""
        self._builder, self._rng, self._size, self._number, self._room_lamps = builder, rng, size, number, lamps
        self._racks = racks
        self.lamps: list[np.ndarray] = []

    def fill(self) -> None:
        """Put things on the wall from one end to the other."""
        rng = self._rng
        length = self._size[1] if self._number < 2 else self._size[0]
        u = rng.uniform(0.3, 1.2)
        sunny = rng.random() < 0.35
        things = ((self._door, 1.0), (self._window, 1.4 if sunny else 0.0), (self._picture, 0.8), (self._socket, 0.8))
        things += ((self._rack, 1.1 if self._racks else 0.0),)
        while u < length - 1.0:
            thing = weighted(rng, things)
            u += thing(u, length - u - 0.2) + rng.uniform(0.15, 1.6)

    def at(self, u: float, out: float) -> tuple[float, float, float]:
        """Return (x, y, yaw) of the place at `u` along the wall, `out` into the room; +v of it points into the wall."""
        lx, ly, _ = self._size
        places = (out, u, math.pi / 2), (lx - out, u, -math.pi / 2), (u, out, math.pi), (u, ly - out, 0.0)
        return places[self._number]

    def _part(
        self, u: float, z: float, half: Sequence[float], material: str, tint: Colour, tint2: Colour = GREY,
        out: float = 0.0,
    ) -> None:  # fmt: skip
        """Add a box that lies on the wall; `half` is along it, its thickness and up."""
        x, y, yaw = self.at(u, out + half[1])
        self._builder.add(BOX, (x, y, z), half, yaw, M[material], tint, tint2, self._rng.random())

    def _door(self, u: float, space: float) -> float:
        """Add a door of 0.9 x 2.0 m, its frame, its handle at 1.05 m and a switch; return the width taken."""
        rng = self._rng
        if space < 1.2:
            return _SKIP_M
        middle = u + 0.5
        colour = tinted(rng, pick(rng, (*WOODS, (0.66, 0.65, 0.61), (0.2, 0.3, 0.42))))
        frame = pick(rng, (scaled(colour, 0.6), FRAME))
        self._builder.new()
        self._part(middle, 1.0, (0.45, 0.015, 1.0), "door", colour)
        for side in (-1, 1):
            self._part(middle + side * 0.485, 1.035, (0.035, 0.03, 1.035), "plain", frame)
        self._part(middle, 2.035, (0.45, 0.03, 0.035), "plain", frame)
        side = pick(rng, (-1, 1))
        self._part(middle + side * 0.34, 1.05, (0.06, 0.012, 0.012), "plain", _STEEL, out=0.06)
        self._part(middle + side * 0.39, 1.03, (0.02, 0.006, 0.09), "plain", (0.4, 0.4, 0.38), out=0.03)
        self._builder.new()
        self._part(middle + side * 0.68, 1.1, (0.04, 0.006, 0.04), "plain", WHITE_PLASTIC)
        return 1.3

    def _window(self, u: float, space: float) -> float:
        """Add a window of 1.2 x 1.2 m with its sill at 0.9 m, and the light that comes through it."""
        rng = self._rng
        if space < 1.3:
            return _SKIP_M
        middle = u + 0.6
        sky = scaled(pick(rng, ((0.85, 0.93, 1.0), (0.65, 0.8, 1.0))), tuple(rng.uniform(1.1, 2.0, 3).tolist()))
        self._builder.new()
        self._part(middle, 1.5, (0.6, 0.01, 0.6), "window", (0.6, 0.6, 0.58), sky)
        self._part(middle, 0.88, (0.66, 0.09, 0.02), "plain", FRAME)
        if self._room_lamps + len(self.lamps) < MAX_LAMPS - 1:
            x, y, _ = self.at(middle, 0.25)
            power = rng.uniform(0.5, 1.3) * np.array([0.85, 0.95, 1.1])
            self.lamps.append(np.array([x, y, 1.5, *power]))
        return 1.35

    def _picture(self, u: float, space: float) -> float:
        """Add a picture, its middle at 1.5 m."""
        rng = self._rng
        half_u, half_z = pick(rng, ((0.3, 0.4), (0.4, 0.3), (0.21, 0.297), (0.5, 0.35)))
        if space < 2 * half_u:
            return _SKIP_M
        self._builder.new()
        self._part(u + half_u, 1.5, (half_u, 0.012, half_z), "picture", vivid(rng), vivid(rng))
        return 2 * half_u

    def _socket(self, u: float, space: float) -> float:
        """Add a double socket at 0.3 m."""
        self._builder.new()
        self._part(u + 0.04, 0.3, (0.075, 0.006, 0.04), "plain", WHITE_PLASTIC)
        return 0.1

    def _rack(self, u: float, space: float) -> float:
        """Stand a shelf, a cupboard, boxes or a table along the wall."""
        thing = weighted(self._rng, _STANDING)
        half = _HALF_WIDTH[thing]
        if space < 2 * half:
            return _SKIP_M
        x, y, yaw = self.at(u + half, _DEPTH[thing])
        if self._builder.free(x, y, half * 0.7) and (self._size[1] > _NARROW_M or self._number < 2):
            self._builder.new()
            thing(Place(self._builder, x, y, yaw), self._rng)
        return 2 * half
