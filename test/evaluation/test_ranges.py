"""Errors by range, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from depth_pro_ros.errors import ImageError
from depth_pro_ros.evaluation import ranges


def test_each_pixel_counts_in_its_range():
    assert ranges.EDGES_M[12] == pytest.approx(1.0) and ranges.EDGES_M[24] == pytest.approx(10.0)
    truth = np.array([[1.1, 1.2, 5.0, 0.01, 5000.0, np.nan]])
    errors = ranges.range_errors(truth * 1.5, truth, np.isfinite(truth))
    assert errors.pixels[12] == 2 and errors.pixels.sum() == 5
    assert errors.pixels[0] == 1 and errors.pixels[-1] == 1  # beyond either end
    assert errors.mean[12] == pytest.approx(0.5) and np.isnan(errors.mean[30])
    twice = ranges.total([errors, ranges.range_errors(truth, truth, np.isfinite(truth))])
    assert twice.pixels[12] == 4 and twice.mean[12] == pytest.approx(0.25)


def test_unknown_depth_is_refused():
    truth = np.array([[1.0, 0.0]])
    with pytest.raises(ImageError, match="not finite"):
        ranges.range_errors(truth, truth, np.ones((1, 2), bool))
