"""Colours, drawn: linear light, so mid grey is 0.2."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from depth_pro_ros.scenes.layout import Colour

Rng = np.random.Generator
T = TypeVar("T")

WOODS = ((0.42, 0.25, 0.12), (0.55, 0.38, 0.20), (0.25, 0.13, 0.07), (0.62, 0.50, 0.34))
SKINS = ((0.62, 0.40, 0.29), (0.45, 0.27, 0.18), (0.22, 0.12, 0.08), (0.72, 0.50, 0.40))
CARDBOARD = (0.42, 0.29, 0.16)


def tinted(rng: Rng, colour: Colour, spread: float = 0.25) -> Colour:
    """Return the colour, a little brighter or darker and a little off hue."""
    gain = math.exp(rng.uniform(-spread, spread))
    r, g, b = (float(c) * gain * math.exp(rng.uniform(-0.3, 0.3) * spread) for c in colour)
    return r, g, b


def vivid(rng: Rng) -> Colour:
    """Return any paint: a random hue, more or less saturated, dark to light."""
    hue, saturation, value = rng.random() * 6, rng.random() ** 0.7 * 0.85, math.exp(rng.uniform(-2.3, -0.3))
    return tuple(value * (1 - saturation * (1 - min(1.0, max(0.0, abs((hue + k) % 6 - 3) - 1)))) for k in (0, 2, 4))


def scaled(colour: Colour, gains: float | Colour) -> Colour:
    """Return the colour times one gain or three."""
    gains = (gains, gains, gains) if isinstance(gains, (int, float)) else gains
    return colour[0] * gains[0], colour[1] * gains[1], colour[2] * gains[2]


def pick(rng: Rng, items: tuple[T, ...]) -> T:
    """Return one of the items."""
    return items[int(rng.integers(len(items)))]


def weighted(rng: Rng, table: tuple[tuple[T, float], ...]) -> T:
    """Return one of the items of (item, weight)."""
    at = rng.random() * sum(weight for _, weight in table)
    for item, weight in table:
        at -= weight
        if at <= 0:
            return item
    return table[-1][0]
