"""What rooms and furniture look like: metric patterns whose sizes are standardised, so that a picture tells its scale.

A material is a function of a `Surface`, the pixels that show it, that returns their albedo (3, N).
"""

from __future__ import annotations

import torch
from torch import Tensor

from depth_pro_ros.scenes.patterns import band, cell_hash, fade, noise, step, stripes
from depth_pro_ros.scenes.texturing import Surface, edges, grain, grid, mix, tiles


def floor_tiles_30(s: Surface) -> Tensor:
    """Light floor tiles of 0.30 m with dark joints."""
    return tiles(s, s.u + s.phase, s.v + s.phase * 0.7, 0.30, 0.008, 0.05)


def floor_tiles_60(s: Surface) -> Tensor:
    """Grey stone tiles of 0.60 m, mottled."""
    body = tiles(s, s.u + s.phase, s.v + s.phase * 0.7, 0.60, 0.006, 0.08)
    return body * (1 + 0.12 * grain(s, 3.0))


def planks(s: Surface) -> Tensor:
    """Wood planks 0.12 m wide and 1.2 m long, staggered."""
    turn = s.phase > 0.5
    u, v = torch.where(turn, s.v, s.u) + s.phase, torch.where(turn, s.u, s.v) + s.phase
    fu, fv = torch.where(turn, s.fv, s.fu), torch.where(turn, s.fu, s.fv)
    row = torch.floor(v / 0.12)
    along = u + row * 0.47
    tone = cell_hash(torch.floor(along / 1.2), row, s.phase) * fade(fv, 0.12)
    streak = noise(u * 0.12 + tone, v, torch.maximum(fu * 0.12, fv))
    a, b = stripes(v, 0.12, 0.004, fv), stripes(along, 1.2, 0.004, fu)
    body = s.tint * (1 + 0.16 * tone + 0.14 * streak)
    return body * (1 - 0.7 * (a + b - a * b))


def carpet(s: Surface) -> Tensor:
    """Carpet squares of 0.5 m in two tones."""
    u, v = s.u + s.phase, s.v + s.phase * 0.7
    odd = torch.remainder(torch.floor(u / 0.5) + torch.floor(v / 0.5), 2) * 2 - 1
    odd = odd * fade(torch.maximum(s.fu, s.fv), 0.5) * 0.5 + 0.5
    return mix(s.tint, s.tint2, odd) * (1 + 0.22 * grain(s, 0.8))


def brick(s: Surface) -> Tensor:
    """Bricks of 0.25 x 0.065 m with mortar of 10 mm, in running bond."""
    row = torch.floor(s.height / 0.065)
    along = s.u + s.phase + torch.remainder(row, 2) * 0.125
    tone = cell_hash(torch.floor(along / 0.25), row, s.phase) * fade(torch.maximum(s.fv, 0.3 * s.fu), 0.065)
    body = s.tint * (1 + 0.22 * tone + 0.08 * grain(s))
    a, b = stripes(along, 0.25, 0.010, s.fu), stripes(s.height, 0.065, 0.010, s.fv)
    return mix(body, s.tint2, a + b - a * b)


def plaster(s: Surface) -> Tensor:
    """Painted plaster with a skirting board of 0.10 m."""
    skirting = step(0.10 - s.height, s.fv) * s.flat.logical_not()
    return mix(s.tint * (1 + 0.05 * grain(s, 2.0)), s.tint2, skirting)


def wainscot(s: Surface) -> Tensor:
    """Paint in `tint2` up to 1.0 m with a pale rail and a dark skirting board, `tint` above."""
    lower = step(1.0 - s.height, s.fv)
    paint = mix(s.tint, s.tint2, lower)
    paint = mix(paint, torch.full_like(paint, 0.75), band(s.height - 1.0, 0.03, s.fv))
    return paint * ((1 + 0.05 * grain(s, 2.0)) * (1 - 0.65 * step(0.10 - s.height, s.fv)))


def wall_tiles(s: Surface) -> Tensor:
    """Glazed wall tiles of 0.15 m."""
    return tiles(s, s.u + s.phase, s.height, 0.15, 0.005, 0.06)


def ceiling_panels(s: Surface) -> Tensor:
    """Ceiling panels of 0.6 m in a metal grid, speckled."""
    u, v = s.u + s.phase, s.v + s.phase * 0.7
    return mix(s.tint * (1 + 0.08 * grain(s, 1.0)), s.tint2, grid(s, u, v, 0.6, 0.6, 0.02))


def plain(s: Surface) -> Tensor:
    """Paint, plastic or metal in one colour."""
    return s.tint * (1 + 0.04 * grain(s, 2.0))


def cardboard(s: Surface) -> Tensor:
    """Cardboard with a tape of 0.05 m over the middle and worn edges."""
    tape = band(s.u, 0.025, s.fu) * torch.where(s.flat, 1.0, (s.v > s.half_v * 0.6).float())
    body = s.tint * (1 + 0.08 * grain(s, 2.0))
    body = mix(body, s.tint * 0.55 + 0.35, tape * 0.8)
    flap = band(s.u, 0.004, s.fu) * s.flat
    return body * (1 - 0.4 * edges(s, 0.008) - 0.4 * flap)


def crate(s: Surface) -> Tensor:
    """A wooden crate: boards of 0.10 m within a frame of 0.06 m."""
    frame = edges(s, 0.06)
    boards = stripes(s.height.where(~s.flat, s.v + s.half_v), 0.10, 0.012, s.fv) * (1 - frame)
    body = s.tint * (1 + 0.15 * noise(s.u * 0.3 + s.phase, s.v + s.phase, s.footprint) + 0.18 * frame)
    return body * (1 - 0.7 * boards - 0.35 * edges(s, 0.006))


def wood(s: Surface) -> Tensor:
    """Furniture wood: grain along the longer side."""
    long = s.half_u > s.half_v
    u, v = torch.where(long, s.u, s.v), torch.where(long, s.v, s.u)
    return s.tint * (1 + 0.16 * noise(u * 0.15 + s.phase, v + s.phase * 3, s.footprint) - 0.15 * edges(s, 0.006))


def door(s: Surface) -> Tensor:
    """A door leaf with two sunken panels."""
    x = s.u.abs()
    rim = torch.zeros_like(x)
    for low, high in ((0.15, 0.85), (1.15, 1.85)):
        du, dv = 0.30 - x, 0.5 * (high - low) - (s.height - 0.5 * (low + high)).abs()
        inside = torch.minimum(du, dv)
        rim = torch.maximum(rim, band(inside - 0.012, 0.012, torch.maximum(s.fu, s.fv)))
    streak = noise(s.u, s.v * 0.15 + s.phase, s.footprint)
    return s.tint * ((1 + 0.08 * streak) * (1 - 0.35 * rim))


def window(s: Surface) -> Tensor:
    """Glass, bright with sky and something dark below, and a cross of bars of 0.06 m; the frame is tint."""
    bars = torch.maximum(band(s.u, 0.03, s.fu), band(s.v, 0.03, s.fv))
    bars = torch.maximum(bars, edges(s, 0.06))
    ground = step(-s.v - 0.15 + 0.25 * noise(s.u * 0.5 + s.phase, s.phase, s.footprint), s.fv + 0.02)
    outside = mix(s.tint2, s.tint2 * torch.tensor([[0.30], [0.42], [0.22]], device=s.u.device), ground)
    return mix(outside, s.tint, bars)


def picture(s: Surface) -> Tensor:
    """A framed picture: blobs in two tints."""
    blobs = (noise(s.u + s.phase, s.v, s.footprint, 3.0) * 1.5 + 0.5).clamp(0, 1)
    second = (noise(s.v - s.phase, s.u + 0.37, s.footprint, 4.0) * 0.8 + 0.7).clamp(0.1, 1.2)
    image = mix(s.tint, s.tint2, blobs) * second
    return mix(image, torch.full_like(image, 0.06), edges(s, 0.03))


def lamp(s: Surface) -> Tensor:
    """A lit lamp."""
    return s.tint


def hoops(s: Surface) -> Tensor:
    """Bands of 0.1 m, tint and white: cones and barrier poles."""
    white = stripes(s.height, 0.2, 0.1, s.fv)
    return mix(s.tint, torch.full_like(s.tint, 0.8), white)


def clothes(s: Surface) -> Tensor:
    """Shoes to 0.08 m, trousers in `tint2` to 0.95 m, a shirt in `tint` above."""
    legs = mix(s.tint, s.tint2, step(0.95 - s.height, s.fv))
    legs = mix(legs, torch.full_like(legs, 0.04), step(0.08 - s.height, s.fv))
    belt = band(s.height - 0.95, 0.02, s.fv)
    return legs * ((1 + 0.15 * grain(s, 1.5)) * (1 - 0.6 * belt))


def leaves(s: Surface) -> Tensor:
    """Foliage."""
    return s.tint * (1 + 0.6 * noise(s.u + s.phase, s.height + s.phase, s.footprint, 1.0)).clamp_(0.2, 2)


def speckled(s: Surface) -> Tensor:
    """Terrazzo or concrete."""
    return s.tint * (1 + 0.15 * grain(s, 4.0) + 0.12 * grain(s, 0.7))


def books(s: Surface) -> Tensor:
    """Spines of books, 0.04 m wide."""
    cell = torch.floor((s.u + s.half_u) / 0.04)
    tone = cell_hash(cell, s.phase * 100, s.phase)
    hue = cell_hash(s.phase * 77, cell, s.phase) * 0.5 + 0.5
    visible = fade(s.fu, 0.04)
    body = mix(s.tint, s.tint2, 0.5 + (hue - 0.5) * visible) * (1 + 0.4 * tone * visible)
    return body * (1 - 0.6 * stripes(s.u + s.half_u, 0.04, 0.005, s.fu))
