"""The baselines of a whole data set in little memory: fitted to, and measured on, a grid of pixels of each truth.

They are fitted to the very truths that they are measured on, so no constant and no rows could do better: an upper bound
of what guessing without looking reaches. Aligned like a prediction, only their shape matters; there they are fitted to
truths divided by their median, since the alignment gives back each image's scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from depth_pro_ros.evaluation.baselines import FITS, best_constant, best_rows
from depth_pro_ros.evaluation.depth import ALIGNMENTS, DepthMetrics, depth_metrics, known, mean_metrics

ROWS, COLUMNS = 96, 32
MOST_IMAGES = 1000
CONSTANT, BY_ROW = "best constant", "best rows"

Table = Mapping[str, Mapping[str, DepthMetrics]]
"""Figures by the baseline's name, "best rows (delta1)" for example, and by alignment."""


def thin(truth_m: np.ndarray) -> np.ndarray:
    """Return 96 x 32 pixels of a truth (H, W) in metres, evenly spread, float32."""
    height, width = truth_m.shape
    rows = ((np.arange(ROWS) + 0.5) * height / ROWS).astype(int)
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(int)
    return np.asarray(truth_m[np.ix_(rows, columns)], np.float32)


def baseline_figures(thinned_m: Sequence[np.ndarray], max_depth_m: float | None = None) -> Table:
    """Return the figures of the best constant and the best rows, each for the best delta1 and for the least AbsRel.

    `thinned_m` are truths as `thin` returns them, metres; one in which nothing is known counts nowhere, and of more
    than a thousand others a thousand count, evenly spread. Without any the table is empty.
    """
    truths = [truth for truth in thinned_m if known(truth, None, max_depth_m).any()]
    count = min(len(truths), MOST_IMAGES)
    truths = [truths[len(truths) * number // count] for number in range(count)]
    if not truths:
        return {}
    shapes = [_over_median(truth, max_depth_m) for truth in truths]
    table = {}
    for goal in FITS:
        for name, fit in ((CONSTANT, best_constant), (BY_ROW, best_rows)):
            metric, shape = (fit(each, goal, cap) for each, cap in ((truths, max_depth_m), (shapes, None)))
            table[f"{name} ({goal})"] = {
                align: _figures(metric if align == "none" else shape, truths, max_depth_m, align)
                for align in ALIGNMENTS
            }
    return table


def _over_median(truth: np.ndarray, max_depth_m: float | None) -> np.ndarray:
    """Return the truth in multiples of its median; NaN where it is not known."""
    valid = known(truth, None, max_depth_m)
    return np.where(valid, truth, np.nan) / np.median(truth[valid])


def _figures(
    guess: float | np.ndarray, truths: Sequence[np.ndarray], max_depth_m: float | None, align: str
) -> DepthMetrics:
    """Return the mean figures of one depth (a float), or one depth a row (H,), for all truths."""
    depth = np.broadcast_to(np.reshape(guess, (-1, 1)), truths[0].shape)
    return mean_metrics(depth_metrics(depth, truth, None, max_depth_m, align) for truth in truths)


def least(table: Table, name: str, align: str) -> float | None:
    """Return the least AbsRel that the baselines called `name` reach after `align`; None in an empty table."""
    return min((row[align].abs_rel for label, row in table.items() if label.startswith(name)), default=None)
