"""Focal metrics against hand-computed numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.evaluation import FocalMetrics, focal_metrics
from depth_pro_ros.evaluation.focal import relative_error


def test_four_focal_lengths_by_hand():
    estimated, true = [500, 125, 140, 40], [400, 100, 100, 100]  # 0.25, 0.25, 0.4, 0.6
    np.testing.assert_allclose(relative_error(estimated, true), [0.25, 0.25, 0.4, 0.6])
    # Exactly 25 % is not below 25 %.
    assert focal_metrics(estimated, true) == FocalMetrics(pytest.approx(0.325), 0.0, 0.75, 4)


def test_the_error_is_relative_to_the_truth():
    assert focal_metrics([100], [200]).median_relative_error == 0.5
    assert focal_metrics([200], [100]).median_relative_error == 1.0


@pytest.mark.parametrize(("estimated", "true"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_unequal_lists_are_refused(estimated, true):
    with pytest.raises(ConfigurationError, match="one of each per image"):
        focal_metrics(estimated, true)


@pytest.mark.parametrize("value", [0.0, -3.0, math.nan, math.inf])
def test_focal_lengths_that_are_none_are_refused(value):
    with pytest.raises(ConfigurationError, match="estimated focal length is"):
        focal_metrics([1.0, value], [1.0, 1.0])
    with pytest.raises(ConfigurationError, match="true focal length is"):
        focal_metrics([1.0, 1.0], [1.0, value])
