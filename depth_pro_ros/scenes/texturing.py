"""How surfaces get their colour: the pixels that show a material, and what patterns have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from depth_pro_ros.scenes.patterns import cell_hash, fade, noise, step, stripes


@dataclass
class Surface:
    """Pixels (N) on surfaces: face coordinates u, v from its middle, height above its base, footprints, tints.

    `tints` is the table (6, M) of both colours of every solid, `rows` (N) which solid each pixel shows.
    """

    u: Tensor
    v: Tensor
    height: Tensor
    fu: Tensor
    fv: Tensor
    half_u: Tensor
    half_v: Tensor
    flat: Tensor
    phase: Tensor
    rows: Tensor
    tints: Tensor

    def at(self, part: slice) -> Surface:
        """Return a run of the pixels."""
        return Surface(*(getattr(self, field.name)[part] for field in fields(self)[:-1]), self.tints)

    @property
    def tint(self) -> Tensor:
        """Return the first colour, (3, N)."""
        return self.tints[:3].index_select(1, self.rows)

    @property
    def tint2(self) -> Tensor:
        """Return the second colour, (3, N)."""
        return self.tints[3:].index_select(1, self.rows)

    @property
    def footprint(self) -> Tensor:
        """Return a compromise of the two footprints for isotropic textures."""
        return torch.sqrt(self.fu * self.fv)


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return colours (3, N) between `a` and `b`, of which `share` (N) is `b`."""
    return a + (b - a) * share


def grain(s: Surface, scale: float = 1.0, stretch: float = 1.0) -> Tensor:
    """Return noise of deviation 0.5 over the surface, other on every solid."""
    return noise(s.u + s.phase * 1.7, (s.v + s.phase) * stretch, s.footprint, scale)


def grid(s: Surface, u: Tensor, v: Tensor, size_u: float, size_v: float, joint: float) -> Tensor:
    """Return the share of joints of a grid."""
    a = stripes(u, size_u, joint, s.fu)
    b = stripes(v, size_v, joint, s.fv)
    return a + b - a * b


def tiles(s: Surface, u: Tensor, v: Tensor, size: float, joint: float, tone: float) -> Tensor:
    """Square tiles in `tint`, joints in `tint2`."""
    cells = cell_hash(torch.floor(u / size), torch.floor(v / size), s.phase) * fade(torch.maximum(s.fu, s.fv), size)
    body = s.tint * (1 + tone * cells + 0.05 * grain(s))
    return mix(body, s.tint2, grid(s, u, v, size, size, joint))


def edges(s: Surface, width: float) -> Tensor:
    """Return the share of a rim of the face, for boxes."""
    du, dv = s.half_u - s.u.abs(), s.half_v - s.v.abs()
    return torch.maximum(step(width - du, s.fu), step(width - dv, s.fv))
