"""Flying pixels: depth in the air between a near thing and what is behind it, where an edge of the depth is blurred.

A network, a resize and a sensor's footprint all blur edges. Seen from the camera that is harmless; in a cloud it draws
curtains behind every object, and a costmap takes them for obstacles. Such a pixel is known by three facts, in inverse
depth, in which planes are linear and sky is 0:

1. on one side of it, along its row or its column, something is nearer by more than a share of the depth;
2. on the other side something is farther by more than that;
3. both end there: at twice the distance there is nothing nearer still, and nothing farther. A plane, however slanted,
   goes on as it came, as a floor at a grazing angle does and an edge does not.

A thin pole is the nearest thing about it, so it stays, and its blurred flanks go. Pixels are compared with those of the
whole image, whatever the stride of the cloud, so that a coarse cloud loses no more than a fine one.
"""

from __future__ import annotations

import functools

import numpy as np

from depth_pro_ros.errors import ConfigurationError

_WITHIN, _BEYOND = (1 / 6, 1 / 2, 1.0), (1.5, 2.0)  # where each side is looked at, in widths of an edge
_GOES_ON = np.float32(0.5)  # of the change within, that makes it a slope when it follows beyond; a plane has 1
BAND_LINES = 64  # bands that stay in the processor's cache


def flying_pixels(depth_m: np.ndarray, edge_share: float, edge_px: float, stride: int = 1) -> np.ndarray:
    """Return where (h, w) bool every `stride`-th pixel of depth (H, W) float32 hangs between two surfaces.

    `edge_share` is how much nearer and farther its two sides are at least, as a share of the depth, and `edge_px` how
    wide a blurred edge is at most. +Inf is a far surface; NaN, what is not positive, and what lies beyond the image
    say nothing. Raises ConfigurationError for a share, width or stride that is not positive.
    """
    if not edge_share > 0 or not edge_px > 0 or stride < 1:
        raise ConfigurationError(
            f"edges of {edge_share} of the depth, {edge_px} px wide, at stride {stride}: share and width must be "
            "positive, the stride 1 or more; leave this filter out to keep every pixel"
        )
    flying = np.zeros(depth_m[::stride, ::stride].shape, bool)
    for axis in (0, 1):
        lines = depth_m[:, ::stride] if axis == 0 else depth_m[::stride]
        for first in range(0, lines.shape[1 - axis], BAND_LINES):
            band = _along(axis, slice(first, first + BAND_LINES))
            flying[band] |= _between(lines[band], axis, edge_px, stride, np.float32(1 + edge_share))
    return flying


def _along(axis: int, across: slice, along: slice = slice(None)) -> tuple[slice, slice]:
    """Return the index of lines that run along `axis`: which of them, and what part of each."""
    return (along, across) if axis == 0 else (across, along)


def _between(lines_m: np.ndarray, axis: int, edge_px: float, stride: int, more: np.float32) -> np.ndarray:
    """Return which of every `stride`-th pixels of depth along `axis` hang between what is on their two sides there."""
    looks = [max(i, round(share * edge_px)) for i, share in enumerate((*_WITHIN, *_BEYOND), start=1)]
    length, margin = lines_m.shape[axis], looks[-1]
    inverse = _inverse(lines_m, axis, margin)

    def beside(offset: int) -> np.ndarray:
        start = margin + offset
        part = inverse[_along(axis, slice(None), slice(start, start + length, stride))]
        return np.ascontiguousarray(part)  # which the arithmetic below is four times as fast on

    own = beside(0)
    one, other = (_ends(own, [beside(way * look) for look in looks], more) for way in (-1, 1))
    return (one[0] & other[1]) | (one[1] & other[0])


def _inverse(lines_m: np.ndarray, axis: int, margin: int) -> np.ndarray:
    """Return inverse depth with a margin of so many unknown pixels at both ends of its lines; NaN is unknown."""
    length = lines_m.shape[axis]
    inverse = np.full(lines_m.shape[:axis] + (length + 2 * margin,) + lines_m.shape[axis + 1 :], np.nan, np.float32)
    inside = inverse[_along(axis, slice(None), slice(margin, margin + length))]
    with np.errstate(divide="ignore"):
        np.divide(np.float32(1), lines_m, out=inside)
    np.copyto(inside, np.nan, where=lines_m <= 0)
    return inverse


def _ends(own: np.ndarray, looks: list[np.ndarray], more: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return whether something nearer, and whether something farther, than `own` begins and ends on one side."""
    within, beyond = looks[: len(_WITHIN)], looks[len(_WITHIN) :]
    high, low = functools.reduce(np.fmax, within), functools.reduce(np.fmin, within)
    rises = functools.reduce(np.fmax, beyond) >= high + _GOES_ON * (high - own)
    falls = functools.reduce(np.fmin, beyond) <= low - _GOES_ON * (own - low)
    return (high > own * more) & ~rises, (low * more < own) & ~falls
