"""Where a thing stands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from depth_pro_ros.scenes.layout import GREY, Builder, Colour, Spot
from depth_pro_ros.scenes.materials import M


class Place:
    """A frame (x, y, yaw) on the floor; parts are given in it."""

    def __init__(self, b: Builder, x: float, y: float, yaw: float, bottom: float = 0.0) -> None:
        self.b, self.x, self.y, self.yaw, self.bottom = b, x, y, yaw, bottom
        self.c, self.s = math.cos(yaw), math.sin(yaw)

    def at(self, u: float, v: float, z: float) -> tuple[float, float, float]:
        """Return the world coordinates of (u, v, z) of the frame."""
        return self.x + self.c * u - self.s * v, self.y + self.s * u + self.c * v, z + self.bottom

    def add(
        self, kind: int, uvz: tuple[float, float, float], half: Sequence[float], material: str, tint: Colour,
        tint2: Colour = GREY, phase: float = 0.0,
    ) -> None:  # fmt: skip
        """Add one solid, its middle at uvz."""
        self.b.add(kind, self.at(*uvz), half, self.yaw, M[material], tint, tint2, phase)

    def spot(self, half_u: float, half_v: float, top: float) -> None:
        """Record the ground that the thing takes."""
        self.b.spots.append(Spot(self.x, self.y, half_u, half_v, self.yaw, self.bottom, self.bottom + top))
