"""What may be reached without looking at the images: the best constant depth, and the best depth of each row.

Both are fitted exactly to the truths they are given, every image counting alike: by "delta1" to the largest mean
delta1, by "abs_rel" to the least mean AbsRel. To stand beside a network, evaluate them by `depth_metrics` with
`np.full_like(truth_m, constant)` or `np.broadcast_to(rows[:, None], truth_m.shape)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.evaluation.depth import DELTA, known

WINDOW = 2 * np.log(DELTA) * (1 - 1e-9)  # of ln t within a factor of 1.25 about one depth, strictly


def best_constant(truths_m: Sequence[np.ndarray], goal: str = "delta1", max_depth_m: float | None = None) -> float:
    """Return the one depth in metres that suits all of the truths (H, W) best; see `known` for what counts.

    Sorts all known pixels at once: thin out large sets, or take every n-th column.
    """
    fit = _fit_of(goal)
    depth, weight = _samples(truths_m, _weights(truths_m, max_depth_m))
    return fit(depth, weight)


def best_rows(truths_m: Sequence[np.ndarray], goal: str = "delta1", max_depth_m: float | None = None) -> np.ndarray:
    """Return the depth in metres of each row, (H,) float64, that suits all of the truths (H, W) best.

    The truths are of one height. A row in which nothing is known in any image takes the depth of the nearest row in
    which something is (the upper of two).
    """
    fit = _fit_of(goal)
    weights = _weights(truths_m, max_depth_m)
    heights = {len(truth) for truth in truths_m}
    if len(heights) > 1:
        raise ImageError(f"the truths are {sorted(heights)} pixels high; rows compare only at one height: resize them")
    rows = np.full(heights.pop(), np.nan)
    for row in range(len(rows)):
        depth, weight = _samples([truth[row] for truth in truths_m], [weight[row] for weight in weights])
        if depth.size:
            rows[row] = fit(depth, weight)
    filled = np.flatnonzero(np.isfinite(rows))
    distance = np.abs(np.arange(len(rows))[:, None] - filled)
    return rows[filled[distance.argmin(axis=1)]]


def _weights(truths_m: Sequence[np.ndarray], max_depth_m: float | None) -> list[np.ndarray]:
    """Return each truth's weights (H, W): 1 / (known pixels of its image), 0 where unknown."""
    weights = [each / max(np.count_nonzero(each), 1) for each in (known(t, None, max_depth_m) for t in truths_m)]
    if not any(each.any() for each in weights):
        raise ImageError(
            f"no pixel of the {len(weights)} truths is known (finite, positive, below the cap); check their unit"
        )
    return weights


def _samples(truths: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and weight of the known pixels, both (N,), by rising depth."""
    depth = np.concatenate([t[w > 0] for t, w in zip(truths, weights, strict=True)]).astype(np.float64)
    order = np.argsort(depth)
    return depth[order], np.concatenate([w[w > 0] for w in weights])[order]


def _most_within_delta(depth: np.ndarray, weight: np.ndarray) -> float:
    """Return the depth that has the most weight strictly within a factor of 1.25: a window sliding over ln depth."""
    logs = np.log(depth)
    below = np.concatenate([[0.0], np.cumsum(weight)])
    end = np.searchsorted(logs, logs + WINDOW)
    start = np.argmax(below[end] - below[:-1])
    return float(np.exp((logs[start] + logs[end[start] - 1]) / 2))


def _least_relative_error(depth: np.ndarray, weight: np.ndarray) -> float:
    """Return the d that minimises sum w |d - t| / t: the median of t under the weights w / t."""
    total = np.cumsum(weight / depth)
    return float(depth[np.searchsorted(total, total[-1] / 2)])


FITS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "delta1": _most_within_delta,
    "abs_rel": _least_relative_error,
}


def _fit_of(goal: str) -> Callable[[np.ndarray, np.ndarray], float]:
    if goal not in FITS:
        raise ConfigurationError(f"goal is '{goal}'; it is one of {', '.join(FITS)}")
    return FITS[goal]
