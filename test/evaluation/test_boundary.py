"""Boundary F1 and recall against loops over every pair of neighbours, written from the definition alone."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import ImageError
from depth_pro_ros.evaluation import boundary_f1, boundary_recall
from depth_pro_ros.evaluation.boundary import THRESHOLDS, WEIGHTS

STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0))  # left, right, above, below


# -- the definition, slowly


def inverse_of(depth):
    return [[1 / max(float(value), 1e-6) for value in row] for row in depth]


def pairs_of(shape, step):
    """Return [[((row, column), neighbour), ...], ...]: the pairs of each line along the step, in the line's order."""
    height, width = shape
    dv, du = step
    lines = range(height) if du else range(width)
    pairs = []
    for line in lines:
        along = [(line, u) if du else (u, line) for u in range(width if du else height)]
        pairs.append([((v, u), (v + dv, u + du)) for v, u in along if 0 <= v + dv < height and 0 <= u + du < width])
    return pairs


def flagged(inverse, step, threshold, thin=False):
    found = set()
    for line in pairs_of((len(inverse), len(inverse[0])), step):
        run = []
        for pair in [*line, None]:
            ratio = pair and inverse[pair[0][0]][pair[0][1]] / inverse[pair[1][0]][pair[1][1]]
            if pair and ratio > threshold:
                run.append((ratio, pair))
            elif thin:
                found |= {max(run, key=lambda each: each[0])[1]} if run else set()  # max keeps the first
                run = []
            else:
                found |= {each[1] for each in run}
                run = []
    return found


def slow_f1(predicted, truth, valid=None):
    mine, theirs, score = inverse_of(predicted), inverse_of(truth), 0.0
    for threshold in np.linspace(1.05, 1.25, 10):
        precision = recall = 0.0
        for step in STEPS:
            shown, true = flagged(mine, step, threshold), flagged(theirs, step, threshold)
            if valid is not None:
                shown, true = ({p for p in pairs if valid[p[0]] and valid[p[1]]} for pairs in (shown, true))
            precision += 0.25 * len(shown & true) / max(len(shown), 1)
            recall += 0.25 * len(shown & true) / max(len(true), 1)
        if precision + recall:
            score += threshold / np.linspace(1.05, 1.25, 10).sum() * 2 * precision * recall / (precision + recall)
    return score


def slow_recall(predicted, alpha):
    mine, score = inverse_of(predicted), 0.0
    for threshold in np.linspace(1.05, 1.25, 10):
        for step in STEPS:
            every = [pair for line in pairs_of(alpha.shape, step) for pair in line]
            true = {pair for pair in every if alpha[pair[0]] > 0.1 and not alpha[pair[1]] > 0.1}
            hits = len(flagged(mine, step, threshold, thin=True) & true)
            score += threshold / np.linspace(1.05, 1.25, 10).sum() * 0.25 * hits / max(len(true), 1)
    return score


# -- agreement


def random_depths(seed, kind):
    """Return predicted and truth (23, 31): white noise, gentle slopes whose runs are long, or few levels with ties."""
    generator = np.random.default_rng(seed)
    if kind == "noise":
        return generator.uniform(1, 8, (2, 23, 31))
    if kind == "slopes":
        return np.exp(cv2.resize(generator.normal(0, 1.5, (6, 8, 2)), (31, 23))).transpose(2, 0, 1)
    return 1.1 ** generator.integers(0, 4, (2, 23, 31))


CASES = pytest.mark.parametrize(("kind", "seed"), [(k, s) for k in ("noise", "slopes", "levels") for s in range(3)])


@CASES
def test_f1_equals_the_loops(kind, seed):
    predicted, truth = random_depths(seed, kind)
    mixed = np.where(np.random.default_rng(seed).random(truth.shape) < 0.7, truth, predicted)
    score = boundary_f1(mixed, truth)
    assert 0.05 < score < 0.99
    assert score == pytest.approx(slow_f1(mixed, truth), abs=1e-9)


@CASES
def test_f1_with_invalid_pixels_equals_the_loops(kind, seed):
    predicted, truth = random_depths(seed, kind)
    mixed = np.where(np.random.default_rng(seed).random(truth.shape) < 0.7, truth, predicted)
    valid = np.random.default_rng(seed + 9).random(truth.shape) < 0.8
    score = boundary_f1(mixed, np.where(valid, truth, 0), valid)
    assert score == pytest.approx(slow_f1(mixed, truth, valid), abs=1e-9)
    assert abs(score - boundary_f1(mixed, np.where(valid, truth, 0))) > 0.01  # zeros are edges of the published one


@CASES
def test_recall_equals_the_loops(kind, seed):
    predicted, truth = random_depths(seed, kind)
    alpha = np.where(truth < np.median(truth), np.random.default_rng(seed).random(truth.shape), 0)
    mixed = np.where(alpha > 0.1, 0.93, 1.0) * predicted
    score = boundary_recall(mixed, alpha)
    assert 0.05 < score < 0.99
    assert score == pytest.approx(slow_recall(mixed, alpha), abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_equal_the_loops_on_real_depth(data_dir, dtype):
    raw = cv2.imread(str(data_dir / "boundary_arc2017" / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    truth = (raw[180:260, 250:370] / 1000).astype(dtype)
    valid = truth > 0
    assert 0.2 < valid.mean() < 0.999
    predicted = cv2.GaussianBlur(np.where(valid, truth, np.median(truth[valid])), (3, 3), 0.8)
    alpha = (valid & (truth < np.median(truth[valid]))).astype(np.float32)
    print(f"F1 {boundary_f1(predicted, truth):.4f}, valid {boundary_f1(predicted, truth, valid):.4f}")
    assert boundary_f1(predicted, truth) == pytest.approx(slow_f1(predicted, truth), abs=1e-9)
    assert boundary_f1(predicted, truth, valid) == pytest.approx(slow_f1(predicted, truth, valid), abs=1e-9)
    assert boundary_recall(predicted, alpha) == pytest.approx(slow_recall(predicted, alpha), abs=1e-9)


# -- hand-computed


def test_thresholds_and_weights_are_the_published_ones():
    np.testing.assert_allclose(THRESHOLDS[[0, 1, 9]], [1.05, 1.05 + 0.2 / 9, 1.25])
    np.testing.assert_allclose(WEIGHTS[[0, 9]], [1.05 / 11.5, 1.25 / 11.5])
    assert WEIGHTS.sum() == pytest.approx(1)


def test_a_perfect_step_scores_in_its_two_lines_only():
    truth = np.array([[1.0, 1.0, 2.0]] * 3)  # one edge per row, seen from its left pixel: right neighbour farther
    # Precision and recall: that direction 1, the other three 0 hits of 0 edges.
    assert boundary_f1(truth, truth) == pytest.approx(0.25)
    assert boundary_recall(truth, truth < 1.5) == pytest.approx(0.25)


def test_a_step_counts_up_to_its_own_ratio():
    truth = np.array([[1.0, 1.1]])  # passes 1.05, 1.0722, 1.0944
    assert boundary_f1(truth, truth) == pytest.approx(0.25 * THRESHOLDS[:3].sum() / 11.5)


def test_flat_depth_has_no_boundary():
    assert boundary_f1(np.ones((4, 5)), np.ones((4, 5))) == 0.0
    assert boundary_recall(np.ones((4, 5)), np.eye(4, 5)) == 0.0


def test_a_scale_changes_nothing():
    predicted, truth = random_depths(3, "slopes")
    assert boundary_f1(predicted * 8, truth / 4) == boundary_f1(predicted, truth)
    assert boundary_recall(predicted * 8, truth > 1) == boundary_recall(predicted, truth > 1)


def blurred_step(*inverse):
    return 1 / np.array([inverse], np.float64)


@pytest.mark.parametrize(
    ("inverse", "peak"),
    [
        ((4, 3, 2, 1), 2),  # ratios 1.33 1.5 2: the last is the run's maximum
        ((8, 4, 2, 1), 0),  # equal ratios: the first
        ((4, 2, 2, 1), (0, 2)),  # two runs
    ],
)
def test_of_a_blurred_edge_one_pair_remains(inverse, peak):
    peaks = np.atleast_1d(peak)
    for edge in range(3):
        alpha = np.zeros((1, 4))
        alpha[0, : edge + 1] = 1
        assert boundary_recall(blurred_step(*inverse), alpha) == pytest.approx(0.25 if edge in peaks else 0)


def test_runs_do_not_go_on_in_the_next_row():
    predicted = 1 / np.array([[4.0, 2.0], [4.0, 1.5]])  # each row's only pair passes; the lower one is the larger
    alpha = np.array([[1, 0], [0, 0]])
    assert boundary_recall(predicted, alpha) == pytest.approx(0.25)


def test_sky_is_occluded_and_the_unknown_is_not():
    truth = np.array([[3.0, math.inf], [3.0, math.inf]])
    assert boundary_f1(truth, truth) == pytest.approx(0.25)
    assert boundary_recall(truth, np.isfinite(truth)) == pytest.approx(0.25)
    unknown = np.array([[3.0, math.nan], [3.0, math.nan]])
    assert boundary_f1(unknown, truth) == 0
    assert boundary_recall(unknown, np.isfinite(truth)) == 0


def test_opacity_above_a_tenth_is_foreground():
    predicted = np.array([[1.0, 2.0]])
    assert boundary_recall(predicted, np.array([[0.11, 0.1]])) == pytest.approx(0.25)
    assert boundary_recall(predicted, np.array([[0.11, 0.12]])) == 0


def test_a_full_frame_of_stripes_is_counted_whole():
    # As many runs as there can be, each of one pair.
    predicted = np.tile([1.0, 2.0], (1080, 960))
    assert boundary_recall(predicted, predicted < 1.5) == pytest.approx(0.5)  # left and right 1, above and below 0


def test_inputs_are_left_alone():
    predicted, truth = random_depths(1, "noise")
    before = predicted.copy(), truth.copy()
    boundary_f1(predicted, truth, truth > 2)
    boundary_recall(predicted, truth > 4)
    np.testing.assert_array_equal([predicted, truth], before)


# -- refusals


def test_other_sizes_are_refused():
    with pytest.raises(ImageError, match=r"predicted_m is \(4, 5\) and truth_m \(4, 6\)"):
        boundary_f1(np.ones((4, 5)), np.ones((4, 6)))
    with pytest.raises(ImageError, match=r"predicted_m is \(4, 5\) and mask_alpha \(5, 4\)"):
        boundary_recall(np.ones((4, 5)), np.ones((5, 4)))
    with pytest.raises(ImageError, match=r"predicted_m has the shape \(1, 4, 5\)"):
        boundary_f1(np.ones((1, 4, 5)), np.ones((4, 5)))
    with pytest.raises(ImageError, match=r"bool of the size \(4, 5\)"):
        boundary_f1(np.ones((4, 5)), np.ones((4, 5)), np.ones((4, 5)))


def test_nothing_valid_is_refused():
    with pytest.raises(ImageError, match="none of the 20 pixels is valid"):
        boundary_f1(np.ones((4, 5)), np.ones((4, 5)), np.zeros((4, 5), bool))


def test_an_eight_bit_mask_is_refused():
    with pytest.raises(ImageError, match="0 to 255.*divide"):
        boundary_recall(np.ones((2, 2)), np.array([[0, 255], [3, 4]], np.uint8))
