"""The per-pixel blend: the cue's accuracy, the prediction's edges, no seams, no bleeding."""

import cv2
import numpy as np
import pytest
from fusion.distorted import depth_map, smooth_field, with_outliers

from depth_pro_ros.fusion import Fuser, FusionSettings, samples_from_depth
from depth_pro_ros.fusion import field as smooth

WIDTH, HEIGHT = 320, 240


def ramp():
    """Return the true depth of a floor and wall without edges, 2 to 6 m."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return 2.0 + 3.0 * v / HEIGHT + u / WIDTH


def fuse(predicted, *cues, **settings):
    return Fuser(FusionSettings(**settings)).fuse(depth_map(predicted), list(cues), 0)


def test_no_seams_where_the_truth_is_smooth(rng):
    """The cue ends abruptly at half of the image; the ratio fused / predicted must not show where."""
    truth = ramp()
    predicted = truth / 1.4 * np.exp(smooth_field(truth.shape, rng))
    cue = truth * np.exp(rng.normal(0, 0.01, truth.shape))
    cue[:, WIDTH // 2 :] = np.nan
    ratio = fuse(predicted, samples_from_depth(cue, sigma_relative=0.01)).depth.depth_m / predicted
    steps = [np.abs(np.diff(np.log(ratio), axis=axis)) for axis in (0, 1)]
    across = np.abs(np.log(ratio[:, WIDTH // 2 + 4] / ratio[:, WIDTH // 2 - 5]))
    print(f"largest step of the ratio {max(s.max() for s in steps):.2%} a pixel, across the border {across.max():.2%}")
    assert max(s.max() for s in steps) < 0.01 and across.max() < 0.03


def test_the_predictions_edge_stays_where_a_cue_bleeds_across_it(rng):
    """A box at 2 m before a wall at 4 m; the cue's box is 5 px too wide on every side, as stereo fattens it."""
    truth = np.full((HEIGHT, WIDTH), 4.0)
    truth[80:160, 100:200] = 2.0
    cue = truth.copy()
    cue[75:165, 95:205] = 2.0
    cue *= np.exp(rng.normal(0, 0.005, truth.shape))
    fused = fuse(truth / 1.3, samples_from_depth(cue, sigma_relative=0.005)).depth.depth_m
    rim = np.zeros(truth.shape, bool)
    rim[75:165, 95:205] = True
    rim[78:162, 98:202] = False  # two pixels around the edge belong to either
    print(f"bled rim: {np.abs(fused - 4.0)[rim].mean():.3f} m off, the cue {np.abs(cue - 4.0)[rim].mean():.3f} m")
    assert np.abs(fused - 4.0)[rim].max() < 0.1
    assert np.abs(fused - 2.0)[82:158, 102:198].max() < 0.1


def test_gross_outliers_of_the_cue_vanish(rng):
    truth = ramp()
    cue = with_outliers(truth, rng, 0.1)
    fused = fuse(truth / 1.3, samples_from_depth(cue, sigma_relative=0.01)).depth.depth_m
    error = np.abs(fused / truth - 1)
    print(f"cue {np.mean(np.abs(cue / truth - 1)):.2%}, fused {error.mean():.3%}, worst {error.max():.2%}")
    assert error.mean() < 0.001 and error.max() < 0.03


def test_a_detail_that_the_network_missed_comes_from_the_cue(rng):
    """A step of 1.5 % over a few pixels: too fine for the smooth field, well above the cue's noise."""
    truth = ramp()
    truth[100:120, 100:120] *= 0.985
    cue = samples_from_depth(truth * np.exp(rng.normal(0, 0.003, truth.shape)), sigma_relative=0.003)
    inside = (slice(104, 116), slice(104, 116))
    fused = fuse(ramp() / 1.3, cue).depth.depth_m
    without = fuse(ramp() / 1.3, cue, pixel_blend=False).depth.depth_m
    print(f"detail off by {np.mean(fused[inside] / truth[inside]) - 1:.2%} with the blend")
    assert abs(np.mean(fused[inside] / truth[inside]) - 1) < 0.006
    assert abs(np.mean(without[inside] / truth[inside]) - 1) > 0.012


def test_an_object_that_the_network_did_not_see_comes_from_the_cue(rng):
    """A box of 60 x 60 pixels half as far as the floor that is predicted in its place."""
    truth = ramp()
    truth[90:150, 130:190] *= 0.5
    cue = with_outliers(truth, rng) * np.exp(rng.normal(0, 0.01, truth.shape))
    fused = fuse(ramp() / 1.3, samples_from_depth(cue, sigma_relative=0.01))
    inside = (slice(100, 140), slice(140, 180))
    share = np.mean(np.abs(fused.depth.depth_m / truth - 1)[inside] < 0.2)
    print(
        f"{share:.0%} of the unseen object's inside is found, with a sigma of {fused.sigma_relative[inside].mean():.0%}"
    )
    assert share > 0.85
    elsewhere = np.abs(fused.depth.depth_m / truth - 1)[:80]
    assert elsewhere.mean() < 0.005


def test_objects_before_a_soft_prediction_come_from_the_cue(rng):
    """A post of 12 px and a box, of which the network's blurred depth shows a trace, without any edge."""
    truth = ramp()
    truth[40:220, 60:72] *= 0.6
    truth[120:200, 180:240] *= 0.7
    predicted = cv2.GaussianBlur(truth, (0, 0), 12.0) / 1.3
    cue = with_outliers(truth, rng) * np.exp(rng.normal(0, 0.01, truth.shape))
    fused = fuse(predicted, samples_from_depth(cue, sigma_relative=0.01))
    error = np.abs(fused.depth.depth_m / truth - 1)
    post, box = error[44:216, 63:69], error[124:196, 184:236]
    within = (error < 2 * fused.sigma_relative).mean()
    print(f"post {post.mean():.1%}, box {box.mean():.1%}, all {error.mean():.1%} off; {within:.0%} within two sigma")
    assert post.mean() < 0.05 and box.mean() < 0.05 and error.mean() < 0.02 and within > 0.7


def test_sigma_says_how_large_the_errors_are(rng):
    truth = ramp()
    predicted = truth * np.exp(smooth_field(truth.shape, rng)) / 1.4
    cue = truth * np.exp(rng.normal(0, 0.02, truth.shape))
    cue[:, : WIDTH // 3] = np.nan
    fused = fuse(predicted, samples_from_depth(cue, sigma_relative=0.02))
    known = np.isfinite(cue)
    assert fused.sigma_relative[known].mean() < 0.01 < fused.sigma_relative[:, : WIDTH // 6].mean()
    within = (np.abs(fused.depth.depth_m / truth - 1) < fused.sigma_relative).mean()
    print(f"{within:.0%} of the errors within one sigma")
    assert within > 0.55


def test_several_cues_on_one_pixel_are_weighted(rng):
    truth = ramp()
    good = samples_from_depth(truth, sigma_relative=0.002)
    biased = samples_from_depth(truth * 1.02, sigma_relative=0.05)
    error = np.abs(fuse(truth / 1.3, good, biased).depth.depth_m / truth - 1)
    assert error.mean() < 0.004


@pytest.mark.parametrize("size", [(80, 60), (640, 480), (333, 111)])
def test_a_cue_of_another_size_serves_as_well(rng, size):
    truth = ramp()
    width, height = size
    v, u = np.mgrid[:height, :width]
    row, column = (v + 0.5) * HEIGHT / height - 0.5, (u + 0.5) * WIDTH / width - 0.5
    cue = 2.0 + 3.0 * row / HEIGHT + column / WIDTH
    predicted = truth / 1.4 * np.exp(smooth_field(truth.shape, rng))
    error = np.abs(fuse(predicted, samples_from_depth(cue, sigma_relative=0.01)).depth.depth_m / truth - 1)
    print(f"cue {size}: AbsRel {error.mean():.3%}")
    assert error.mean() < 0.005


def test_the_field_is_a_smooth_function_and_fades_beyond_the_depths_seen():
    field = smooth.Field(np.full((12, 16), 0.05), np.full((12, 16), 0.01), 0.02, (0.0, 1.0))
    log_inverse = np.array([[0.0, 1.0, 1.0 + smooth.FADE, 3.0]], np.float32)
    values, variance = field.spread(log_inverse)
    np.testing.assert_allclose(values[0], [0.05, 0.05, 0.05 * np.exp(-0.5), 0.0], atol=1e-6)
    np.testing.assert_allclose(variance[0, [0, 3]], [0.01**2 + 0.02**2, smooth.PRIOR**2 + 0.02**2], rtol=1e-4)
