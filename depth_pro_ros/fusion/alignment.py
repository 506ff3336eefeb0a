"""The factor between a prediction and the metric truth, fitted in inverse depth.

With q the predicted and z the measured inverse depth, the model is z = a q + b (Ranftl et al., "Towards Robust
Monocular Depth Estimation", TPAMI 2022, eq. 4: networks err by a scale and a shift there; Wofk et al.,
"VI-Depth", ICRA 2023, eq. 1 to 3 solve it for sparse points). Errors count *relatively*: a measurement has the
relative variance sigma^2 (sigma_{1/Z} = sigma_Z / Z^2), and the prediction's own misfit tau^2 is estimated beside it.

The scale alone is the weighted median of log z - log q, which half of the samples may lie to. A shift is
taken only if it is earned: the samples must be spread over the image and over inverse depth, and it must foretell
samples in parts of the image that were left out of its fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import AlignmentError
from depth_pro_ros.fusion.pairs import CELLS, Pairs

MAD_TO_SIGMA = 1.4826
PREDICTION_SIGMA = 0.1  # what a network's relative error usually is, before anything is known of this one
CUTOFF = 3.0  # standard deviations at which Geman-McClure has cut a weight to a quarter
LEAST_MISFIT = 0.01
MIN_REACH = 0.8  # share of the image whose depths samples must span before more than a scale is read from them
ITERATIONS = 8
DRAWS = 200
FOLDS = 4
LEAST_GAIN = 0.03  # a refinement that foretells held-out samples by less than 3 % better is not worth its risk
CAP = 0.5  # of a held-out |log residual|, so that gross outliers vote no louder


@dataclass(frozen=True)
class AlignmentSettings:
    """What a cue must be to fix the scale, and what it must be to fix a shift.

    `cells` are of the 8 x 8 grid over the image; `max_residual` is the robust relative misfit beyond which a cue is
    refused, `doubtful_residual` that beyond which its depth must at least rank like the prediction's. A poor network
    may misfit up to `max_ranked_residual` if the ranks leave no doubt: a correlation of `sure_rank_correlation`.
    `spread_inv` is the ratio of the 90th to the 10th percentile of inverse depth; `shift_prior` is the shift's
    prior standard deviation as a share of the samples' median inverse depth, `shift_min_reach` the least `Pairs.reach`.
    """

    min_samples: int = 8
    min_cells: int = 3
    max_residual: float = 0.35
    doubtful_residual: float = 0.1
    min_rank_correlation: float = 0.3
    max_ranked_residual: float = 0.5
    sure_rank_correlation: float = 0.7
    min_inliers: float = 0.5
    shift_min_samples: int = 20
    shift_min_cells: int = 10
    shift_spread_inv: float = 1.3
    shift_min_reach: float = MIN_REACH
    shift_prior: float = 0.3
    shift_confidence: float = 2.0


@dataclass(frozen=True)
class Alignment:
    """z = scale q + shift_inv for q within `support_inv`; beyond it the ratio z / q keeps its value at the end.

    `sigma_log` is the standard deviation of the logarithm of the ratio at `reference_inv` (the median q),
    `residual` the robust relative misfit (1.4826 MAD), `inliers` the share of samples within 3 sigma of the fit,
    and `reason` says why there is no shift (empty when there is one).
    """

    scale: float
    shift_inv: float
    reference_inv: float
    support_inv: tuple[float, float]
    sigma_log: float
    residual: float
    inliers: float
    samples: int
    reason: str = ""


def ratio(scale: float, shift_inv: float, support_inv: tuple[float, float], inverse: np.ndarray) -> np.ndarray:
    """Return z / q = scale + shift / q, with q clamped to the support: a shift is not trusted beyond its evidence.

    This also keeps z positive and rising with q as far as the model is so within the support.
    """
    return scale + shift_inv / np.clip(inverse, *support_inv)


def align(pairs: Pairs, settings: AlignmentSettings | None = None, seed: int = 0) -> Alignment:
    """Return the robust fit of the pairs, with a shift only where it is earned.

    Raises AlignmentError, with the reason, for too few samples, samples from too small a part of the image, and
    samples that contradict each other or the prediction.
    """
    settings = settings or AlignmentSettings()
    pairs = pairs.double()
    cells = np.unique(pairs.cells()).size
    _require_enough(len(pairs), cells, settings)
    log_ratio = np.log(pairs.measured_inv / pairs.predicted_inv)
    log_scale = weighted_median(log_ratio, 1.0 / (pairs.sigma**2 + PREDICTION_SIGMA**2))
    scale, shift, residual, reason = float(np.exp(log_scale)), 0.0, log_ratio - log_scale, ""
    try:
        _require_spread(pairs, settings)
        scale, shift, residual = _earned_shift(pairs, residual, settings, np.random.default_rng(seed))
    except AlignmentError as error:
        reason = str(error)
    spread, inlier = robust_sigma(residual), agrees(residual, pairs.sigma)
    inliers = float(np.mean(inlier))
    _require_consistent(pairs, spread, inliers, cells, settings)
    support = pairs[inlier].support()
    sigma_log = max(spread / np.sqrt(min(len(pairs), cells)), float(np.median(pairs.sigma)) / np.sqrt(len(pairs)))
    reference = float(np.median(pairs.predicted_inv))
    return Alignment(scale, shift, reference, support, float(sigma_log), spread, inliers, len(pairs), reason)


def _require_enough(count: int, cells: int, settings: AlignmentSettings) -> None:
    """Raise AlignmentError unless there are samples enough, from parts of the image enough, for a scale."""
    if count < settings.min_samples:
        raise AlignmentError(
            f"the cue gives {count} samples where depth is predicted: at least {settings.min_samples} are needed"
        )
    if cells < settings.min_cells:
        raise AlignmentError(
            f"the cue's {count} samples lie in {cells} of {CELLS * CELLS} parts of the image: "
            f"they must come from at least {settings.min_cells}"
        )


def _require_spread(pairs: Pairs, settings: AlignmentSettings) -> None:
    """Raise AlignmentError unless the samples can tell a shift from a scale."""
    low, high = np.percentile(pairs.predicted_inv, (10, 90)) if len(pairs) else (1.0, 1.0)
    cells = np.unique(pairs.cells()).size
    if len(pairs) < settings.shift_min_samples or cells < settings.shift_min_cells:
        raise AlignmentError(
            f"scale only: a shift needs {settings.shift_min_samples} samples in {settings.shift_min_cells} parts "
            f"of the image, and there are {len(pairs)} in {cells}"
        )
    if high < settings.shift_spread_inv * low:
        raise AlignmentError(
            f"scale only: the samples' inverse depth spreads {high / low:.2f}-fold, and a shift needs "
            f"{settings.shift_spread_inv}"
        )
    if (reach := pairs.reach()) < settings.shift_min_reach:
        raise AlignmentError(
            f"scale only: the samples span the depths of {reach:.0%} of the image, and a shift needs "
            f"{settings.shift_min_reach:.0%}"
        )


def _require_consistent(pairs: Pairs, spread: float, inliers: float, cells: int, settings: AlignmentSettings) -> None:
    """Raise AlignmentError when the samples contradict each other, or do not even rank like the prediction.

    A cue of random depths in the scene's own range misfits moderately; its ranks betray it. A rank
    correlation of chance has the standard deviation 1 / sqrt(n - 1), and neighbours are not independent.
    """
    rank = rank_correlation(pairs.predicted_inv, pairs.measured_inv) if spread > settings.doubtful_residual else 1.0
    chance = 1.0 / np.sqrt(max(min(len(pairs), 2 * cells), 2) - 1)
    sure = rank >= max(settings.sure_rank_correlation, 3.0 * chance)
    most = settings.max_ranked_residual if sure else settings.max_residual
    if spread > most or inliers < settings.min_inliers:
        raise AlignmentError(
            f"the cue contradicts the prediction: {spread:.0%} robust relative misfit and {inliers:.0%} inliers, "
            f"where at most {most:.0%} and at least {settings.min_inliers:.0%} are accepted"
        )
    least = max(settings.min_rank_correlation, 2.0 * chance)
    if spread > settings.doubtful_residual and rank < least:
        raise AlignmentError(
            f"the cue does not follow the prediction: rank correlation {rank:.2f} at {spread:.0%} misfit, "
            f"where at least {least:.2f} is accepted"
        )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of (N,) and (N,), 0 where one of the two is constant.

    It is Pearson's of the ranks, in which equal values share their mean rank; scipy.stats would take longer to import
    than all the rest of fusion.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(np.cumsum(count) - 0.5 * (count - 1))[place]


def _earned_shift(
    pairs: Pairs, residual: np.ndarray, settings: AlignmentSettings, rng: np.random.Generator
) -> tuple[float, float, np.ndarray]:
    """Return (scale, shift, log residual) of the fit with a shift; AlignmentError when it is not earned."""
    start = _ransac(pairs, settings, rng)

    def held_out(train: np.ndarray) -> np.ndarray:
        return _log_residual(pairs, *_irls(pairs[train], start, settings))

    if not earned(residual, held_out, pairs.cells(), settings.shift_confidence):
        raise AlignmentError("scale only: a shift does not foretell samples that were left out of its fit")
    scale, shift = _irls(pairs, start, settings)
    residual = _log_residual(pairs, scale, shift)
    _require_spread(pairs[agrees(residual, pairs.sigma)], settings)  # outliers lend no breadth
    return scale, shift, residual


def earned(
    residual: np.ndarray, refit: Callable[[np.ndarray], np.ndarray], cell: np.ndarray, confidence: float
) -> bool:
    """Tell whether a refinement foretells parts of the image that it has not seen (cross-validation by cells).

    `residual` (N,) is the log residual without it, fitted on all samples; `refit(train)` returns (N,) of a fit on
    the samples that `train` (N,) bool marks; `cell` (N,) tells the parts. The gain, averaged over cells so that a
    cluster counts once, must exceed LEAST_GAIN and `confidence` times its own standard error.
    """
    column, row = cell % CELLS, cell // CELLS
    fold = (column + 2 * row) % FOLDS  # neighbours fall into different folds
    after = np.empty_like(residual)
    for number in np.unique(fold):
        out = fold == number
        after[out] = refit(~out)[out]
    before, after = np.minimum(np.abs(residual), CAP), np.minimum(np.abs(after), CAP)
    _, where, count = np.unique(cell, return_inverse=True, return_counts=True)
    gain = np.bincount(where, before - after) / count
    if gain.size < 2:
        return False
    standard_error = gain.std(ddof=1) / np.sqrt(gain.size)
    return bool(gain.mean() > max(LEAST_GAIN * before.mean(), confidence * standard_error))


def _ransac(pairs: Pairs, settings: AlignmentSettings, rng: np.random.Generator) -> tuple[float, float]:
    """Return (scale, shift) of the best of DRAWS lines, each through a nearer and a farther sample.

    The best has the least truncated quadratic loss of the relative residual (MSAC: Torr & Zisserman 2000).
    """
    order = np.argsort(pairs.predicted_inv)
    third = max(len(order) // 3, 1)
    far, near = rng.choice(order[:third], DRAWS), rng.choice(order[-third:], DRAWS)
    q, z = pairs.predicted_inv, pairs.measured_inv
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (z[near] - z[far]) / (q[near] - q[far])
        shift = z[far] - scale * q[far]
    limit = 3.0 * settings.shift_prior * np.median(z)
    sane = np.isfinite(scale) & (scale > 0) & (np.abs(shift) < limit)
    if not sane.any():
        return float(np.median(z / q)), 0.0
    judges = rng.choice(len(q), min(len(q), 500), replace=False)
    fitted = np.maximum(np.outer(scale[sane], q[judges]) + shift[sane, None], 1e-9)
    cost = np.minimum(np.log(z[judges] / fitted) ** 2, (CUTOFF * PREDICTION_SIGMA) ** 2).mean(axis=1)
    best = np.argmin(cost)
    return float(scale[sane][best]), float(shift[sane][best])


def _irls(pairs: Pairs, start: tuple[float, float], settings: AlignmentSettings) -> tuple[float, float]:
    """Return (scale, shift) by iteratively reweighted least squares with Geman-McClure weights.

    Each step solves the 2 x 2 normal equations of MiDaS' eq. 4 in closed form, rows divided by the fitted z so that
    residuals are relative, plus the ridge (shift / (shift_prior median z))^2. Samples of one part of the image
    share the network's error there, so the data's weight is that of 4 samples for each occupied cell.
    """
    q, z = pairs.predicted_inv, pairs.measured_inv
    prior, noise = 1.0 / (settings.shift_prior * np.median(z)) ** 2, pairs.sigma**2
    usual = float(np.median(noise))
    share = min(1.0, 4.0 * np.unique(pairs.cells()).size / len(q))
    scale, shift = start
    for _ in range(ITERATIONS):
        fitted = np.maximum(scale * q + shift, 0.05 * scale * q)
        residual = z / fitted - 1.0
        variance = noise + max(robust_sigma(residual) ** 2 - usual, LEAST_MISFIT**2)
        weight = share / variance / (1.0 + residual**2 / (CUTOFF**2 * variance)) ** 2 / fitted**2
        qq, q1, one = weight @ (q * q), weight @ q, weight.sum() + prior
        qz, z1 = weight @ (q * z), weight @ z
        determinant = qq * one - q1 * q1
        scale, shift = (qz * one - z1 * q1) / determinant, (qq * z1 - q1 * qz) / determinant
        if scale <= 0:
            return start
    return float(scale), float(shift)


def _log_residual(pairs: Pairs, scale: float, shift: float) -> np.ndarray:
    """Return log z less the logarithm of the fit, (N,)."""
    fitted = np.maximum(scale * pairs.predicted_inv + shift, 0.05 * scale * pairs.predicted_inv)
    return np.log(pairs.measured_inv / fitted)


def agrees(residual: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return (N,) bool: which residuals lie within CUTOFF standard deviations, the misfit's among them."""
    return np.abs(residual) < CUTOFF * np.hypot(sigma, misfit(residual, sigma))


def misfit(residual: np.ndarray, sigma: np.ndarray) -> float:
    """Return tau, the relative misfit that the samples' own sigma does not explain, at least LEAST_MISFIT."""
    return float(np.sqrt(max(robust_sigma(residual) ** 2 - np.median(sigma) ** 2, LEAST_MISFIT**2)))


def robust_sigma(residual: np.ndarray) -> float:
    """Return 1.4826 times the median absolute value: the standard deviation of a normal distribution about 0."""
    return MAD_TO_SIGMA * float(np.median(np.abs(residual)))


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the value at which half of the weight is reached (the mean of the two where it is met exactly)."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    half = 0.5 * total[-1]
    low = np.searchsorted(total, half * (1 - 1e-12))
    high = min(np.searchsorted(total, half * (1 + 1e-12)), len(values) - 1)
    return float(0.5 * (values[order[low]] + values[order[high]]))
