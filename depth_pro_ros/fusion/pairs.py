"""Metric samples beside a prediction: the pixels where both know something, and what each says there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.fusion.samples import usable
from depth_pro_ros.records import MetricSamples

CELLS = 8
"""Samples are spread if they occupy many cells of a CELLS x CELLS grid over the image."""

SUPPORT = (2, 98)
"""Percentiles of the samples' predicted inverse depth between which they are taken to know the network's error."""

_OVERVIEW = 32  # points along each side of the image that stand for all of it
_ROUNDING = 1e-6  # of a pixel, by which (u + 0.5) W / w may fall short of a whole number
_OFF_CENTRE = 0.05  # of a pixel
_SAME_SURFACE = 0.05  # relative change of inverse depth within half a pixel that is no edge
_PART = 1 << 14  # also below the 32767 of cv2.remap


@dataclass(frozen=True)
class Pairs:
    """Samples beside a prediction of `width` x `height` at their pixels; all arrays (N,), of one length.

    `pixel` is the flat index into the prediction, `predicted_inv` and `measured_inv` (float32) inverse depth in
    1/m, `sigma` (float32) the relative standard deviation of the measurement (to first order the same for depth and
    inverse depth, since sigma_{1/Z} = sigma_Z / Z^2). `overview_inv` (M,) is the predicted inverse depth on a coarse
    grid over the whole image, wherever it is known.
    """

    pixel: np.ndarray
    predicted_inv: np.ndarray
    measured_inv: np.ndarray
    sigma: np.ndarray
    width: int
    height: int
    overview_inv: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.pixel)

    def __getitem__(self, index: np.ndarray | slice) -> Pairs:
        predicted, measured, sigma = (column[index] for column in (self.predicted_inv, self.measured_inv, self.sigma))
        return Pairs(self.pixel[index], predicted, measured, sigma, self.width, self.height, self.overview_inv)

    def double(self) -> Pairs:
        """Return the pairs in float64, for arithmetic that cancels."""
        columns = (self.predicted_inv, self.measured_inv, self.sigma)
        predicted, measured, sigma = (column.astype(np.float64) for column in columns)
        return Pairs(self.pixel, predicted, measured, sigma, self.width, self.height, self.overview_inv)

    def support(self) -> tuple[float, float]:
        """Return the range of predicted inverse depth that the samples span, but for SUPPORT's outermost ones."""
        low, high = np.percentile(self.predicted_inv, SUPPORT)
        return float(low), float(high)

    def reach(self) -> float:
        """Return the share of the image whose predicted inverse depth lies within the support; 1 without an overview.

        What the samples tell of a network's error at other depths is a guess.
        """
        low, high = self.support()
        inside = (self.overview_inv >= low) & (self.overview_inv <= high)
        return float(inside.mean()) if inside.size else 1.0

    def place(self, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (u, v), each (N,), of the samples in the image resized to `columns` x `rows`."""
        row = self.pixel // self.width
        column = self.pixel - row * self.width
        return (column + 0.5) * (columns / self.width) - 0.5, (row + 0.5) * (rows / self.height) - 0.5

    def cells(self, columns: int = CELLS, rows: int = CELLS) -> np.ndarray:
        """Return the flat index (N,) of each sample's cell when the image is cut into `columns` x `rows`."""
        row = self.pixel // self.width
        column = self.pixel - row * self.width
        return (row * rows // self.height) * columns + column * columns // self.width


def pair(inverse: np.ndarray, cues: Sequence[MetricSamples]) -> Pairs:
    """Return what all cues say beside a predicted inverse depth (H, W), where 0 or NaN is no known depth.

    A sample is taken to the centre of its pixel along the surface that is predicted there. Samples on pixels
    without a predicted depth are left out.
    """
    height, width = inverse.shape
    coarse = inverse[:: -(-height // _OVERVIEW), :: -(-width // _OVERVIEW)]
    parts = [_one(inverse, usable(cue)) for cue in cues]
    if len(parts) != 1:
        empty = np.zeros(0, np.float32)
        columns: Any = zip(*parts, strict=True) if parts else [[np.zeros(0, np.intp)], [empty], [empty], [empty]]
        parts = [tuple(np.concatenate(column) for column in columns)]
    pixel, predicted, measured, sigma = parts[0]
    return Pairs(pixel, predicted, measured, sigma, width, height, coarse[coarse > 0])


def _one(inverse: np.ndarray, cue: MetricSamples) -> tuple[np.ndarray, ...]:
    """Return the four columns of `Pairs` for one cue, worked out in parts that stay in the processor's cache."""
    height, width = inverse.shape
    count = len(cue.u)
    pixel = np.empty(count, np.intp)
    predicted, measured, sigma = (np.empty(count, np.float32) for _ in range(3))
    for start in range(0, count, _PART):
        part = slice(start, start + _PART)
        at, depth = _Places.of(cue.u[part], cue.v[part], cue, width, height), cue.depth_m[part]
        pixel[part] = at.row * width + at.column
        predicted[part] = inverse.reshape(-1)[pixel[part]]
        np.reciprocal(depth, out=measured[part], casting="same_kind")
        np.divide(cue.sigma_m[part], depth, out=sigma[part], casting="same_kind")
        if at.beside is not None:
            measured[part] *= _transport(inverse, *at.beside, predicted[part])
    known = predicted > 0
    columns = (pixel, predicted, measured, sigma)
    return columns if known.all() else tuple(column[known] for column in columns)


@dataclass(frozen=True)
class _Places:
    """The pixels of the prediction that hold samples, and their coordinates there if some lie beside the centre."""

    column: np.ndarray
    row: np.ndarray
    beside: tuple[np.ndarray, np.ndarray] | None

    @classmethod
    def of(cls, u: np.ndarray, v: np.ndarray, cue: MetricSamples, width: int, height: int) -> _Places:
        """Return the places of (u, v) of the cue's image in one of `width` x `height`."""
        if (cue.width, cue.height) == (width, height):
            column, row = u.astype(np.intp), v.astype(np.intp)
            if (column == u).all() and (row == v).all():
                return cls(column, row, None)
        x, y = (u + 0.5) * (width / cue.width), (v + 0.5) * (height / cue.height)
        column = np.minimum((x + _ROUNDING).astype(np.intp), width - 1)
        row = np.minimum((y + _ROUNDING).astype(np.intp), height - 1)
        off = max(np.abs(x - column - 0.5).max(), np.abs(y - row - 0.5).max()) > _OFF_CENTRE
        return cls(column, row, (x - 0.5, y - 0.5) if off else None)


def _transport(inverse: np.ndarray, u: np.ndarray, v: np.ndarray, at_pixel: np.ndarray) -> np.ndarray:
    """Return the factor (N,) from the inverse depth at (u, v) to that at the pixel's centre, by the prediction's shape.

    Inverse depth is linear over a plane's image, so that bilinear interpolation is exact there. Where the prediction
    has an edge or a gap in between, it tells nothing of the sample, and the factor is 1.
    """
    here = cv2.remap(
        inverse, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )[:, 0]
    factor = at_pixel / np.maximum(here, np.float32(1e-12))
    return np.where(np.abs(factor - 1) < _SAME_SURFACE, factor, np.float32(1))
