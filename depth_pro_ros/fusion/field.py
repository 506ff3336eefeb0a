"""The smooth part of a network's error: a low-resolution field of log ratios, as a Gaussian process.

The field's values stand at the centres of a small grid over the image, with the prior covariance
PRIOR^2 exp(-d^2 / (2 LENGTH^2)) (Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, eq. 2.25 and
2.26, with the grid as inducing points), so that away from samples it returns to zero and its sigma to PRIOR.
Between the centres it is bilinear, as cv2.resize does it: no seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy import sparse

from depth_pro_ros.fusion.alignment import CUTOFF, MIN_REACH, agrees, earned, misfit
from depth_pro_ros.fusion.pairs import Pairs

COLUMNS = 16
RANGE, FADE = (5, 95), 0.15  # percentiles of the samples' depth; standard deviation in log depth of the fading
PRIOR = 0.06  # standard deviation of the field's log ratio
LENGTH = 0.14  # correlation length as a share of the image's width
ITERATIONS = 4
BAND_ROWS = 32
MIN_SAMPLES, MIN_CELLS = 40, 16  # fewer fit a field by luck
CONFIDENCE = 1.5  # standard errors by which the field must foretell samples that it has not seen
EQUIVALENT = 4.0  # samples of a cell share the network's local error and weigh together as this many, at most


@dataclass(frozen=True)
class Field:
    """Log ratios (rows, COLUMNS) to add to log z, their standard deviation, and the relative misfit that remains.

    `log_range` is the range of log z that the samples span: what errs there tells nothing of other depths, so that the
    field fades beyond it.
    """

    log_ratio: np.ndarray
    sigma: np.ndarray
    misfit: float
    log_range: tuple[float, float]

    def spread(self, log_inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the field, and the variance that it leaves, for each pixel of the aligned prediction (H, W)."""
        size = log_inverse.shape[::-1]
        gain: np.ndarray = self.sigma**2 - PRIOR**2
        values, gain = (cv2.resize(grid.astype(np.float32), size) for grid in (self.log_ratio, gain))
        for top in range(0, size[1], BAND_ROWS):  # bands that stay in the processor's cache
            band = slice(top, top + BAND_ROWS)
            beyond = log_inverse[band] - np.clip(log_inverse[band], *self.log_range)
            reach = np.exp(np.float32(-0.5 / FADE**2) * (beyond * beyond))
            values[band] *= reach
            gain[band] = gain[band] * reach + np.float32(PRIOR**2 + self.misfit**2)
        return values, gain


def fit(pairs: Pairs, residual: np.ndarray, width: int, height: int) -> Field | None:
    """Return the field of the log residuals (N,) of an alignment, or None when it is not earned."""
    rows = max(2, round(COLUMNS * height / width))
    inlier = agrees(residual, pairs.sigma)
    if len(pairs) < MIN_SAMPLES or np.unique(pairs.cells()).size < MIN_CELLS or pairs[inlier].reach() < MIN_REACH:
        return None
    bilinear, precision = _bilinear(pairs, rows), _precision(rows, height / width)
    weight, tau = _weights(bilinear, residual, pairs, precision)

    def held_out(train: np.ndarray) -> np.ndarray:
        return residual - bilinear @ _solve(bilinear, residual, weight * train, precision)[0]

    if not earned(residual, held_out, pairs.cells(), CONFIDENCE):
        return None
    values, information = _solve(bilinear, residual, weight, precision)
    sigma = np.sqrt(np.diag(cv2.invert(information, flags=cv2.DECOMP_CHOLESKY)[1]))
    low, high = np.percentile(np.log(pairs.measured_inv[inlier]), RANGE)
    return Field(values.reshape(rows, COLUMNS), sigma.reshape(rows, COLUMNS), tau, (float(low), float(high)))


def _bilinear(pairs: Pairs, rows: int) -> sparse.csr_array:
    """Return (N, rows * COLUMNS): the weights of the grid's centres at each sample, as cv2.resize interpolates."""
    u, v = pairs.place(COLUMNS, rows)
    u, v = np.clip(u, 0, COLUMNS - 1), np.clip(v, 0, rows - 1)
    left, top = np.minimum(u.astype(np.intp), COLUMNS - 2), np.minimum(v.astype(np.intp), rows - 2)
    corners = [(down, right) for down in (0, 1) for right in (0, 1)]
    weights = [np.abs(1 - right - (u - left)) * np.abs(1 - down - (v - top)) for down, right in corners]
    nodes = [(top + down) * COLUMNS + left + right for down, right in corners]
    starts = np.arange(0, 4 * len(pairs) + 1, 4)
    entries = (np.stack(weights, axis=1).ravel(), np.stack(nodes, axis=1).ravel(), starts)
    return sparse.csr_array(entries, shape=(len(pairs), rows * COLUMNS))


@lru_cache(maxsize=8)
def _precision(rows: int, aspect: float) -> np.ndarray:
    """Return the inverse of the prior covariance of the grid's values, `aspect` being height / width."""
    y, x = np.mgrid[:rows, :COLUMNS].reshape(2, -1) / np.array([[rows / aspect], [COLUMNS]])
    squared = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    covariance = PRIOR**2 * np.exp(-0.5 * squared / LENGTH**2)
    return np.linalg.inv(covariance + 1e-4 * PRIOR**2 * np.eye(rows * COLUMNS))


def _weights(
    bilinear: sparse.csr_array, residual: np.ndarray, pairs: Pairs, precision: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return each sample's weight (N,) and the misfit that remains, by iteratively reweighted least squares.

    The weights are kept for the held-out fits: they only tell which samples are outliers.
    """
    _, where, count = np.unique(pairs.cells(), return_inverse=True, return_counts=True)
    share = np.minimum(1.0, EQUIVALENT / count[where])
    remaining = residual
    for _ in range(ITERATIONS):
        tau = misfit(remaining, pairs.sigma)
        variance = pairs.sigma**2 + tau**2
        weight = share / variance / (1.0 + remaining**2 / (CUTOFF**2 * variance)) ** 2
        remaining = residual - bilinear @ _solve(bilinear, residual, weight, precision)[0]
    return weight, misfit(remaining, pairs.sigma)


def _solve(
    bilinear: sparse.csr_array, residual: np.ndarray, weight: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field's values and their information matrix.

    OpenCV solves it: for so small a matrix the threads of a BLAS cost more than they bring, much more on busy cores.
    """
    weighted = bilinear.T.multiply(weight).tocsr()
    information = precision + (weighted @ bilinear).toarray()
    return cv2.solve(information, weighted @ residual, flags=cv2.DECOMP_CHOLESKY)[1][:, 0], information
