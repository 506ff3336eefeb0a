"""A room along whose middle a camera can fly: furniture left and right of an aisle."""

from __future__ import annotations

from depth_pro_ros.scenes import furniture
from depth_pro_ros.scenes.layout import Layout
from depth_pro_ros.scenes.palette import weighted
from depth_pro_ros.scenes.rooms import RADIUS, SMALL_RADIUS_M, STANDING, RoomPlan

AISLE_M = 0.6  # half of its width
_BULKY = (furniture.column, furniture.steps, furniture.table)
_FIRST_M, _LAST_M = 2.4, 0.8
_BRICKS = (  # rich enough in texture for stereo and for tracks
    ("brick", (0.40, 0.15, 0.09), (0.50, 0.47, 0.42)),
    ("brick", (0.50, 0.33, 0.20), (0.55, 0.52, 0.46)),
)


class AislePlan(RoomPlan):
    """A room of the robot's world, 12 to 15 m long, all lamps lit, its walls of brick."""

    walls = _BRICKS
    racked = (2, 3)
    lamps_on = 1.0

    def draw_size(self) -> tuple[float, float, float]:
        """Return the size of a long room."""
        rng = self.rng
        return rng.uniform(12.0, 15.0), rng.uniform(3.8, 4.6), rng.uniform(2.5, 2.8)

    def niches(self) -> None:
        """Leave the walls straight."""

    def furnish(self) -> None:
        """Stand things on both sides of the aisle in turn."""
        rng, (lx, ly, _) = self.rng, self.size
        things = tuple((thing, weight) for thing, weight in STANDING if thing not in _BULKY)
        x, side = _FIRST_M, 1
        while x < lx - _LAST_M:
            thing = weighted(rng, things)
            radius = RADIUS.get(thing, SMALL_RADIUS_M)
            y = ly / 2 + side * rng.uniform(AISLE_M + radius, ly / 2 - radius)
            if self.builder.free(x, y, radius):
                self.stand(thing, x, y)
            x, side = x + rng.uniform(0.3, 0.9), -side

    def layout(self) -> Layout:
        """Return the room as a world whose cameras are in the aisle."""
        layout = super().layout()
        middle = self.size[1] / 2
        layout.walk = (_LAST_M, self.size[0] - _FIRST_M, middle - 0.1, middle + 0.1)
        return layout
