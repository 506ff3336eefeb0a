"""How sharply a depth map shows occluding boundaries, as Depth Pro measures it (arXiv:2410.02073, section 3.3).

Of two neighbouring pixels one occludes the other at threshold t when its inverse depth is more than t times the
other's. Ten thresholds lie evenly from 1.05 to 1.25, and a score is their mean weighted by t / sum(t), as in the
authors' published evaluation (the weights in the paper's text read steeper). A scale of the depth changes nothing.
Depth is inverted after a clip at 1e-6 m from below; +inf becomes 0, which everything finite occludes; NaN neither
occludes nor is occluded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from depth_pro_ros.errors import ImageError

THRESHOLDS = np.linspace(1.05, 1.25, 10)
WEIGHTS = THRESHOLDS / THRESHOLDS.sum()
LEAST_DEPTH_M = 1e-6
ALPHA = 0.1  # what covers more of its pixel than this is foreground


def boundary_f1(predicted_m: np.ndarray, truth_m: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Return the boundary F1 of `predicted_m` against `truth_m`, both (H, W) metres, 0 to 1.

    Per threshold, precision and recall are the means over the four directions of hits / max(edges, 1); F1 is their
    harmonic mean, 0 when both are 0. Without `valid` this is the published measure, in which unknown truth (0) makes
    edges of its own. With `valid` (H, W) bool a pair of neighbours counts only if both pixels are valid.
    """
    predicted, truth = _inverse(predicted_m, "predicted_m"), _inverse(truth_m, "truth_m")
    _check_sizes(predicted, truth, "truth_m")
    if valid is not None:
        _check_valid(valid, truth)
        predicted, truth = (np.where(valid, each, np.nan) for each in (predicted, truth))
    hits, shown, true = np.zeros((3, 4, len(THRESHOLDS)))
    for direction, (mine, theirs) in enumerate(zip(_pairs(predicted), _pairs(truth), strict=True)):
        passed, wanted = _passed(_ratio(*mine)), _passed(_ratio(*theirs))
        shown[direction], true[direction] = _count(passed), _count(wanted)
        hits[direction] = _count(np.minimum(passed, wanted))
    precision = (hits / np.maximum(shown, 1)).mean(axis=0)
    recall = (hits / np.maximum(true, 1)).mean(axis=0)
    both = precision + recall
    return float(WEIGHTS @ (2 * precision * recall / np.where(both > 0, both, 1)))


def boundary_recall(predicted_m: np.ndarray, mask_alpha: np.ndarray) -> float:
    """Return the share, 0 to 1, of a foreground's outline that `predicted_m` (H, W), metres, shows to the pixel.

    `mask_alpha` (H, W) is bool, or the opacity 0 to 1; above 0.1 is foreground. A true edge is a foreground pixel
    beside a background pixel. The prediction is thinned: along each row (column) a run of consecutive pairs that pass
    the threshold keeps only its first maximum. The recall is the mean over the four directions of hits / max(edges, 1).
    """
    predicted, foreground = _inverse(predicted_m, "predicted_m"), _foreground(mask_alpha)
    _check_sizes(predicted, foreground, "mask_alpha")
    recall = np.zeros((4, len(THRESHOLDS)))
    for direction, (mine, (here, there)) in enumerate(zip(_pairs(predicted), _pairs(foreground), strict=True)):
        edge = here & ~there
        recall[direction] = _thinned_hits(_ratio(*mine), edge) / max(np.count_nonzero(edge), 1)
    return float(WEIGHTS @ recall.mean(axis=0))


def _pairs(image: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pixel, its neighbour) for the neighbours to the left, right, above, below; always along the rows.

    `image` is (H, W); the first two pairs are (H, W - 1) each, the last two (W, H - 1).
    """
    for rows in (image, np.ascontiguousarray(image.T)):
        yield rows[:, 1:], rows[:, :-1]
        yield rows[:, :-1], rows[:, 1:]


def _ratio(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Return near / far, +inf over 0, and 0, which passes no threshold, where there is none (NaN, 0 / 0)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = near / far
    return np.fmax(ratio, 0, out=ratio)


def _passed(ratio: np.ndarray) -> np.ndarray:
    """Return how many thresholds each pair passes, of the pairs' shape, uint8."""
    count = np.zeros(ratio.shape, np.uint8)
    candidates = ratio > THRESHOLDS[0]
    count[candidates] = np.searchsorted(THRESHOLDS, ratio[candidates])
    return count


def _count(passed: np.ndarray) -> np.ndarray:
    """Return how many pairs pass each threshold, (10,)."""
    exactly = np.bincount(passed.ravel(), minlength=len(THRESHOLDS) + 1)
    return exactly[::-1].cumsum()[::-1][1:]


def _thinned_hits(ratio: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Return how many thinned pairs are edges at each threshold, (10,); `ratio` and `edge` are (N, L).

    A run's first maximum is one of `_tops`. Two neighbouring tops are in one run when the valley between them
    passes, so a falling threshold joins runs, and of each run only the winner matters from then on.
    """
    index, valley = _tops(ratio)
    height, edge = ratio.ravel()[index], edge.ravel()[index]
    hits = np.zeros(len(THRESHOLDS))
    for level in reversed(range(len(THRESHOLDS))):
        joins = np.flatnonzero(valley > THRESHOLDS[level])
        if joins.size:
            keep = _join(joins, height, valley)
            height, edge, valley = height[keep], edge[keep], valley[keep]
        hits[level] = np.count_nonzero(edge & (height > THRESHOLDS[level]))
    return hits


def _join(joins: np.ndarray, height: np.ndarray, valley: np.ndarray) -> np.ndarray:
    """Return which of the tops (K,) bool stay when those at `joins` are in one run with the top before them.

    The first highest of each run stays, and takes over, in place, the valley before its run.
    """
    opens = np.diff(joins, prepend=joins[0] - 2) != 1
    first = joins[opens] - 1
    members = np.sort(np.concatenate([first, joins]))
    begins = np.flatnonzero(opens) + np.arange(first.size)
    lengths = np.diff(begins, append=members.size)
    highest = np.flatnonzero(height[members] == np.repeat(np.maximum.reduceat(height[members], begins), lengths))
    winners = members[highest[np.searchsorted(highest, begins)]]
    valley[winners] = valley[first]
    keep = np.ones(height.size, bool)
    keep[members] = False
    keep[winners] = True
    return keep


def _tops(ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat indices (K,) of all that can be a run's first maximum, and the lowest ratio before each, (K,).

    They exceed the left neighbour, are not below the right one, and pass the lowest threshold. The valley is the least
    ratio since the top before, itself included; 0 for the first of a row.
    """
    passes = ratio > THRESHOLDS[0]
    passes[:, 1:] &= ratio[:, 1:] > ratio[:, :-1]
    passes[:, :-1] &= ratio[:, :-1] >= ratio[:, 1:]
    index = np.flatnonzero(passes)
    valley = np.zeros(index.size, ratio.dtype)
    if index.size:
        row = index // ratio.shape[1]
        valley[1:] = np.where(row[1:] == row[:-1], np.minimum.reduceat(ratio.ravel(), index)[:-1], 0)
    return index, valley


def _inverse(depth_m: np.ndarray, name: str) -> np.ndarray:
    depth = np.asarray(depth_m)
    if depth.ndim != 2 or not depth.size:
        raise ImageError(f"{name} has the shape {depth.shape}; it must be (H, W) in metres, with pixels")
    if depth.dtype not in (np.float32, np.float64):
        depth = depth.astype(np.float64)
    return 1 / np.maximum(depth, depth.dtype.type(LEAST_DEPTH_M))


def _foreground(mask_alpha: np.ndarray) -> np.ndarray:
    alpha = np.asarray(mask_alpha)
    if alpha.ndim != 2:
        raise ImageError(f"mask_alpha has the shape {alpha.shape}; it must be (H, W)")
    if alpha.dtype != bool and not (np.min(alpha, initial=0) >= 0 and np.max(alpha, initial=0) <= 1):
        raise ImageError(
            f"mask_alpha spans {alpha.min()} to {alpha.max()}; opacity is 0 to 1: divide an 8-bit mask by 255"
        )
    return alpha > ALPHA


def _check_sizes(predicted: np.ndarray, other: np.ndarray, name: str) -> None:
    if predicted.shape != other.shape:
        raise ImageError(
            f"predicted_m is {predicted.shape} and {name} {other.shape}; boundaries compare pixel by pixel: "
            "predict at that size"
        )


def _check_valid(valid: np.ndarray, truth: np.ndarray) -> None:
    if np.shape(valid) != truth.shape or np.asarray(valid).dtype != bool:
        raise ImageError(
            f"valid is {np.asarray(valid).dtype} of {np.shape(valid)}; it must be bool of the size {truth.shape}"
        )
    if not np.any(valid):
        raise ImageError(f"none of the {truth.size} pixels is valid; leave this image out, or check its truth")
