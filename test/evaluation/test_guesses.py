"""Baselines of a set: thinning takes pixels, and the table is that of the fits."""

from __future__ import annotations

import numpy as np
import pytest

from depth_pro_ros.evaluation import guesses


def test_thinning_takes_evenly_spread_pixels():
    truth = np.arange(192)[:, None] * 1000.0 + np.arange(64)
    thinned = guesses.thin(truth)
    assert thinned.shape == (96, 32) and thinned.dtype == np.float32
    np.testing.assert_array_equal(thinned[:, 0] // 1000, np.arange(1, 192, 2))
    np.testing.assert_array_equal(thinned[0] % 1000, np.arange(1, 64, 2))


def images():
    """Return two truths whose rows have the same shape at another scale: depth halves half-way down."""
    shape = np.where(np.arange(96) < 48, 4.0, 2.0)[:, None] * np.ones((1, 32))
    return [np.float32(shape), np.float32(shape * 5)]


def test_rows_fit_the_shape_exactly_once_the_scale_is_given_back():
    table = guesses.baseline_figures(images())
    assert set(table) == {f"best {name} ({goal})" for name in ("constant", "rows") for goal in ("delta1", "abs_rel")}
    for goal in ("delta1", "abs_rel"):
        for align in ("scale", "scale_shift"):
            assert table[f"best rows ({goal})"][align].abs_rel == pytest.approx(0, abs=1e-6)
        assert table[f"best rows ({goal})"]["none"].delta1 == pytest.approx(0.5)  # one of the two images
        # 4, 2, 20 and 10 m on a quarter of the pixels each: no two within a factor of 1.25 squared.
        assert table[f"best constant ({goal})"]["none"].delta1 == pytest.approx(0.25)
    # The shift makes a constant the mean inverse depth, 3/8 a metre in the first: errors 1/3 above and 1/3 below.
    assert table["best constant (delta1)"]["scale_shift"].abs_rel == pytest.approx(1 / 3)
    assert guesses.least(table, guesses.CONSTANT, "scale_shift") == pytest.approx(1 / 3)


def test_unknown_images_count_nowhere_and_the_cap_holds():
    unknown = np.zeros((96, 32), np.float32)
    assert guesses.baseline_figures([unknown]) == {} and guesses.least({}, guesses.BY_ROW, "none") is None
    capped = guesses.baseline_figures([*images(), unknown], max_depth_m=5.0)
    assert capped["best rows (abs_rel)"]["none"].abs_rel == pytest.approx(0.0, abs=1e-6)
    assert capped["best rows (abs_rel)"]["none"].pixels == 96 * 32
