"""Depth as pictures for people: colours, and labelled panels side by side. All images are RGB uint8.

Colours are Turbo (Mikhailov 2019) over *inverse* depth, which spreads the near range that matters to a
robot: near is red, far is dark blue. Two colours outside of Turbo mark what has no depth: black is
unknown (NaN) and pale grey-blue is beyond the range (+Inf, sky).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError

UNKNOWN_RGB = (0, 0, 0)
BEYOND_RGB = (206, 216, 230)
INK_RGB = (235, 235, 235)
PAPER_RGB = (24, 26, 30)
RANGE_PERCENTILES = (2.0, 98.0)

_BEYOND, _UNKNOWN = 256, 257  # indices behind Turbo's 256 colours
_SAMPLES = 40_000  # enough for a percentile that only chooses colours
_BAND, _GAP, _BAR = 26, 6, 84  # pixels: title band, space between panels, width of the colour bar
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.48


def _turbo_table() -> np.ndarray:
    """Return (258, 3) uint8 RGB: Turbo, then the colours of beyond and of unknown."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    turbo = cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)[:, 0, ::-1]
    return np.vstack((turbo, [BEYOND_RGB], [UNKNOWN_RGB])).astype(np.uint8)


_TABLE = _turbo_table()


def depth_range(depth_m: np.ndarray) -> tuple[float, float] | None:
    """Return the (near, far) metres that colours should span: the 2nd and 98th percentile of the known depths.

    A flat depth is widened by a tenth either way. None when no depth is known.
    """
    stride = max(1, math.isqrt(depth_m.size // _SAMPLES))
    for sample in (depth_m[::stride, ::stride], depth_m):
        known = sample[np.isfinite(sample) & (sample > 0)]
        if known.size:
            break
    else:
        return None
    near, far = (float(v) for v in np.percentile(known, RANGE_PERCENTILES))
    return (near, far) if far > 1.01 * near else (0.9 * near, 1.1 * far)


def colour_depth(depth_m: np.ndarray, near_m: float | None = None, far_m: float | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a depth (H, W) in metres; an end of the range not given is `depth_range`'s.

    Depth nearer than `near_m` or farther than `far_m` takes the colour of that end; NaN, zero and negative
    depth are UNKNOWN_RGB and +Inf is BEYOND_RGB. Raises ConfigurationError unless 0 < near_m < far_m.
    """
    near, far = _span(depth_m, near_m, far_m)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = (1.0 / depth_m - 1.0 / far) * (255.0 / (1.0 / near - 1.0 / far))
        known = (depth_m > 0) & (depth_m < np.inf)
        level = np.where(known, np.clip(np.rint(level), 0, 255), _UNKNOWN)
    level[np.isposinf(depth_m)] = _BEYOND
    return np.take(_TABLE, level.astype(np.intp), axis=0)


def _span(depth_m: np.ndarray, near_m: float | None, far_m: float | None) -> tuple[float, float]:
    """Return the range that the colours span: what is given, else the depth's own, kept in order."""
    near, far = near_m, far_m
    if near is None or far is None:
        own_near, own_far = depth_range(depth_m) or (1.0, 10.0)  # without a known depth, no pixel uses it
        far = (own_far if near is None else max(own_far, 1.1 * near)) if far is None else far
        near = min(own_near, 0.9 * far) if near is None else near
    if not 0.0 < near < far < math.inf:
        raise ConfigurationError(
            f"the colours of a depth picture were to span {near} to {far} m: give 0 < near < far, in metres"
        )
    return near, far


def side_by_side(
    rgb: np.ndarray,
    depth_m: np.ndarray,
    caption: str = "depth",
    near_m: float | None = None,
    far_m: float | None = None,
    height: int | None = None,
) -> np.ndarray:
    """Return the photo (H, W, 3) beside its depth (h, w) in metres in colours, with a bar that reads metres.

    `height` is that of each panel in pixels, by default the photo's within 240 to 720. Depth is resized by
    nearest neighbour before it is coloured, so that no colour is mixed that stands for no depth.
    """
    height = min(max(rgb.shape[0], 240), 720) if height is None else height
    span = _span(depth_m, near_m, far_m)
    width = max(1, round(depth_m.shape[1] * height / depth_m.shape[0]))
    small = cv2.resize(depth_m, (width, height), interpolation=cv2.INTER_NEAREST)
    bar_m = None if depth_range(depth_m) is None else span
    return panels([("photo", rgb), (caption, colour_depth(small, *span))], bar_m, height)


def panels(
    images: Sequence[tuple[str, np.ndarray]], bar_m: tuple[float, float] | None = None, height: int | None = None
) -> np.ndarray:
    """Return one picture of (title, RGB image) panels in a row, each under its title, on a dark ground.

    Every image is resized to `height` pixels (by default the first one's), keeping its aspect. `bar_m`
    (near, far) adds the colour bar of `colour_depth` at the right. Raises ConfigurationError for no panel.
    """
    if not images:
        raise ConfigurationError("a picture of 0 panels was asked for: give at least one (title, image)")
    height = images[0][1].shape[0] if height is None else height
    columns = []
    for title, image in images:
        columns += [_titled(title, _to_height(image, height)), _ground(height + _BAND, _GAP)]
    if bar_m is None:
        return np.hstack(columns[:-1])
    return np.hstack([*columns, np.vstack((_ground(_BAND, _BAR), _colour_bar(height, *bar_m)))])


def _ground(height: int, width: int) -> np.ndarray:
    """Return an empty (height, width, 3) piece of the dark ground."""
    return np.full((height, width, 3), PAPER_RGB, np.uint8)


def _to_height(image: np.ndarray, height: int) -> np.ndarray:
    """Return the RGB image resized to `height` with its aspect kept."""
    if image.shape[0] == height:
        return image
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    smaller = height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _titled(title: str, image: np.ndarray) -> np.ndarray:
    """Return the image under a band with its title, written smaller where it would not fit."""
    band = _ground(_BAND, image.shape[1])
    written = cv2.getTextSize(title, _FONT, _FONT_SCALE, 1)[0][0]
    scale = _FONT_SCALE * min(1.0, (image.shape[1] - 12) / max(written, 1))
    if scale > 0:
        _write(band, title, (6, _BAND - 9), scale)
    return np.vstack((band, image))


def _write(image: np.ndarray, text: str, corner: tuple[int, int], scale: float = _FONT_SCALE) -> None:
    """Write `text` into the image in place with its lower left at `corner` (u, v)."""
    cv2.putText(image, text, corner, _FONT, scale, INK_RGB, 1, cv2.LINE_AA)


def _colour_bar(height: int, near_m: float, far_m: float) -> np.ndarray:
    """Return (height, _BAR, 3): Turbo from far (top) to near (bottom), linear in inverse depth, with metres."""
    bar = _ground(height, _BAR)
    margin = 8
    rows = max(height - 2 * margin, 2)
    inverse = np.linspace(1.0 / far_m, 1.0 / near_m, rows)
    bar[margin : margin + rows, 4:20] = colour_depth(1.0 / inverse[:, None], near_m, far_m)
    ticks = max(2, min(7, height // 40))
    for row in np.linspace(0, rows - 1, ticks).round().astype(int):
        v = margin + int(row)
        bar[v, 20:25] = INK_RGB
        _write(bar, _metres(1.0 / inverse[row]), (28, min(v + 5, height - 3)), 0.4)
    return bar


def _metres(value: float) -> str:
    """Return a length for a label: two figures below 10 m, whole metres above."""
    if value >= 10:
        return f"{value:.0f} m"
    return f"{value:.1f} m" if value >= 1 else f"{value:.2f} m"
