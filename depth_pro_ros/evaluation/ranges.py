"""The relative error by the range at which it happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import ImageError

EDGES_M = np.geomspace(0.1, 1000.0, 49)
"""Ends of the ranges: twelve to a factor of ten. What is nearer or farther counts in the first or the last."""


@dataclass(frozen=True, eq=False)
class RangeErrors:
    """`pixels` (48,) whose truth lies in each range, and the sum there of |p - t| / t, `error` (48,)."""

    pixels: np.ndarray
    error: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Return the mean |p - t| / t of each range, (48,); NaN where there is no pixel."""
        return np.where(self.pixels > 0, self.error / np.maximum(self.pixels, 1), np.nan)


def range_errors(predicted_m: np.ndarray, truth_m: np.ndarray, valid: np.ndarray) -> RangeErrors:
    """Return the errors of a prediction (H, W) in metres where `valid` (H, W) bool; finite and positive there."""
    predicted, truth = (np.asarray(image, np.float64)[valid] for image in (predicted_m, truth_m))
    if not (np.isfinite(predicted).all() and np.isfinite(truth).all() and (truth > 0).all()):
        raise ImageError("a valid pixel has a depth that is not finite, or a truth that is not positive: correct valid")
    place = np.clip(np.searchsorted(EDGES_M, truth, side="right") - 1, 0, len(EDGES_M) - 2)
    error = np.bincount(place, np.abs(predicted - truth) / truth, minlength=len(EDGES_M) - 1)
    return RangeErrors(np.bincount(place, minlength=len(EDGES_M) - 1), error)


def total(images: Iterable[RangeErrors]) -> RangeErrors:
    """Return the sums over images; every pixel counts alike."""
    pixels, error = np.zeros(len(EDGES_M) - 1, np.int64), np.zeros(len(EDGES_M) - 1)
    for each in images:
        pixels += each.pixels
        error += each.error
    return RangeErrors(pixels, error)
