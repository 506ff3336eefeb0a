"""All figures of an image by hand, and their means."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_pro_ros.evaluation.figures import FARTHEST_M, OTHER_FOCAL, image_figures, set_figures
from depth_pro_ros.evaluation.rgbd import Sample
from depth_pro_ros.records import Intrinsics

CAMERA = Intrinsics(40, 32, 50.0, 50.0, 19.5, 15.5)
RGB = np.zeros((32, 40, 3), np.uint8)


def sample(depth_m=2.0, camera=CAMERA, opacity=None):
    truth = None if depth_m is None else np.full((32, 40), depth_m, np.float32)
    return Sample("a", RGB, truth, opacity, camera)


def test_depth_at_either_focal_length():
    predicted = np.full((32, 40), 2.5, np.float32)
    figures = image_figures(sample(), predicted, estimated_px=40.0, used_px=50.0)
    plain = figures.depth["none"]
    assert (plain.abs_rel, plain.rmse_m, plain.delta1, plain.delta2) == (0.25, 0.5, 0.0, 1.0)
    assert plain.log10 == pytest.approx(math.log10(1.25))
    assert figures.depth["scale"].abs_rel == pytest.approx(0) and figures.depth["scale_shift"].abs_rel < 1e-6
    assert figures.depth[OTHER_FOCAL].abs_rel == pytest.approx(0.0, abs=1e-7)  # 2.5 * 40 / 50
    back = image_figures(sample(), predicted, estimated_px=40.0, used_px=40.0)
    assert back.depth[OTHER_FOCAL].abs_rel == pytest.approx(0.5625)  # 2.5 * 50 / 40 = 3.125
    assert figures.focal.fov_error_deg == pytest.approx(2 * math.degrees(math.atan(20 / 40) - math.atan(20 / 50)))
    assert figures.ranges["none"].error.sum() == pytest.approx(0.25 * 32 * 40)
    assert figures.boundary_recall is None and figures.seams is None


def test_what_lies_beyond_the_range_counts_as_the_range_s_end():
    figures = image_figures(sample(500.0), np.full((32, 40), np.inf), None, 50.0)
    assert figures.depth["none"].abs_rel == (FARTHEST_M - 500) / 500
    assert OTHER_FOCAL not in figures.depth and figures.focal is None
    capped = image_figures(sample(8.0), np.full((32, 40), np.inf), None, 50.0, max_depth_m=10.0)
    assert capped.depth["none"].abs_rel == pytest.approx(0.25)


def test_an_image_of_nothing_but_sky_has_no_depth_figures():
    figures = image_figures(sample(np.inf), np.full((32, 40), 2.0), None, 50.0, exact=True)
    assert figures.depth == {} and figures.ranges == {} and np.isnan(figures.seams.ratio)


def test_boundaries():
    depth = np.full((32, 40), 2.0, np.float32)
    depth[:, 20:] = 4.0
    opacity = np.float32(depth < 3)
    figures = image_figures(Sample("a", RGB, depth, opacity, None), depth, 40.0, 40.0)
    # A perfect edge has recall 1 where its near side is left of its far one, 0 of no edges the three other ways.
    assert figures.boundary_f1 == pytest.approx(0.25) and figures.boundary_recall == pytest.approx(0.25)
    sparse = np.where(np.arange(40) % 3 == 0, depth, 0)
    assert image_figures(Sample("a", RGB, sparse, None, None), depth, 40.0, 40.0).boundary_f1 is None


def test_seams_are_looked_for_on_exact_truth():
    figures = image_figures(sample(), np.full((32, 40), 2.0), None, 50.0, exact=True)
    assert figures.seams.joint_pairs > 0 and figures.seams.joint == 0


def test_means_over_images():
    predicted = np.full((32, 40), 2.0)
    images = [
        image_figures(sample(2.0), predicted, 50.0, 50.0),
        image_figures(sample(4.0), predicted, 75.0, 50.0),
        image_figures(sample(None, None, np.float32(np.arange(40) < 20) * np.ones((32, 1), np.float32)),
                      predicted, 60.0, 60.0),
    ]  # fmt: skip
    figures = set_figures(images)
    assert figures.images == 3 and figures.depth["none"].abs_rel == pytest.approx(0.25)
    assert figures.depth["none"].pixels == 2 * 32 * 40
    assert figures.focal.images == 2 and figures.focal.median_relative_error == pytest.approx(0.25)
    assert (figures.focal.delta25, figures.focal.delta50) == (0.5, 0.5)  # errors 0 and 50 %, strictly below
    assert figures.boundary_recall == 0.0  # of the one image with a mask; a flat depth shows no outline
    assert figures.ranges["none"].pixels.sum() == 2 * 32 * 40
    empty = set_figures(images[2:])
    assert empty.depth == {} and empty.focal is None and empty.boundary_f1 is None and empty.seams is None
