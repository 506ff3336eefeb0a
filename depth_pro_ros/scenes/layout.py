"""What a world consists of: a table of solids, the ground they take, light, and where a camera may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

BOX, BALL, CYLINDER, CONE, FACE, SKY = range(6)
_ORDER = (SKY, FACE, BOX, BALL, CYLINDER, CONE)
COLUMNS = (
    "cx", "cy", "cz", "hx", "hy", "hz", "cos", "sin", "material", "r", "g", "b", "r2", "g2", "b2", "phase", "instance",
    "nx", "ny", "nz", "kind",
)  # fmt: skip
COLUMN = {name: index for index, name in enumerate(COLUMNS)}
GREY = (0.5, 0.5, 0.5)
_UNBOUNDED_M = 1e6
_GROUND_M = 50.0  # solids with a longer half side are ground, hills and the like: no obstacles
_LOW_M = 0.25

Colour = tuple[float, float, float]


@dataclass
class Spot:
    """The ground an object takes: a box about (x, y) turned by `yaw`, and from where to where it reaches up, metres."""

    x: float
    y: float
    half_x: float
    half_y: float
    yaw: float
    bottom: float
    top: float

    def distance(self, x: float, y: float) -> float:
        """Return how far the point is from the spot, metres; 0 inside."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        u, v = c * (x - self.x) + s * (y - self.y), c * (y - self.y) - s * (x - self.x)
        return math.hypot(max(abs(u) - self.half_x, 0.0), max(abs(v) - self.half_y, 0.0))


class Builder:
    """Collects solids (rows of COLUMNS) and the ground they take."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.spots: list[Spot] = []
        self.instance = 0

    def new(self) -> None:
        """Start a new instance: solids added from now on belong together."""
        self.instance += 1

    def add(
        self, kind: int, centre: Sequence[float], half: Sequence[float], yaw: float, material: int, tint: Colour,
        tint2: Colour = GREY, phase: float = 0.0, normal: Colour = (0.0, 0.0, 0.0),
    ) -> None:  # fmt: skip
        """Add one solid to the current instance; `half` is (hx, hy, hz), or (base radius, top radius, half height)."""
        place = (*centre, *half, math.cos(yaw), math.sin(yaw))
        self.rows.append((*place, material, *tint, *tint2, phase, self.instance, *normal, kind))

    def free(self, x: float, y: float, radius: float) -> bool:
        """Return whether a circle touches no spot."""
        return all(spot.distance(x, y) >= radius for spot in self.spots)

    def table(self) -> np.ndarray:
        """Return all solids, (N, len(COLUMNS)) float64, in the order of their kinds; sky and faces first."""
        table = np.array(self.rows)
        rank = np.argsort(_ORDER)[table[:, COLUMN["kind"]].astype(int)]
        return table[np.argsort(rank, kind="stable")]


@dataclass
class Layout:
    """One world. `lower` and `upper` (3,) bound a closed room, in whose corner the origin lies, or nothing outdoors.

    `lamps` (L, 6) are positions and colours; the sun is a lamp far away. A camera may be in the rectangle `walk`
    (x0, x1, y0, y1). `haze` is the colour of fog, where it does not come from the picture.
    """

    builder: Builder
    walk: tuple[float, float, float, float]
    lamps: np.ndarray
    lower: tuple[float, float, float] = (-_UNBOUNDED_M, -_UNBOUNDED_M, 0.0)
    upper: tuple[float, float, float] = (_UNBOUNDED_M, _UNBOUNDED_M, _UNBOUNDED_M)
    haze: Colour | None = None
    table: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Make the table of solids."""
        self.table = self.builder.table()

    @property
    def closed(self) -> bool:
        """Return whether the world is a room, so that every ray meets something."""
        return self.upper[0] < _UNBOUNDED_M

    def obstacles(self) -> np.ndarray:
        """Return the rows of the solids that a camera must keep clear of."""
        solid = self.table[np.isin(self.table[:, COLUMN["kind"]], (BOX, BALL, CYLINDER, CONE))]
        if self.closed:
            return solid
        return solid[(solid[:, 3:6].max(1) < _GROUND_M) & (solid[:, 2] + solid[:, 5] > _LOW_M)]
