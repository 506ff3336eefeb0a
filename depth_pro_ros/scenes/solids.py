"""Where rays meet solids: boxes by slabs, balls and upright cylinders and cones by quadratics (PBRT, ch. 6).

A ray is o + t d with d of optical z 1, so t is depth along the optical axis. `rays` holds the components of d and
what many solids share; a solid's numbers are Python floats (one world) or (B, 1, 1) tensors (one solid of each of B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NEAR_M = 0.02
TINY = 1e-9
Number = Any  # float or Tensor (B, 1, 1)
Triple = tuple[Number, Number, Number]


@dataclass(frozen=True)
class Rays:
    """Ray directions (B, H, W) by component, their squared lengths and the inverse of these."""

    x: Tensor
    y: Tensor
    z: Tensor
    squared: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, z: Tensor) -> Rays:
        """Return the rays with the given direction components."""
        squared = x * x + y * y + z * z
        return cls(x, y, z, squared, 1.0 / squared)

    def window(self, rows: slice, columns: slice) -> Rays:
        """Return the rays of a rectangle of the image, as views."""
        return Rays(self.x[:, rows, columns], self.y[:, rows, columns], self.z[:, rows, columns], self.squared,
                    self.inverse[:, rows, columns])


def _slab(origin: Number, direction: Tensor, half: Number) -> tuple[Tensor, Tensor]:
    inverse = (direction + TINY).reciprocal_()  # a ray in a slab's plane is judged by its origin, not by 0/0
    middle = inverse * -origin
    reach = inverse.abs_().mul_(half)
    return middle - reach, middle.add_(reach)


def box(rays: Rays, o: Triple, half: Triple, c: Number, s: Number) -> Tensor:
    """Return t, inf where none, of a box turned by yaw (c, s); `o` is the camera relative to its centre."""
    enter, leave = _slab(o[0] * c + o[1] * s, rays.x * c + rays.y * s, half[0])
    e, f = _slab(o[1] * c - o[0] * s, rays.y * c - rays.x * s, half[1])
    enter, leave = torch.maximum(enter, e, out=e), torch.minimum(leave, f, out=f)
    e, f = _slab(o[2], rays.z, half[2])
    enter, leave = torch.maximum(enter, e), torch.minimum(leave, f)
    return enter.masked_fill_((enter > leave) | (enter < NEAR_M), torch.inf)


def ball(rays: Rays, o: Triple, radius: Number) -> Tensor:
    """Return t of a ball; the closest point to the centre comes first, so that float32 does not cancel."""
    along = (rays.x * -o[0] - rays.y * o[1] - rays.z * o[2]) * rays.inverse
    x, y, z = rays.x * along + o[0], rays.y * along + o[1], rays.z * along + o[2]
    inside = radius * radius - (x * x + y * y + z * z)
    t = along - (inside * rays.inverse).clamp_(min=0).sqrt_()
    return t.masked_fill_((inside < 0) | (t < NEAR_M), torch.inf)


def cone(rays: Rays, o: Triple, low: Number, high: Number, half: Number, both: bool) -> Tensor:
    """Return t of an upright capped cone, radius `low` at its base and `high` at its top, 2 `half` high.

    `both` also looks at the second root, which only rays steeper than the side can see.
    """
    slope = (high - low) / (2 * half)
    height = o[2] + half
    w = slope * height + low
    e = rays.z * slope
    cross = rays.y * o[0] - rays.x * o[1]
    p, q = rays.x * w - e * o[0], rays.y * w - e * o[1]
    square = p * p + q * q - cross * cross
    a = rays.x * rays.x + rays.y * rays.y - e * e + TINY
    b = rays.x * o[0] + rays.y * o[1] - e * w
    root = square.clamp(min=0).sqrt_()
    result = None
    for t in ((-b - root) / a, (root - b) / a) if both else (((b + root) / a).neg_(),):
        z = rays.z * t + o[2]
        miss = (square < 0) | (t < NEAR_M) | (z.abs() > half)
        if both:
            miss |= (z + half) * slope + low < 0
        t = t.masked_fill(miss, torch.inf)
        result = t if result is None else torch.minimum(result, t)
    return torch.minimum(result, _cap(rays, o, low, high, half))


def _cap(rays: Rays, o: Triple, low: Number, high: Number, half: Number) -> Tensor:
    if isinstance(half, Tensor):
        above = o[2] > 0
        level, radius = torch.where(above, half, -half), torch.where(above, high, low)
        hidden = o[2].abs() <= half
    else:
        level, radius = (half, high) if o[2] > 0 else (-half, low)
        hidden = abs(o[2]) <= half
        if hidden:
            return torch.full_like(rays.x, torch.inf)
    t = (level - o[2]) * (rays.z + TINY).reciprocal_()
    x, y = rays.x * t + o[0], rays.y * t + o[1]
    return t.masked_fill_((x * x + y * y > radius * radius) | (t < NEAR_M) | hidden, torch.inf)
