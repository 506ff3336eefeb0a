"""Cues as samples: the half-pixel convention, units, and what is no sample."""

import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.fusion import pair, samples_from_depth, samples_from_disparity, samples_from_points
from depth_pro_ros.records import Intrinsics, MetricSamples

CAMERA = Intrinsics(40, 30, 50.0, 60.0, 19.5, 14.5)


def test_unknown_depth_is_no_sample():
    depth = np.array([[1.0, np.nan, 0.0], [-1.0, np.inf, 2.0]])
    samples = samples_from_depth(depth, sigma_relative=0.1)
    assert samples.u.tolist() == [0.0, 2.0] and samples.v.tolist() == [0.0, 1.0]
    assert samples.depth_m.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(samples.sigma_m, [0.1, 0.2])


def test_a_pixel_without_a_sigma_is_no_sample():
    sigma = np.array([[0.1, 0.0, -1.0, np.nan, np.inf]])
    samples = samples_from_depth(np.ones((1, 5)), sigma_m=sigma)
    assert samples.u.tolist() == [0.0] and samples.sigma_m.tolist() == [0.1]


def test_another_size_moves_pixels_by_the_half_pixel_convention():
    samples = samples_from_depth(np.ones((2, 2)), sigma_m=0.1, width=8, height=4)
    assert samples.u.tolist() == [1.5, 5.5, 1.5, 5.5]  # (0 + 0.5) * 4 - 0.5 and (1 + 0.5) * 4 - 0.5
    assert samples.v.tolist() == [0.5, 0.5, 2.5, 2.5]
    assert (samples.width, samples.height) == (8, 4)


def test_disparity_is_depth_with_a_sigma_that_grows_with_its_square():
    disparity = np.array([[10.0, 0.0, -4.0, -7.0, np.nan]], np.float32)
    samples = samples_from_disparity(disparity, 500.0, 0.12, sigma_px=0.5, doffs_px=5.0)
    np.testing.assert_allclose(samples.depth_m, [60 / 15, 60 / 5, 60 / 1], rtol=1e-6)
    np.testing.assert_allclose(samples.sigma_m, [16 * 0.5 / 60, 144 * 0.5 / 60, 3600 * 0.5 / 60], rtol=1e-6)
    assert len(samples_from_disparity(disparity, 500.0, 0.12).u) == 1  # at infinity, or behind it


def test_points_fall_on_their_pixels():
    points = np.array([[0.0, 0.0, 2.0], [0.4, -0.2, 2.0], [0, 0, -1.0], [9.0, 0, 1.0], [np.nan, 0, 1.0]])
    samples = samples_from_points(points, 0.05, CAMERA)
    np.testing.assert_allclose(samples.u, [19.5, 19.5 + 50 * 0.2])
    np.testing.assert_allclose(samples.v, [14.5, 14.5 - 60 * 0.1])
    assert samples.depth_m.tolist() == [2.0, 2.0] and samples.sigma_m.tolist() == [0.05, 0.05]


def test_pairs_take_the_pixel_that_holds_the_sample():
    inverse = np.arange(1.0, 13.0, dtype=np.float32).reshape(3, 4)
    inverse[0, 0] = 0.0  # no prediction
    cue = MetricSamples(*np.array([[0, 1, 3, 5.4], [0, 0, 1, 4.4], [1, 1, 2, 4], [0.1] * 4]), 6, 5, "test")
    pairs = pair(inverse, [cue])
    # (u + 0.5) * 4 / 6 of 1, 3, 5.4 is 1, 2.3, 3.9; (v + 0.5) * 3 / 5 of 0, 1, 4.4 is 0.3, 0.9, 2.9
    assert pairs.predicted_inv.tolist() == [2.0, 3.0, 12.0]  # whose neighbours are other surfaces: no transport
    np.testing.assert_allclose(pairs.measured_inv, [1.0, 0.5, 0.25])
    np.testing.assert_allclose(pairs.sigma, [0.1, 0.05, 0.025])
    assert len(pair(inverse, [cue, cue])) == 6 and len(pair(inverse, [])) == 0


def test_equal_sizes_pair_every_pixel_with_itself():
    inverse = np.random.default_rng(0).uniform(1, 2, (37, 61)).astype(np.float32)
    pairs = pair(inverse, [samples_from_depth(1.0 / inverse, sigma_relative=0.01)])
    np.testing.assert_array_equal(pairs.pixel, np.arange(37 * 61))
    np.testing.assert_allclose(pairs.measured_inv, pairs.predicted_inv, rtol=1e-6)


def test_bad_values_within_samples_are_left_out():
    columns = np.array([[0, 1, 2, 3, 9, np.nan], [0] * 6, [1, np.nan, 1, 1, 1, 1], [0.1, 0.1, 0, -1, 0.1, 0.1]])
    assert pair(np.ones((4, 4), np.float32), [MetricSamples(*columns, 4, 4, "bad")]).pixel.tolist() == [0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: samples_from_depth(np.ones(4), sigma_m=1.0), ImageError, r"\(4,\)"),
        (lambda: samples_from_depth(np.ones((2, 2))), CalibrationError, "exactly one"),
        (lambda: samples_from_depth(np.ones((2, 2)), sigma_m=0.0), CalibrationError, "sigma 0.0"),
        (lambda: samples_from_depth(np.ones((2, 2)), sigma_m=-1.0), CalibrationError, "positive"),
        (lambda: samples_from_depth(np.ones((2, 2)), sigma_m=np.ones((3, 2))), CalibrationError, r"\(3, 2\)"),
        (lambda: samples_from_disparity(np.ones((2, 2)), 500.0, 0.0), CalibrationError, "baseline .* 0.0"),
        (lambda: samples_from_disparity(np.ones((2, 2)), np.nan, 0.1), CalibrationError, "focal length .* nan"),
        (lambda: samples_from_points(np.ones((2, 4)), 0.1, CAMERA), ImageError, r"\(2, 4\)"),
        (
            lambda: pair(np.ones((2, 2)), [MetricSamples(*map(np.ones, (3, 2, 3, 3)), 2, 2, "odd")]),
            ImageError,
            r"u \(3,\), v \(2,\)",
        ),
    ],
)
def test_a_cue_that_is_none_says_why(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_sample_beside_its_pixels_centre_follows_the_predicted_plane():
    """Inverse depth 1 + 0.01 u + 0.02 v; the cue's pixel (0, 0) at half the size lies at (0.5, 0.5)."""
    v, u = np.mgrid[:6, :8]
    inverse = (1.0 + 0.01 * u + 0.02 * v).astype(np.float32)
    cue = MetricSamples(*np.array([[0.0, 2.0], [0.0, 1.0], [1 / 2.03, 1 / 2.19], [0.1, 0.1]]), 4, 3, "half")
    pairs = pair(inverse, [cue])  # true: twice the prediction, 1.015 at (0.5, 0.5) and 1.095 at (4.5, 2.5)
    np.testing.assert_allclose(pairs.measured_inv / pairs.predicted_inv, 2.0, rtol=1e-5)
