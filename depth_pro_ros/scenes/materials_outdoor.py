"""What streets, fields and the sky look like; see `materials_indoor`."""

from __future__ import annotations

import torch
from torch import Tensor

from depth_pro_ros.scenes.patterns import band, cell_hash, fade, noise, smooth_noise, step, stripes
from depth_pro_ros.scenes.texturing import Surface, edges, grain, mix, tiles

LANE_M = 3.5
STOREY_M = 3.0


def _like(s: Surface, colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colour, device=s.u.device)[:, None].expand(3, len(s.u))


def road(s: Surface) -> Tensor:
    """Asphalt with lanes of 3.5 m along u: marks of 0.12 m, dashes of 3 m every 6 m between, lines at the edges."""
    body = s.tint * (1 + 0.10 * grain(s, 6.0) + 0.18 * grain(s, 0.8))
    side = s.half_v - s.v.abs()
    lanes = torch.remainder(s.v + s.half_v + LANE_M / 2, LANE_M) - LANE_M / 2
    dashes = stripes(s.u + s.phase * 6, 6.0, 3.0, s.fu) * band(lanes, 0.06, s.fv) * (side > 1.0)
    line = band(side - 0.25, 0.06, s.fv)
    worn = (0.85 + 0.3 * grain(s, 0.5)).clamp(0, 1)
    return mix(body, _like(s, (0.72, 0.72, 0.70)), (dashes + line).clamp(max=1) * worn)


def slabs(s: Surface) -> Tensor:
    """Pavement of concrete slabs of 0.5 m."""
    return tiles(s, s.u + s.phase, s.v + s.phase, 0.5, 0.012, 0.10) * (1 + 0.10 * grain(s, 3.0))


def kerb(s: Surface) -> Tensor:
    """Kerb stones, 1 m long."""
    return s.tint * ((1 + 0.12 * grain(s)) * (1 - 0.6 * stripes(s.u + s.phase, 1.0, 0.012, s.fu)))


def facade(s: Surface) -> Tensor:
    """A plastered front: storeys of 3 m, windows of 1.2 x 1.4 m every 2.4 m with sills at 0.9 m and white frames."""
    column = torch.floor(s.u / 2.4 + 0.5)
    x, z = s.u - column * 2.4, torch.remainder(s.height, STOREY_M)
    storey = torch.floor(s.height / STOREY_M)
    inside = torch.minimum(0.6 - x.abs(), 0.7 - (z - 1.6).abs())
    footprint = torch.maximum(s.fu, s.fv)
    glass, frame = step(inside, footprint), band(inside, 0.05, footprint)
    cross = torch.maximum(band(x, 0.03, s.fu), band(z - 1.9, 0.03, s.fv)) * glass
    tone = cell_hash(column, storey, s.phase) * 0.5 + 0.5
    pane = mix(_like(s, (0.05, 0.07, 0.09)), _like(s, (0.35, 0.42, 0.50)), tone * fade(footprint, 2.4) * 0.8)
    wall = s.tint * (1 + 0.06 * grain(s, 3.0)) * (1 - 0.25 * band(z, 0.06, s.fv))
    wall = mix(wall, s.tint2, step(0.5 - s.height, s.fv))
    shown = s.flat.logical_not() * (s.height < 2 * s.half_v - 0.5)
    wall = mix(wall, pane, glass * shown)
    return mix(wall, _like(s, (0.62, 0.61, 0.58)), torch.maximum(frame, cross) * shown)


def brick_facade(s: Surface) -> Tensor:
    """A brick front, 0.25 x 0.065 m, with the windows of `facade`."""
    row = torch.floor(s.height / 0.065)
    along = s.u + torch.remainder(row, 2) * 0.125
    joint = stripes(along, 0.25, 0.010, s.fu) + stripes(s.height, 0.065, 0.010, s.fv)
    tone = cell_hash(torch.floor(along / 0.25), row, s.phase) * fade(torch.maximum(s.fv, 0.3 * s.fu), 0.065)
    front = facade(s)
    return front * torch.where(s.flat, 1.0, (1 + 0.18 * tone) * (1 + 0.35 * joint.clamp(max=1)))


def car_body(s: Surface) -> Tensor:
    """Car paint with a dark sill and a pale number plate on short sides."""
    end = (s.half_u < 1.2) & s.flat.logical_not()
    plate = band(s.u, 0.26, s.fu) * band(s.height - 0.25, 0.055, s.fv) * end
    body = s.tint * (1 - 0.75 * step(0.12 - s.height, s.fv)) * (1 - 0.3 * edges(s, 0.02))
    lamps = band(s.u.abs() - s.half_u + 0.22, 0.14, s.fu) * band(s.height - 0.45, 0.07, s.fv) * end
    return mix(mix(body, _like(s, (0.75, 0.75, 0.72)), plate), s.tint2, lamps)


def glazing(s: Surface) -> Tensor:
    """A car's cabin: dark glass in a frame of the car's colour."""
    return mix(_like(s, (0.03, 0.035, 0.04)), s.tint, torch.maximum(edges(s, 0.06), s.flat.float()))


def grass(s: Surface) -> Tensor:
    """A meadow: blades, tufts and patches."""
    blades = 0.45 * noise(s.u, s.v, s.footprint, 0.6) + 0.35 * smooth_noise(s.u, s.v, s.footprint, 5.0)
    patches = (smooth_noise(s.u + 3, s.v, s.footprint, 60.0) * 0.8 + 0.5).clamp(0, 1)
    return mix(s.tint, s.tint2, patches) * (1 + blades).clamp(0.25, 2)


def earth(s: Surface) -> Tensor:
    """A path of earth and gravel."""
    return s.tint * (1 + 0.3 * grain(s, 0.7) + 0.15 * grain(s, 8.0)).clamp(0.3, 2)


def bark(s: Surface) -> Tensor:
    """Bark: furrows along the trunk."""
    return s.tint * (1 + 0.6 * noise(s.u + s.phase, s.height * 0.2, s.footprint, 1.0)).clamp(0.2, 2)


def stone(s: Surface) -> Tensor:
    """A boulder."""
    return s.tint * (1 + 0.3 * noise(s.u + s.phase, s.height + s.phase, s.footprint, 2.0)).clamp(0.3, 2)


def roof(s: Surface) -> Tensor:
    """Roof tiles in rows of 0.35 m."""
    return s.tint * (1 + 0.15 * grain(s)) * (1 - 0.4 * stripes(s.v, 0.35, 0.04, s.fv))


def sky(s: Surface) -> Tensor:
    """The sky from horizon `tint` to zenith `tint2` with clouds; u, v and height are the direction's components."""
    up = s.height.clamp(min=0)
    body = mix(s.tint, s.tint2, up.sqrt())
    over = 1 / (up + 0.12)
    clouds = smooth_noise(s.u * over * 0.4 + s.phase * 9, s.v * over * 0.4, s.footprint * over, 1.5)
    return mix(body, _like(s, (0.75, 0.75, 0.75)), (clouds - 0.1 + 0.4 * s.phase).clamp(0, 1) * (up * 4).clamp(max=0.8))
