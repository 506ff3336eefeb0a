"""Per-pixel fusion of an aligned prediction with a dense cue, in the logarithm of inverse depth.

Two steps. First the prediction's local error, as the cue sees it, is made smooth: a guided filter (He, Sun & Tang,
TPAMI 2013, eq. 5 to 8, each pixel weighted by its inverse variance; computed on a smaller image as in He & Sun,
arXiv:1505.00996) whose guide is the prediction itself, so that the correction follows the prediction's edges and
averages the cue's noise. Then each pixel takes the inverse-variance mean of the corrected prediction and the cue.

A pixel of the cue counts as far as it agrees: its weight falls smoothly to zero (Tukey's biweight) at GATE standard
deviations, first from the prediction and then from the corrected prediction. Near the prediction's own edges its
standard deviation grows by EDGE_PX times the gradient, for a network knows the place of an edge to about a pixel; a
cue that bleeds farther than that across a sharp edge is rejected. Where most samples of a neighbourhood contradict the
prediction, and none of its edges explains why, there is an object that the network did not see: the prediction is
moved to what those samples say.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.fusion.pairs import Pairs

GATE = 3.0
EDGE_PX = 0.85
PASSES = 2  # the second judges the cue by what the first has corrected
WINDOW = 1 / 50  # radius of the filter's window, as a share of the image's width
GUIDE_NOISE = 0.1  # square root of the filter's epsilon: contrast in log depth below which the guide is not followed
HALF_TRUST = 2.0  # samples in a window at which the local correction has half of its weight
LEAST_SIGMA = 0.002
ALIKE = 16.0  # samples of a window share errors: their mean has not less than this part of their variance
MAJORITY = (0.6, 0.8)  # shares of a neighbourhood's samples beyond the gate from which, and at which, they are believed
NEIGHBOURS = 40  # samples that make a neighbourhood
SHARP_PX = 5.0  # a step of the prediction within so many pixels is an edge whose place it knows
MIN_SHARE = 0.02
"""A cue is dense if it knows at least this share of the prediction's pixels; a sparser one has no window to average."""

_NO_SAMPLE = np.float32(1e12)  # the variance of a pixel that the cue does not know
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
    height, width = log_inverse.shape
    measured, noise = _rasterise(pairs, (width, height))
    local = _local(_Sketch.of(pairs, measured, noise, log_inverse, variance, edge))
    slope, offset, remains, trust = (cv2.resize(values, (width, height)) for values in local)
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
    mean: np.ndarray
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
class _Sketch:
    """One pixel of the prediction for each pixel of a small image, all (h, w) float32: one with a sample, if possible.

    `guide` is log z of the prediction less its mean `middle` (so that squares keep their digits), `error` the cue's
    log z less it, `noise` the cue's variance, `prior` and `edge` the prediction's variance and that of its edges;
    `known` is 1 where there is a sample, and 0 elsewhere, where error and noise say nothing.
    """

    guide: np.ndarray
    error: np.ndarray
    noise: np.ndarray
    prior: np.ndarray
    edge: np.ndarray
    known: np.ndarray
    middle: np.float32

    @classmethod
    def of(
        cls,
        pairs: Pairs,
        measured: np.ndarray,
        noise: np.ndarray,
        log_inverse: np.ndarray,
        variance: np.ndarray,
        edge: np.ndarray,
    ) -> _Sketch:
        """Return the sketch, at most _WORK_WIDTH wide, of images (H, W)."""
        height, width = log_inverse.shape
        shrink = min(1.0, _WORK_WIDTH / width)
        rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
        some = pairs[:: max(1, len(pairs) // _WORK_SAMPLES)]
        row = ((np.arange(rows) + 0.5) * (height / rows)).astype(np.intp)
        column = ((np.arange(columns) + 0.5) * (width / columns)).astype(np.intp)
        pixel = (row[:, None] * width + column).reshape(-1)
        pixel[some.cells(columns, rows)] = some.pixel
        log_z, guide, noise, prior, edge = (
            values.reshape(-1)[pixel].reshape(rows, columns)
            for values in (measured, log_inverse, noise, variance, edge)
        )
        known = (noise < _NO_SAMPLE).astype(np.float32)
        middle = np.float32(guide.mean())
        return cls(guide - middle, (log_z - guide) * known, noise, prior, edge, known, middle)

    @property
    def side(self) -> int:
        """Return the side of the filter's window."""
        return 2 * max(2, round(WINDOW * self.guide.shape[1])) + 1

    def mean(self, image: np.ndarray, side: int = 0, border: int = cv2.BORDER_REFLECT) -> np.ndarray:
        """Return the mean over the window of each pixel, or over one of another side."""
        return cv2.blur(image, (side or self.side, side or self.side), borderType=border)


def _local(sketch: _Sketch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return small images (slope, offset, variance that remains times trust, trust) of the local correction.

    The correction of log z is slope log z + offset; trust in [0, 1] falls to zero where there are no samples.
    """
    at_edge = sketch.edge * sketch.edge
    smooth, net = np.zeros_like(sketch.error), sketch.prior + at_edge
    for _ in range(PASSES):
        weight = sketch.known * _tukey(sketch.error - smooth, sketch.noise + net)
        weight /= sketch.noise + at_edge + np.float32(LEAST_SIGMA**2)
        slope, offset, trust, total = _coefficients(sketch, weight)
        smooth = slope * sketch.guide + offset
        excess = weight * (np.minimum((sketch.error - smooth) ** 2, np.float32(1)) - sketch.noise)
        common = sketch.mean(weight * np.minimum(sketch.noise, 1)) / total / np.float32(ALIKE)
        remains = trust * (np.maximum(sketch.mean(excess) / total, common) + np.float32(LEAST_SIGMA**2))
        net = remains + (1.0 - trust) * sketch.prior + at_edge
    share, moved, spread = _unseen(sketch, sketch.error - smooth, sketch.noise + net)
    remains = (1.0 - share) * (remains + share * moved * moved) + share * spread
    return slope, offset - slope * sketch.middle + share * moved, remains, np.maximum(trust, share)


def _unseen(sketch: _Sketch, error: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return small images (share, mean error, its variance) of what the network did not see.

    The share in [0, 1] is how far the samples beyond the gate are believed: when they are the majority of a
    neighbourhood. Scattered outliers are a minority. The rim that a cue bleeds across an edge is one of some width,
    but its error is not larger than the step of an edge nearby: such samples do not count as beyond the gate.
    """
    density = max(float(sketch.known.mean()), 1e-6)
    side = min(2 * int(np.ceil(0.5 * np.sqrt(NEIGHBOURS / density))) + 1, sketch.side)
    step = cv2.dilate(sketch.edge, np.ones((sketch.side, sketch.side), np.uint8)) * np.float32(SHARP_PX / EDGE_PX)
    squared = error * error
    beyond = sketch.known * (squared > np.maximum(np.float32(GATE**2) * variance, step * step))
    amount, count = sketch.mean(beyond, side, cv2.BORDER_CONSTANT), sketch.mean(sketch.known, side)
    low, high = MAJORITY
    count = np.maximum(count, np.float32(0.5 * NEIGHBOURS / side**2))  # a few samples in a gap are no majority
    share = np.clip((amount / count - low) / (high - low), 0, 1)
    amount = np.maximum(amount, np.float32(1e-9))
    moved = sketch.mean(beyond * error, side, cv2.BORDER_CONSTANT) / amount
    spread = sketch.mean(beyond * squared, side, cv2.BORDER_CONSTANT) / amount - moved * moved
    return share, moved, np.maximum(spread, np.float32(LEAST_SIGMA**2))


def _coefficients(sketch: _Sketch, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (slope, offset, trust, sum of weights): the weighted guided filter's eq. 5, 6 and 8, shrunk by trust."""
    guide, error, mean = sketch.guide, sketch.error, sketch.mean
    weighted = weight * guide
    total = np.maximum(mean(weight), np.float32(1e-9))
    mean_guide, mean_error = mean(weighted) / total, mean(weight * error) / total
    spread = mean(weighted * guide) / total - mean_guide * mean_guide
    slope = (mean(weighted * error) / total - mean_guide * mean_error) / (spread + np.float32(GUIDE_NOISE**2))
    known = mean((weight > 0).astype(np.float32)) * np.float32(sketch.side**2)
    trust = known / (known + np.float32(HALF_TRUST))
    offset = trust * (mean_error - slope * mean_guide)
    return mean(trust * slope), mean(offset), trust, total
