"""Foreground, background and layers of a depth image: where to cut so that the cuts run along depth discontinuities.

A cut is a depth. Its outline is where neighbouring pixels lie on either side of it; the outline is good where it runs
along jumps, and bad where it crosses a surface. A cut is judged by the share of its outline on jumps times the
separation of the two classes in inverse depth (Otsu 1979), all cuts at once, from histograms of neighbouring pairs.
A floor that reaches from the foreground into the background is cut somewhere all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError, ImageError

UNKNOWN = 0
_BINS = 256
_WORKING_SIDE = 320  # pixels: coarse enough for a blurred edge of a large image to be one step
_JUMP = 0.1  # neighbours whose depths differ by more than this share have a discontinuity between them
_SMOOTH = 0.05  # what an outline without any jump is worth, so that Otsu alone decides where nothing jumps
_LEAST_CLASS = 0.02  # of the known pixels on either side of a cut
_APART = 1.25  # ratio of the depths of two cuts, at least
_LATER_CUT = 0.35  # how good a further cut must be against the best
_ISLAND = 1e-3  # of the image: smaller pieces take the label about them


@dataclass(frozen=True, eq=False)
class Layers:
    """Labels (H, W) uint8 from 1, the nearest layer, on; 0 is unknown. `limits_m` (ascending) divide the layers.

    What is nearer than `split_m`, one of the limits, is the foreground. `on_jumps` is the share of the split's outline
    that runs along discontinuities: near 1 for an object before a wall, low where a surface is cut through.
    """

    labels: np.ndarray
    limits_m: tuple[float, ...]
    split_m: float
    on_jumps: float

    @property
    def foreground(self) -> np.ndarray:
        """Return the mask (H, W) bool of what is nearer than `split_m`."""
        return (self.labels > UNKNOWN) & (self.labels <= self.limits_m.index(self.split_m) + 1)


def separate(depth_m: np.ndarray, max_layers: int = 4, split_m: float | None = None) -> Layers:
    """Return the layers of depth (H, W) in metres; +Inf is the farthest one, NaN and what is not positive unknown.

    `split_m` sets the depth that ends the foreground instead of having it found. Raises ImageError for a depth that
    is known nowhere, or the same everywhere, and ConfigurationError for fewer than 2 layers.
    """
    if max_layers < 2:
        raise ConfigurationError(f"{max_layers} layers were asked for; a separation has at least 2")
    if split_m is not None and not split_m > 0:
        raise ConfigurationError(f"a foreground up to {split_m} m was asked for; give a positive number of metres")
    inverse = inverse_depth(depth_m)
    cuts = _Cuts(inverse)
    split = cuts.best() if split_m is None else cuts.at(1.0 / split_m)
    limits_m = [1.0 / limit for limit in cuts.limits(split, max_layers - 1)]
    if split_m is not None:
        limits_m[0] = split_m
    ascending = tuple(sorted(limits_m))
    labels = np.zeros(depth_m.shape, np.uint8)
    known = np.isfinite(inverse)
    labels[known] = 1 + np.searchsorted(ascending, depth_m[known], side="right")
    return Layers(_without_islands(labels), ascending, limits_m[0], cuts.on_jumps(split))


def inverse_depth(depth_m: np.ndarray) -> np.ndarray:
    """Return 1 / depth (H, W) float32 in 1/m: 0 for +Inf, NaN where the depth is NaN, zero or negative."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(depth_m > 0, 1.0 / np.asarray(depth_m, np.float32), np.float32(np.nan))


def _nearest(values: tuple[float, ...], wanted: float) -> int:
    return int(np.argmin(np.abs(np.array(values) - wanted)))


class _Cuts:
    """Every cut of an image's inverse depth: cut i lies between bin i and bin i + 1 of `_BINS`."""

    def __init__(self, inverse: np.ndarray) -> None:
        step = max(1, -(-max(inverse.shape) // _WORKING_SIDE))
        small = inverse[::step, ::step]
        known = small[np.isfinite(small)]
        if not known.size or known.max() == known.min():
            raise ImageError(
                "a depth that is known nowhere, or the same everywhere, has no foreground: give the depth of a scene"
            )
        self._top = float(np.percentile(known, 99.5)) * 1.05
        self._level = np.clip(small * np.float32(_BINS / self._top), 0, _BINS - 1)
        counts = np.bincount(self._level[np.isfinite(self._level)].astype(int), minlength=_BINS)
        self._pixels = counts / counts.sum()
        self._share = self._on_jumps([])
        self._score = (self._share + _SMOOTH) * _separation(self._pixels, [])

    def value(self, cut: int) -> float:
        """Return the inverse depth of a cut in 1/m."""
        return (cut + 1) / _BINS * self._top

    def at(self, inverse: float) -> int:
        """Return the cut nearest to an inverse depth."""
        return int(np.clip(round(inverse / self._top * _BINS) - 1, 0, _BINS - 2))

    def on_jumps(self, cut: int) -> float:
        """Return the share of the cut's outline that runs along discontinuities."""
        return float(self._share[cut])

    def best(self) -> int:
        """Return the cut of the highest score."""
        return self._highest(self._score)

    def limits(self, first: int, count: int) -> list[float]:
        """Return up to `count` cuts as inverse depths: `first`, then the best of those that lie apart.

        A further cut is judged by the layer that it divides and by the outline that it adds.
        """
        values = (np.arange(_BINS) + 1) / _BINS * self._top
        chosen, apart = [first], np.ones(_BINS, bool)
        while True:
            ratio = values / values[chosen[-1]]
            apart &= (ratio > _APART) | (ratio < 1 / _APART)
            score = (self._on_jumps(chosen) + _SMOOTH) * _separation(self._pixels, chosen) * apart
            if len(chosen) == count or score.max() <= _LATER_CUT * self._score.max():
                return [self.value(cut) for cut in chosen]
            chosen.append(self._highest(score))

    def _highest(self, score: np.ndarray) -> int:
        """Return the cut of the highest score; of neighbours that separate the same pixels the middle one."""
        first = last = int(np.argmax(score))
        while last + 1 < _BINS and self._pixels[last + 1] == 0:
            last += 1
        return (first + last) // 2

    def _on_jumps(self, chosen: list[int]) -> np.ndarray:
        """Return of each cut the share of its outline on jumps (_BINS,), pairs left out that `chosen` separate."""
        outline, jumps = np.zeros(_BINS), np.zeros(_BINS)
        level, bounds = self._level, np.array(sorted(chosen)) + 1
        for one, other in ((level[:, 1:], level[:, :-1]), (level[1:], level[:-1])):
            both = np.isfinite(one) & np.isfinite(other)
            near, far = np.maximum(one[both], other[both]), np.minimum(one[both], other[both])
            near_bin, far_bin = near.astype(int), far.astype(int)
            together = np.searchsorted(bounds, near_bin, "right") == np.searchsorted(bounds, far_bin, "right")
            jump = together & (near > far * (1 + _JUMP) + 1e-6)
            for counts, pairs in ((outline, together), (jumps, jump)):
                begins, ends = (np.bincount(bins[pairs], minlength=_BINS) for bins in (far_bin, near_bin))
                counts += np.cumsum(begins - ends)
        return jumps / np.maximum(outline, 1)


def _separation(pixels: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Return each cut's variance between the classes it makes, as a share of the layer's that it divides (_BINS,).

    `pixels` (_BINS,) is the share of pixels in each bin; `chosen` cuts divide the layers so far. A class of less than
    _LEAST_CLASS of all pixels counts for nothing.
    """
    separation = np.zeros(_BINS)
    bounds = [0, *(cut + 1 for cut in sorted(chosen)), _BINS]
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        layer, value = pixels[begin:end], np.arange(begin, end)
        below, moment, total = np.cumsum(layer), np.cumsum(layer * value), layer.sum()
        above = total - below
        allowed = (below >= _LEAST_CLASS) & (above >= _LEAST_CLASS)
        if not allowed.any():
            continue
        mean = moment[-1] / total
        variance = (layer * (value - mean) ** 2).sum()
        separation[begin:end][allowed] = ((mean * below - moment) ** 2 * total)[allowed] / (
            (below * above)[allowed] * variance
        )
    return separation


def _without_islands(labels: np.ndarray) -> np.ndarray:
    """Return the labels with every piece smaller than _ISLAND of the image, a hole too, given its neighbours' label."""
    small = np.zeros(labels.shape, bool)
    for label in np.unique(labels):
        _, pieces, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=4)
        few = stats[:, cv2.CC_STAT_AREA] < _ISLAND * labels.size
        few[0] = False
        small |= few[pieces]
    if not small.any() or small.all():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(small.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_zone = np.zeros(int(nearest.max()) + 1, np.uint8)
    of_zone[nearest[~small]] = labels[~small]
    return of_zone[nearest]
