"""The robust fit: exact on exact data, unmoved by gross outliers, and silent rather than wrong."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from depth_pro_ros.errors import AlignmentError
from depth_pro_ros.fusion import AlignmentSettings, Pairs, align
from depth_pro_ros.fusion.alignment import rank_correlation, ratio, weighted_median

WIDTH, HEIGHT = 64, 48


def pairs_of(measured, predicted, rng, sigma=0.01, pixel=None):
    """Return pairs at random pixels unless given."""
    pixel = rng.integers(WIDTH * HEIGHT, size=len(measured)) if pixel is None else pixel
    return Pairs(pixel, predicted, measured, np.full(len(measured), sigma), WIDTH, HEIGHT)


def scene(rng, count=300, scale=1.7, shift=-0.15, noise=0.01, outliers=0.0):
    """Return pairs of z = scale q + shift with relative noise and gross outliers by up to five times."""
    predicted = rng.uniform(0.2, 1.0, count)
    measured = (scale * predicted + shift) * np.exp(rng.normal(0, noise, count))
    wrong = rng.random(count) < outliers
    measured[wrong] *= np.exp(rng.uniform(-1.6, 1.6, wrong.sum()))
    return pairs_of(measured, predicted, rng)


def test_scale_and_shift_are_found(rng):
    found = align(scene(rng, noise=0.0))
    assert found.scale == pytest.approx(1.7, rel=1e-3) and found.shift_inv == pytest.approx(-0.15, abs=1e-3)
    assert found.reason == "" and found.inliers == 1.0 and found.residual < 1e-3


@pytest.mark.parametrize("outliers", [0.05, 0.2, 0.35])
@pytest.mark.parametrize("seed", range(5))
def test_gross_outliers_do_not_move_the_fit(outliers, seed):
    found = align(scene(np.random.default_rng(seed), outliers=outliers))
    assert found.scale == pytest.approx(1.7, rel=0.02) and found.shift_inv == pytest.approx(-0.15, abs=0.01)
    assert found.inliers < 1.0 - outliers / 4


def test_a_scale_alone_is_the_median_ratio(rng):
    predicted = rng.uniform(0.2, 1.0, 101)
    measured = 1.3 * predicted * np.exp(rng.normal(0, 0.02, 101))
    found = align(pairs_of(measured, predicted, rng))
    assert found.shift_inv == 0.0 and found.reason.startswith("scale only")
    assert found.scale == pytest.approx(np.median(measured / predicted), rel=1e-9)


def test_a_wall_earns_no_shift(rng):
    predicted = rng.uniform(0.5, 0.55, 300)
    found = align(pairs_of(1.7 * predicted - 0.15, predicted, rng))
    assert found.shift_inv == 0.0 and "inverse depth spreads" in found.reason


def test_samples_from_one_corner_earn_no_shift(rng):
    predicted = rng.uniform(0.2, 1.0, 300)
    corner = rng.integers(12, size=300) * WIDTH + rng.integers(16, size=300)  # 2 x 2 of the 8 x 8 parts
    found = align(pairs_of(1.7 * predicted - 0.15, predicted, rng, pixel=corner))
    assert found.shift_inv == 0.0 and "parts of the image" in found.reason


def test_samples_that_span_few_of_the_images_depths_earn_no_shift(rng):
    """The image's inverse depth is 0.1 to 1, that of the samples 0.216 to 0.984 without their outermost: 85 % of it."""
    near, overview = scene(rng), np.linspace(0.1, 1.0, 500, dtype=np.float32)
    assert near.reach() == 1.0  # without an overview nothing is known against it
    seen = dataclasses.replace(near, overview_inv=overview)
    assert seen.reach() == pytest.approx(0.853, abs=0.03)
    assert align(seen).shift_inv != 0.0
    found = align(seen, AlignmentSettings(shift_min_reach=0.9))
    assert found.shift_inv == 0.0 and "span the depths of 8" in found.reason


def test_a_poor_network_is_accepted_where_its_ranks_leave_no_doubt(rng):
    """A misfit of 40 %: refused at a rank correlation of chance, accepted when far is far and near is near."""
    predicted = np.exp(rng.uniform(-2.0, 0.5, 300))
    measured = 1.4 * predicted * np.exp(rng.normal(0, 0.42, 300))
    found = align(pairs_of(measured, predicted, rng))
    assert 0.35 < found.residual < 0.5 and found.scale == pytest.approx(1.4, rel=0.1)
    with pytest.raises(AlignmentError, match="at most 35%"):
        align(pairs_of(rng.permutation(measured), predicted, rng))


def test_outliers_lend_no_breadth(rng):
    """A wall with a few far outliers whose own slope is a lie."""
    predicted = np.r_[rng.uniform(0.5, 0.55, 270), rng.uniform(0.05, 0.2, 30)]
    measured = 1.5 * predicted * np.exp(rng.normal(0, 0.01, 300))
    measured[270:] = rng.uniform(0.7, 0.9, 30)
    found = align(pairs_of(measured, predicted, rng))
    assert found.shift_inv == 0.0 and found.scale == pytest.approx(1.5, rel=0.01)


def test_too_few_and_too_clustered_are_refused(rng):
    few = scene(rng)
    with pytest.raises(AlignmentError, match="gives 7 samples .* at least 8"):
        align(few[:7])
    spot = pairs_of(few.measured_inv, few.predicted_inv, rng, pixel=np.zeros(300, np.intp))
    with pytest.raises(AlignmentError, match="lie in 1 of 64 parts"):
        align(spot)
    with pytest.raises(AlignmentError, match="at least 400"):
        align(few, AlignmentSettings(min_samples=400))


@pytest.mark.parametrize("kind", ["uniform", "shuffled", "wild"])
@pytest.mark.parametrize("count", [10, 30, 300])
def test_a_random_cue_is_refused(kind, count):
    """Depths that have nothing to do with the prediction; 20 seeds each, of which chance may let one pass."""
    passed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        predicted = 1.0 / rng.uniform(1.0, 8.0, count)
        true = 1.0 / rng.uniform(1.0, 8.0, count)
        random = {
            "uniform": true,
            "shuffled": rng.permutation(1.3 * predicted),
            "wild": np.exp(rng.uniform(-3, 3, count)),
        }[kind]
        try:
            align(pairs_of(random, predicted, rng))
            passed += 1
        except AlignmentError as error:
            assert "cue" in str(error)
    print(f"random cue ({kind}, {count} samples) accepted {passed} of 20 times")
    assert passed <= (1 if count >= 30 else 2)


def test_beyond_the_support_the_ratio_keeps_its_value():
    inverse = np.array([0.01, 0.2, 0.5, 1.0, 4.0])
    # 2 - 0.1 / q at q clamped to [0.2, 1]: a shift of -0.1 would turn q = 0.01 into a negative inverse depth
    np.testing.assert_allclose(ratio(2.0, -0.1, (0.2, 1.0), inverse), [1.5, 1.5, 1.8, 1.9, 1.9])


def test_weighted_median_by_hand():
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.ones(3)) == 2.0
    assert weighted_median(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4)) == 2.5
    assert weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 3.0])) == 9.0


def test_a_precise_sample_outweighs_vague_ones(rng):
    pairs = scene(rng, count=400, shift=0.0, noise=0.0)
    vague = np.arange(400) % 4 != 0  # three of four are 20 % off and say that they may be
    measured = np.where(vague, 1.2, 1.0) * pairs.measured_inv
    sigma = np.where(vague, 0.5, 0.005)
    found = align(Pairs(pairs.pixel, pairs.predicted_inv, measured, sigma, WIDTH, HEIGHT))
    assert found.scale == pytest.approx(1.7, rel=0.01)


def test_rank_correlation_is_spearmans(rng):
    first, ties = rng.normal(size=200), rng.integers(0, 9, 200).astype(np.float32)
    for second in (first**3, -first, first + rng.normal(size=200), ties):
        assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert rank_correlation(first, np.ones(200)) == 0.0
