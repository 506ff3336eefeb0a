"""Disparity and depth against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import stereo
from depth_pro_ros.geometry.distortion import Distortion
from depth_pro_ros.records import Intrinsics

LEFT = Intrinsics(640, 480, 500.0, 500.0, 320.0, 240.0)
F, B = 500.0, 0.2  # f B = 100


def test_depth_of_disparity():
    depth = stereo.depth_from_disparity(np.array([50.0, 10.0, 0.0, -1.0, np.nan]), F, B)
    np.testing.assert_allclose(depth, [2.0, 10.0, np.inf, np.nan, np.nan])
    assert depth.dtype == np.float32


def test_the_difference_of_principal_points_is_added():
    depth = stereo.depth_from_disparity(np.array([30.0, -20.0, -21.0]), F, B, doffs_px=20.0)
    np.testing.assert_allclose(depth, [2.0, np.inf, np.nan])


def test_disparity_of_depth_is_the_inverse():
    disparity = np.array([3.25, 60.0, 0.5], np.float32)
    depth = stereo.depth_from_disparity(disparity, F, B, 7.5)
    np.testing.assert_allclose(stereo.disparity_from_depth(depth, F, B, 7.5), disparity, rtol=1e-5)
    special = stereo.disparity_from_depth(np.array([np.inf, np.nan, 0.0, -1.0]), F, B, 7.5)
    np.testing.assert_allclose(special, [-7.5, np.nan, np.nan, np.nan])


def test_sigma_grows_with_the_square_of_depth():
    """At 10 m, half a pixel of disparity is 10^2 * 0.5 / 100 = 0.5 m; at 2 m it is 0.02 m."""
    np.testing.assert_allclose(stereo.sigma_from_disparity(np.array([10.0, 50.0]), 0.5, F, B), [0.5, 0.02], rtol=1e-6)
    near = stereo.sigma_from_disparity(np.array([30.0, np.nan]), np.array([1.0, 1.0]), F, B, 20.0)
    np.testing.assert_allclose(near, [0.04, np.nan], rtol=1e-6)


def test_sigma_is_the_spread_that_noisy_disparities_give():
    noisy = 25.0 + np.random.default_rng(0).normal(0, 0.1, 200_000)
    spread = stereo.depth_from_disparity(noisy, F, B).std()
    assert spread == pytest.approx(float(stereo.sigma_from_disparity(np.array(25.0), 0.1, F, B)), rel=0.02)


def test_rig_of_two_projections():
    rig = stereo.rig_from_projections(LEFT, replace(LEFT, cx=350.0), 0.0, -100.0)
    assert (rig.left, rig.baseline_m, rig.doffs_px) == (LEFT, pytest.approx(0.2), 30.0)


def test_a_point_seen_through_both_projections_gets_its_depth_back():
    """Pixels are P (X, Y, Z, 1): the convention of P[3] and of doffs together."""
    right = replace(LEFT, cx=350.0)
    rig = stereo.rig_from_projections(LEFT, right, 0.0, -100.0)
    X, Z = 0.7, 4.0
    u_left = (500 * X + 320 * Z) / Z
    u_right = (500 * X + 350 * Z - 100) / Z
    depth = stereo.depth_from_disparity(np.array(u_left - u_right), rig.left.fx, rig.baseline_m, rig.doffs_px)
    assert float(depth) == pytest.approx(Z)


@pytest.mark.parametrize(
    ("right", "tx_right", "message"),
    [
        (LEFT, 0.0, "baseline is 0"),
        (LEFT, 100.0, "swapped"),
        (LEFT, math.nan, "must be positive"),
        (replace(LEFT, width=320), -100.0, "must have one size"),
        (replace(LEFT, fx=510.0), -100.0, "fx of P is 500.0 left and 510.0 right"),
        (replace(LEFT, cy=250.0), -100.0, "cy of P is 240.0 left and 250.0 right"),
    ],
)
def test_what_is_no_rectified_pair_is_refused(right, tx_right, message):
    with pytest.raises(CalibrationError, match=message):
        stereo.rig_from_projections(LEFT, right, 0.0, tx_right)


def test_only_what_bends_or_turns_is_rectified():
    K = LEFT.matrix
    turned = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
    straight = Distortion("plumb_bob", np.zeros(5), K, np.eye(3), K)
    assert stereo.rectifier(straight, 640, 480) is None
    for change in ({"R": turned}, {"P": LEFT.matrix * 1.1}, {"coefficients": np.array([0.1, 0, 0, 0, 0])}):
        assert stereo.rectifier(replace(straight, **change), 640, 480).intrinsics.width == 640
