"""Depth metrics and their alignments against hand-computed numbers, and against loops on real depth."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.evaluation import DepthMetrics, aligned_depth, depth_metrics, known, mean_metrics


def test_four_pixels_by_hand():
    metrics = depth_metrics(np.array([[1.0, 2.0], [6.0, 4.0]]), np.array([[1.0, 1.0], [4.0, 2.1]]))
    logs = np.log([1, 2, 1.5, 4 / 2.1])
    assert metrics.abs_rel == pytest.approx((0 + 1 + 0.5 + 1.9 / 2.1) / 4)
    assert metrics.rmse_m == pytest.approx(math.sqrt((0 + 1 + 4 + 1.9**2) / 4))
    assert metrics.log10 == pytest.approx(sum(logs) / 4 / math.log(10))
    assert (metrics.delta1, metrics.delta2, metrics.delta3) == (0.25, 0.5, 0.75)  # 1.5 < 1.5625 < 1.905 < 1.953 < 2
    assert metrics.si_log == pytest.approx(math.sqrt(np.mean(logs**2) - np.mean(logs) ** 2))
    assert metrics.pixels == 4


def test_the_right_depth_has_no_error():
    truth = np.random.default_rng(0).uniform(0.5, 9, (6, 7))
    assert depth_metrics(truth, truth) == DepthMetrics(0, 0, 0, 1, 1, 1, 0, 42)


@pytest.mark.parametrize("ratio", [1.25, 1 / 1.25])
def test_a_ratio_of_exactly_the_limit_is_not_within(ratio):
    truth = np.full((2, 2), 4.0)
    assert depth_metrics(truth * ratio, truth).delta1 == 0


@pytest.mark.parametrize("unknown", [math.nan, 0.0, -1.0, math.inf, -math.inf])
def test_unknown_truth_does_not_count(unknown):
    predicted, truth = np.array([[1.0, 5.0, 2.0]]), np.array([[1.0, unknown, 1.0]])
    predicted[0, 1] = math.nan  # nor does what is predicted there
    metrics = depth_metrics(predicted, truth)
    assert (metrics.pixels, metrics.abs_rel) == (2, 0.5)


def test_mask_and_cap_leave_pixels_out():
    truth = np.array([[1.0, 2.0, 10.0, 10.5]])
    np.testing.assert_array_equal(known(truth, max_depth_m=10), [[True, True, True, False]])
    np.testing.assert_array_equal(known(truth, np.array([[True, False, True, True]]), 10), [[True, False, True, False]])


def test_the_cap_limits_predictions_and_infinity_too():
    truth = np.array([[5.0, 10.0, 8.0]])
    metrics = depth_metrics(np.array([[5.0, 40.0, math.inf]]), truth, max_depth_m=10)
    assert metrics.abs_rel == pytest.approx((0 + 0 + 2 / 8) / 3)


def test_a_smaller_prediction_is_resized_about_pixel_centres():
    _, x = np.indices((4, 8), np.float64)
    predicted = 10 + 2 * np.indices((2, 4))[1].astype(np.float32) + 0.5  # the mean of each two columns below
    metrics = depth_metrics(predicted, 10 + x, mask=(x > 0) & (x < 7))
    assert metrics.pixels == 24
    assert metrics.rmse_m == pytest.approx(0, abs=1e-6)


# -- alignment


def test_scale_is_the_median_ratio():
    predicted, truth = np.array([[1.0, 2.0, 4.0]]), np.array([[2.0, 6.0, 40.0]])  # ratios 2 3 10
    np.testing.assert_allclose(aligned_depth(predicted, truth, "scale"), [[3, 6, 12]])
    with_cap = aligned_depth(predicted, truth, "scale", max_depth_m=7)  # ratios 2 3 of what is known
    np.testing.assert_allclose(with_cap, [[2.5, 5, 7]])


def test_scale_and_shift_of_inverse_depth_are_undone():
    truth = np.random.default_rng(1).uniform(1, 9, (12, 9))
    predicted = 1 / (0.3 / truth + 0.2)
    assert depth_metrics(predicted, truth).abs_rel > 0.3
    assert depth_metrics(predicted, truth, align="scale").abs_rel > 0.1
    assert depth_metrics(predicted, truth, align="scale_shift").abs_rel == pytest.approx(0, abs=1e-12)


def test_scale_and_shift_are_those_of_least_squares():
    generator = np.random.default_rng(2)
    truth = generator.uniform(1, 9, (12, 9))
    predicted = truth * generator.uniform(0.8, 1.2, truth.shape)
    matrix = np.stack([1 / predicted.ravel(), np.ones(truth.size)], axis=1)
    expected = 1 / np.maximum(matrix @ np.linalg.lstsq(matrix, 1 / truth.ravel())[0], 1 / truth.max())
    np.testing.assert_allclose(aligned_depth(predicted, truth, "scale_shift").ravel(), expected, rtol=1e-10)


def test_aligned_inverse_depth_stays_above_the_deepest_truth_or_the_cap():
    predicted, truth = np.array([[1.0, 1.1, 1.2, 50.0]]), np.array([[1.0, 2.0, 4.0, 4.0]])
    assert aligned_depth(predicted, truth, "scale_shift").max() == pytest.approx(4)
    known_three = aligned_depth(predicted, truth, "scale_shift", mask=truth < 4.0)
    assert known_three.max() == pytest.approx(2)  # 1 / 1.2 and below would be negative
    assert aligned_depth(predicted, truth, "scale_shift", max_depth_m=30).max() <= 30


def test_sky_in_the_prediction_aligns_as_zero_inverse_depth():
    predicted, truth = np.array([[2.0, 4.0, math.inf]]), np.array([[1.0, 4 / 3, 2.0]])  # 1/t = 1/p + 1/2
    np.testing.assert_allclose(aligned_depth(predicted, truth, "scale_shift"), truth)


def test_a_flat_prediction_becomes_the_mean_inverse_depth():
    truth = np.array([[1.0, 2.0, 4.0, 8.0]])
    flat = np.full((1, 4), 3.3)
    np.testing.assert_allclose(aligned_depth(flat, truth, "scale_shift"), 4 / (1 + 0.5 + 0.25 + 0.125))


@pytest.mark.parametrize("align", ["scale", "scale_shift"])
def test_alignment_ignores_unknown_pixels(align):
    generator = np.random.default_rng(3)
    truth, predicted = generator.uniform(1, 9, (2, 8, 9))
    mask = generator.random(truth.shape) < 0.6
    expected = depth_metrics(predicted, truth, mask, align=align)
    for filled in (math.nan, 1e9, -3.0, 0.0, math.inf):
        mine = np.where(mask, predicted, filled)
        assert depth_metrics(mine, np.where(mask, truth, 0), align=align) == expected


def test_metrics_equal_loops_on_real_depth(data_dir):
    raw = cv2.imread(str(data_dir / "boundary_arc2017" / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    truth = raw[180:260, 250:370] / 1000
    predicted = 0.8 * cv2.GaussianBlur(np.where(truth > 0, truth, 1), (9, 9), 2) + 0.1
    metrics = depth_metrics(predicted, truth, max_depth_m=1.2)
    pairs = [(p, t) for p, t in zip(predicted.flat, truth.flat, strict=True) if 0 < t <= 1.2]
    pairs = [(min(p, 1.2), t) for p, t in pairs]
    assert 1000 < len(pairs) < truth.size
    assert metrics.pixels == len(pairs)
    assert metrics.abs_rel == pytest.approx(sum(abs(p - t) / t for p, t in pairs) / len(pairs), abs=1e-9)
    assert metrics.rmse_m == pytest.approx(math.sqrt(sum((p - t) ** 2 for p, t in pairs) / len(pairs)), abs=1e-9)
    assert metrics.log10 == pytest.approx(sum(abs(math.log10(p / t)) for p, t in pairs) / len(pairs), abs=1e-9)
    for power, delta in enumerate((metrics.delta1, metrics.delta2, metrics.delta3), start=1):
        within = sum(max(p / t, t / p) < 1.25**power for p, t in pairs)
        assert delta == pytest.approx(within / len(pairs), abs=1e-9)
    logs = [math.log(p) - math.log(t) for p, t in pairs]
    variance = sum(x * x for x in logs) / len(logs) - (sum(logs) / len(logs)) ** 2
    assert metrics.si_log == pytest.approx(math.sqrt(variance), abs=1e-9)


def test_the_mean_is_over_images():
    one = DepthMetrics(0.1, 1.0, 0.2, 0.5, 0.6, 0.7, 0.3, 1000)
    two = DepthMetrics(0.3, 3.0, 0.4, 0.7, 0.8, 0.9, 0.5, 10)
    mean = mean_metrics([one, two])
    assert mean.pixels == 1010
    assert mean.abs_rel == pytest.approx(0.2)
    assert mean.si_log == pytest.approx(0.4)
    assert mean.delta3 == pytest.approx(0.8)


# -- refusals


def test_no_image_has_no_mean():
    with pytest.raises(ConfigurationError, match="no images"):
        mean_metrics([])


@pytest.mark.parametrize(("truth", "cap"), [(0.0, None), (math.nan, None), (math.inf, None), (5.0, 4.0)])
def test_truth_without_a_known_pixel_is_refused(truth, cap):
    with pytest.raises(ImageError, match="none of the truth's 6 pixels is known"):
        depth_metrics(np.ones((2, 3)), np.full((2, 3), truth), max_depth_m=cap)


@pytest.mark.parametrize("value", [math.nan, 0.0, -2.0])
def test_a_prediction_that_is_no_depth_is_refused(value):
    predicted = np.array([[1.0, value, 3.0]])
    with pytest.raises(ImageError, match="NaN, zero or negative at 1 of 3 pixels"):
        depth_metrics(predicted, np.ones((1, 3)), align="scale")


def test_an_infinite_prediction_of_finite_truth_asks_for_a_cap():
    with pytest.raises(ImageError, match="inf at 1 pixels.*max_depth_m"):
        depth_metrics(np.array([[1.0, math.inf]]), np.ones((1, 2)))


def test_a_resize_of_sky_is_refused():
    with pytest.raises(ImageError, match="no finite depth at 1 pixels"):
        depth_metrics(np.array([[1.0, math.inf]]), np.ones((2, 4)))


def test_wrong_shapes_and_settings_are_refused():
    image = np.ones((2, 3))
    with pytest.raises(ImageError, match=r"truth_m has the shape \(1, 2, 3\)"):
        depth_metrics(image, image[None])
    with pytest.raises(ImageError, match=r"predicted_m has the shape \(6,\)"):
        depth_metrics(image.ravel(), image)
    with pytest.raises(ImageError, match=r"mask is bool of \(3, 2\).*size \(2, 3\)"):
        depth_metrics(image, image, image.T > 0)
    with pytest.raises(ImageError, match="mask is float64"):
        depth_metrics(image, image, image)
    with pytest.raises(ConfigurationError, match="'shift'.*none, scale, scale_shift"):
        depth_metrics(image, image, align="shift")
    with pytest.raises(ConfigurationError, match="max_depth_m is 0"):
        depth_metrics(image, image, max_depth_m=0)
