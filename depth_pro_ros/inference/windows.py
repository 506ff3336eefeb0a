"""Rectangles of a map that a change reaches, and the recomputation of nothing but them.

A convolution sees `reach` pixels far, so a change of its input inside a box changes its output inside the box grown by
that much, and to compute this output it takes the input grown once more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

JOIN = 1.15  # two boxes become one when the one is at most this much larger than both together


@dataclass(frozen=True)
class Box:
    """Rows `top` to `bottom` and columns `left` to `right` of a map, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        """Return the number of pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    def grown(self, by: int, side: int) -> Box:
        """Return the box with `by` more pixels on each side, as far as a map of `side` x `side` has them."""
        return Box(
            max(self.top - by, 0), max(self.left - by, 0), min(self.bottom + by, side), min(self.right + by, side)
        )

    def aligned(self, step: int) -> Box:
        """Return the smallest box around this one whose corners are multiples of `step`."""
        return Box(
            self.top // step * step,
            self.left // step * step,
            -(-self.bottom // step) * step,
            -(-self.right // step) * step,
        )

    def scaled(self, numerator: int, denominator: int = 1) -> Box:
        """Return the box on a map `numerator / denominator` times the size; its corners must be divisible."""
        return Box(*(end * numerator // denominator for end in (self.top, self.left, self.bottom, self.right)))

    def inside(self, outer: Box) -> Box:
        """Return this box in the coordinates of a crop `outer`."""
        return Box(self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left)

    def hull(self, other: Box) -> Box:
        """Return the smallest box around both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def bands(self, rows: int) -> Iterator[Box]:
        """Yield the box in parts of at most `rows` rows."""
        for top in range(self.top, self.bottom, rows):
            yield Box(top, self.left, min(top + rows, self.bottom), self.right)

    def of(self, plane: Tensor) -> Tensor:
        """Return the view of this box of (B, C, H, W)."""
        return plane[:, :, self.top : self.bottom, self.left : self.right]


def whole(plane: Tensor) -> Box:
    """Return the box of all of (B, C, H, W)."""
    return Box(0, 0, plane.shape[-2], plane.shape[-1])


def joined(boxes: Iterable[Box]) -> list[Box]:
    """Return fewer boxes that cover the same: those that overlap or nearly touch become one.

    Two of the result may still overlap by a little, where one box around both would be much larger.
    """
    result = list(dict.fromkeys(boxes))
    while pair := next((pair for pair in itertools.combinations(result, 2) if _better_as_one(*pair)), None):
        result = [box for box in result if box not in pair] + [pair[0].hull(pair[1])]
    return result


def _better_as_one(one: Box, other: Box) -> bool:
    return one.hull(other).area <= JOIN * (one.area + other.area)


def recompute(
    plane: Tensor, changed: Iterable[Box], reach: int, step: int, rows: int, compute: Callable[[Box], Tensor]
) -> tuple[list[Box], int]:
    """Renew what a change reaches of `plane` (1, C, H, H); return the boxes renewed and how many pixels it took.

    `changed` says where the input differs, on the plane's own grid; `compute(window)` returns the plane's values in a
    window whose corners are multiples of `step`, which may be wrong nearer than `reach` to its inner sides. Never more
    than `rows` rows of the plane are renewed at once, which bounds the memory.
    """
    side, pixels = plane.shape[-1], 0
    renewed = joined(box.grown(reach, side) for box in changed)
    for box in renewed:
        for band in box.bands(rows):
            window = band.grown(reach, side).aligned(step)
            band.of(plane).copy_(band.inside(window).of(compute(window)))
            pixels += window.area
    return renewed, pixels
