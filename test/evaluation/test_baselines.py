"""The fitted baselines are the optimum: nothing on a fine grid, nor any truth itself, does better."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.evaluation import best_constant, best_rows, depth_metrics, mean_metrics


def scores(truths, depths):
    return mean_metrics([depth_metrics(np.broadcast_to(depths, truth.shape), truth) for truth in truths])


def random_truths(seed):
    """Return three truths (5, 20) with gaps of different size, so that images' weights differ."""
    generator = np.random.default_rng(seed)
    truths = np.exp(generator.normal(1, 0.5, (3, 5, 20)) + 0.3 * np.arange(5)[:, None])
    truths[0, :, :15] = math.nan
    truths[1][generator.random((5, 20)) < 0.3] = 0
    truths[2, :2] = math.inf
    return list(truths)


def test_constants_by_hand():
    truth = np.array([[1.0, 1.2, 1.5, 8.0]])
    assert best_constant([truth]) == pytest.approx(math.sqrt(1.0 * 1.5))  # 1 to 1.5 lie within 1.25 about it
    # AbsRel: weights 1 / t are 1, 0.83, 0.67, 0.125: half of their 2.625 is passed at 1.2
    assert best_constant([truth], goal="abs_rel") == 1.2


def test_exactly_a_factor_of_the_limit_apart_is_too_far():
    truth = np.array([[1.0, 1.25**2, 1.25**2]])
    assert depth_metrics(np.full_like(truth, best_constant([truth])), truth).delta1 == pytest.approx(2 / 3)


def test_images_count_alike():
    many, few = np.full((2, 50), 2.0), np.full((2, 50), math.nan)
    few[0, 0] = 7.0
    assert best_constant([many, few, few]) == pytest.approx(7.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("goal", ["delta1", "abs_rel"])
def test_no_constant_is_better(goal, seed):
    truths = random_truths(seed)
    best = getattr(scores(truths, best_constant(truths, goal)), goal)
    for other in np.geomspace(0.5, 30, 400):
        score = getattr(scores(truths, other), goal)
        assert score <= best + 1e-12 if goal == "delta1" else score >= best - 1e-12


@pytest.mark.parametrize("goal", ["delta1", "abs_rel"])
def test_rows_are_no_worse_than_the_constant_and_no_row_could_be_better(goal):
    truths = random_truths(7)
    rows = best_rows(truths, goal)
    sign = 1 if goal == "delta1" else -1
    best = sign * getattr(scores(truths, rows[:, None]), goal)
    assert best > sign * getattr(scores(truths, best_constant(truths, goal)), goal) + 0.01
    for row in range(5):
        for other in np.geomspace(0.5, 60, 100):
            changed = np.where(np.arange(5) == row, other, rows)[:, None]
            assert sign * getattr(scores(truths, changed), goal) <= best + 1e-12


def test_a_row_without_truth_takes_the_nearest():
    truth = np.array([[0.0], [2.0], [math.nan], [5.0], [math.inf]])
    np.testing.assert_allclose(best_rows([truth]), [2, 2, 2, 5, 5])


def test_the_cap_counts():
    truth = np.array([[2.0, 9.0, 9.0]])
    assert best_constant([truth]) == pytest.approx(9)
    assert best_constant([truth], max_depth_m=8) == pytest.approx(2)
    np.testing.assert_allclose(best_rows([truth], max_depth_m=8), [2])


@pytest.mark.parametrize("fit", [best_constant, best_rows])
def test_refusals(fit):
    with pytest.raises(ConfigurationError, match="'rmse'.*delta1, abs_rel"):
        fit([np.ones((2, 2))], goal="rmse")
    for truths in ([], [np.zeros((2, 2)), np.full((2, 2), math.nan)]):
        with pytest.raises(ImageError, match=f"no pixel of the {len(truths)} truths"):
            fit(truths)


def test_rows_of_different_heights_are_refused():
    with pytest.raises(ImageError, match=r"\[2, 3\] pixels high"):
        best_rows([np.ones((2, 4)), np.ones((3, 4))])
