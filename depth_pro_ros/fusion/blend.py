"""Per-pixel fusion of an aligned prediction with a dense cue, in the logarithm of inverse depth.

Two steps. First the prediction's local error, as the cue sees it, is made smooth: a guided filter (He, Sun & Tang,
TPAMI 2013, eq. 5 to 8, each pixel weighted by its inverse variance; computed on a smaller image as in He & Sun,
arXiv:1505.00996) whose guide is the prediction itself, so that the correction follows the prediction's edges and
averages the cue's noise. Then each pixel takes the inverse-variance mean of the corrected prediction and the cue.

A pixel of the cue counts as far as it agrees: its weight falls smoothly to zero (Tukey's biweight) at GATE standard
deviations, first from the prediction and then from the corrected prediction. Near the prediction's own edges its
standard deviation grows by EDGE_PX times the gradient, for a network knows the place of an edge to about a pixel; a
cue that bleeds farther than that across an edge is rejected. Where most samples of a window contradict the prediction,
it is the prediction that is doubted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.fusion.samples import Pairs

GATE = 3.0
EDGE_PX = 0.85
PASSES = 2  # the second judges the cue by what the first has corrected
WINDOW = 1 / 50  # radius of the filter's window, as a share of the image's width
GUIDE_NOISE = 0.1  # square root of the filter's epsilon: contrast in log depth below which the guide is not followed
HALF_TRUST = 2.0  # samples in a window at which the local correction has half of its weight
LEAST_SIGMA = 0.002
MAJORITY = (0.7, 0.9)  # shares of a window's samples beyond the gate from which, and at which, they are believed
MIN_SHARE = 0.02
"""A cue is dense if it knows at least this share of the prediction's pixels; a sparser one has no window to average."""

_NO_SAMPLE = 1e12  # the variance of a pixel that the cue does not know
_WORK_WIDTH = 480  # the filter's coefficients are computed on an image of at most this width; they are smooth
_BAND_ROWS = 32
_WORK_SAMPLES = 100_000  # from about this many samples, which are enough for windows of hundreds


def edge_sigma(log_inverse: np.ndarray) -> np.ndarray:
    """Return (H, W) float32: the standard deviation of log z that an uncertainty of EDGE_PX of its edges makes."""
    scale = EDGE_PX / 32.0  # the Scharr kernel's weights add up to 16, over a distance of 2
    along_u = cv2.Scharr(log_inverse, cv2.CV_32F, 1, 0, scale=scale, borderType=cv2.BORDER_REPLICATE)
    along_v = cv2.Scharr(log_inverse, cv2.CV_32F, 0, 1, scale=scale, borderType=cv2.BORDER_REPLICATE)
    return cv2.magnitude(along_u, along_v)


def blend(
    pairs: Pairs, log_inverse: np.ndarray, variance: np.ndarray, edge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (log z, its variance), both (H, W) float32, of the prediction blended with the samples.

    `log_inverse` is log z of the aligned prediction, `variance` (H, W) its own away from edges, and `edge` what
    `edge_sigma` returned for it.
    """
    local = _local(pairs[:: max(1, len(pairs) // _WORK_SAMPLES)], log_inverse, variance, edge)
    height, width = log_inverse.shape
    slope, offset, remains, trust = (cv2.resize(values, (width, height)) for values in local)
    measured, noise = _rasterise(pairs, (width, height))
    result, left = np.empty_like(log_inverse), np.empty_like(log_inverse)
    for top in range(0, height, _BAND_ROWS):  # bands that stay in the processor's cache
        band = slice(top, top + _BAND_ROWS)
        corrected = log_inverse[band] + (slope[band] * log_inverse[band] + offset[band])
        prior = remains[band] + (1.0 - trust[band]) * variance[band] + edge[band] * edge[band]
        remaining, both = measured[band] - corrected, prior + noise[band]
        gain = prior / both * _tukey(remaining, both)
        result[band], left[band] = corrected + gain * remaining, prior * (1.0 - gain)
    return result, left


def _rasterise(pairs: Pairs, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return (log z, variance) of the samples on the prediction's grid (H, W), 0 and _NO_SAMPLE without one.

    Samples that share a pixel are averaged by their inverse variance.
    """
    width, height = size
    measured, variance = cv2.log(pairs.measured_inv).reshape(-1), pairs.sigma * pairs.sigma
    if np.all(pairs.pixel[1:] > pairs.pixel[:-1]):  # as one cue of the prediction's size or smaller gives them
        mean, noise = np.zeros(width * height, np.float32), np.full(width * height, _NO_SAMPLE, np.float32)
        mean[pairs.pixel], noise[pairs.pixel] = measured, variance
    else:
        total = np.bincount(pairs.pixel, 1.0 / variance, width * height)
        mean = np.bincount(pairs.pixel, measured / variance, width * height)
        noise = (1.0 / np.maximum(total, 1.0 / _NO_SAMPLE)).astype(np.float32)
        mean = mean.astype(np.float32) * noise
    return mean.reshape(height, width), noise.reshape(height, width)


def _tukey(error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return Tukey's biweight (1 - (error / (GATE sigma))^2)^2, zero beyond the gate."""
    inside = np.maximum(1.0 - error * error / (np.float32(GATE**2) * variance), np.float32(0))
    return inside * inside


@dataclass(frozen=True)
class _Grid:
    """Sums over windows of a small image: what a guided filter needs of scattered samples."""

    cell: np.ndarray
    shape: tuple[int, int]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return (h, w) float32: the sum over each pixel's window, per pixel of it, of values (N,) at the samples."""
        height, width = self.shape
        image = np.bincount(self.cell, values, height * width).astype(np.float32).reshape(self.shape)
        return self.smooth(image)

    def smooth(self, image: np.ndarray) -> np.ndarray:
        """Return the mean over each pixel's window."""
        side = 2 * max(2, round(WINDOW * self.shape[1])) + 1
        return cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT)

    def at_samples(self, image: np.ndarray) -> np.ndarray:
        """Return the image's values (N,) at the samples."""
        return image.reshape(-1)[self.cell]


def _local(
    pairs: Pairs, log_inverse: np.ndarray, variance: np.ndarray, edge: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return small images (slope, offset, variance that remains times trust, trust) of the local correction.

    The correction of log z is slope log z + offset; trust in [0, 1] falls to zero where there are no samples.
    """
    height, width = log_inverse.shape
    shrink = min(1.0, _WORK_WIDTH / width)
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    grid = _Grid(pairs.cells(columns, rows), (rows, columns))
    guide, edges, prior = (values.reshape(-1)[pairs.pixel] for values in (log_inverse, edge, variance))
    error, noise, at_edge = np.log(pairs.measured_inv) - guide, pairs.sigma * pairs.sigma, edges * edges
    smooth, net = np.zeros_like(error), prior + at_edge
    for _ in range(PASSES):
        weight = _tukey(error - smooth, noise + net) / (noise + LEAST_SIGMA**2 + at_edge)
        slope, offset, trust, total = _coefficients(grid, weight, guide, error)
        smooth = grid.at_samples(slope) * guide + grid.at_samples(offset)
        excess = weight * (np.minimum((error - smooth) ** 2, 1.0) - noise)
        remains = trust * (np.maximum(grid.mean(excess) / total, 0.0) + np.float32(LEAST_SIGMA**2))
        net = grid.at_samples(remains) + (1.0 - grid.at_samples(trust)) * prior + at_edge
    return slope, offset, remains + _contradiction(grid, error - smooth, noise + net), trust


def _contradiction(grid: _Grid, error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return (h, w) the variance that the prediction deserves where most of a window's samples are beyond the gate.

    Scattered outliers and the rim that a cue bleeds are a minority of their windows. A majority is an object that the
    network did not see: there the cue must not be rejected, least of all with a small sigma.
    """
    beyond = (error * error > np.float32(GATE**2) * variance).astype(np.float32)
    amount, count = grid.mean(beyond), grid.mean(np.ones_like(error))
    low, high = MAJORITY
    count = np.maximum(count, 0.5 * count.max())  # a few samples in a gap of the cue are no majority
    share = np.clip((amount / count - low) / (high - low), 0, 1)
    squared = grid.mean(beyond * np.minimum(error * error, 1.0)) / np.maximum(amount, np.float32(1e-9))
    return share * squared


def _coefficients(
    grid: _Grid, weight: np.ndarray, guide: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (slope, offset, trust, sum of weights): the weighted guided filter's eq. 5, 6 and 8, shrunk by trust."""
    middle = np.float32(guide.mean())  # so that squares of the guide keep their digits
    centred = guide - middle
    weighted = weight * centred
    total = np.maximum(grid.mean(weight), np.float32(1e-9))
    mean_guide, mean_error = grid.mean(weighted) / total, grid.mean(weight * error) / total
    spread = grid.mean(weighted * centred) / total - mean_guide * mean_guide
    slope = (grid.mean(weighted * error) / total - mean_guide * mean_error) / (spread + np.float32(GUIDE_NOISE**2))
    known = grid.mean((weight > 0).astype(np.float32)) * np.float32(
        (2 * max(2, round(WINDOW * grid.shape[1])) + 1) ** 2
    )
    trust = known / (known + np.float32(HALF_TRUST))
    offset = trust * (mean_error - slope * mean_guide)
    slope = grid.smooth(trust * slope)
    return slope, grid.smooth(offset) - slope * middle, trust, total
