"""Stereo matching on pairs of known disparity, made here, and on the Middlebury pairs with their ground truth."""

import cv2
import numpy as np
import pytest

from depth_pro_ros.cli import stereo_calibration
from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.geometry.stereo import depth_from_disparity, sigma_from_disparity
from depth_pro_ros.matching.disparity import StereoMatcher

WIDTH, HEIGHT = 320, 120


def texture(width, seed=0):
    """Return grain (HEIGHT, width) uint8."""
    grain = np.random.default_rng(seed).integers(0, 256, (HEIGHT, width)).astype(np.uint8)
    return cv2.GaussianBlur(grain, (0, 0), 1.0)


def shifted_pair(disparity, width=WIDTH):
    """Return left and right of a wall: what stands at u in the left image stands at u - disparity in the right one."""
    wide = texture(width + 2 * 64)
    return wide[:, 64 : 64 + width], wide[:, 64 + disparity : 64 + disparity + width]


@pytest.mark.parametrize(("disparity", "first"), [(0, 0), (7, 0), (25, 0), (40, 32), (-9, -32)])
def test_a_wall_has_its_disparity_everywhere_that_both_images_see(disparity, first):
    left, right = shifted_pair(disparity)
    match = StereoMatcher(first, 32).match(left, right)
    seen = match.disparity_px[:, max(disparity, 0) : WIDTH + min(disparity, 0)]
    assert np.isfinite(seen).mean() > 0.97
    np.testing.assert_allclose(np.nanmedian(seen), disparity, atol=0.07)
    assert (np.abs(seen - disparity) > 1).mean() < 0.01
    hidden = np.delete(match.disparity_px, np.s_[max(disparity, 0) : WIDTH + min(disparity, 0)], axis=1)
    assert hidden.size == 0 or np.isfinite(hidden).mean() < 0.1


def test_fractions_of_a_pixel():
    left = texture(WIDTH)
    u, v = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    right = cv2.remap(left, u + np.float32(10.4), v, cv2.INTER_CUBIC)
    match = StereoMatcher(0, 32).match(left, right)
    assert np.nanmedian(match.disparity_px) == pytest.approx(10.4, abs=0.15)


def test_the_window_is_where_answers_can_be():
    left, right = shifted_pair(40)
    match = StereoMatcher(32, 32).match(left, right)
    x, y, width, height = match.window
    assert (x, y, width, height) == (32, 0, WIDTH - 34, HEIGHT)
    assert not np.isfinite(match.disparity_px[:, :x]).any()
    negative = StereoMatcher(-32, 16).match(*shifted_pair(-20))
    x, _, width, _ = negative.window
    assert (x, width) == (2, WIDTH - 19)
    assert not np.isfinite(negative.disparity_px[:, x + width :]).any()


def test_colour_is_matched_as_its_grey():
    left, right = shifted_pair(12)
    colour = [np.repeat(image[..., None], 3, axis=2) for image in (left, right)]
    matcher = StereoMatcher(0, 32)
    np.testing.assert_array_equal(matcher.match(*colour).disparity_px, matcher.match(left, right).disparity_px)


def test_a_pixel_hidden_in_the_right_image_has_no_answer():
    """A near square before a far wall covers, in the right image, a strip at its left that the left image shows."""
    wall_left, wall_right = shifted_pair(4)
    left, right = wall_left.copy(), wall_right.copy()
    square = texture(80, seed=5)[:80]
    left[20:100, 150:230] = square
    right[20:100, 126:206] = square  # disparity 24, so wall pixels of the left image at 130 to 149 are hidden
    match = StereoMatcher(0, 32).match(left, right).disparity_px
    strip = match[30:90, 132:148]
    assert (np.abs(strip - 4) < 1).mean() < 0.15 and np.isfinite(strip).mean() < 0.35
    assert np.nanmedian(match[30:90, 160:220]) == pytest.approx(24, abs=0.1)


def test_sigma_says_where_there_is_an_answer():
    match = StereoMatcher(0, 32).match(*shifted_pair(10))
    np.testing.assert_array_equal(np.isfinite(match.sigma_px), np.isfinite(match.disparity_px))
    assert np.nanmin(match.sigma_px) > 0.1 and np.nanmax(match.sigma_px) < 2


@pytest.mark.parametrize(
    ("grey", "noise", "most"), [(0, 0, 0), (128, 0, 0), (255, 1, 0.15), (128, 1, 0.15), (128, 4, 0.15)]
)
def test_a_wall_without_texture_has_few_answers_and_is_not_called_swapped(grey, noise, most):
    """SGBM by itself finds disparity 0, infinity, all over a saturated or covered image; noise fits by chance."""
    random = np.random.default_rng(0)
    left, right = (
        np.clip(np.rint(grey + random.normal(0, noise, (HEIGHT, WIDTH))), 0, 255).astype(np.uint8) for _ in range(2)
    )
    matcher = StereoMatcher(0, 32)
    share = matcher.match(left, right).share
    assert share <= most
    assert not matcher.looks_swapped(left, right, share)


def test_a_flat_patch_amid_texture_keeps_its_rim_and_loses_its_middle():
    left, right = shifted_pair(12)
    left, right = left.copy(), right.copy()
    left[10:110, 140:260] = right[10:110, 128:248] = 128
    match = StereoMatcher(0, 32).match(left, right).disparity_px
    assert np.isnan(match[25:95, 160:240]).all()
    assert np.nanmedian(match[:, 40:130]) == pytest.approx(12, abs=0.1)


def test_images_narrower_than_the_range():
    left, right = shifted_pair(5, width=40)
    match = StereoMatcher(0, 64).match(left, right)
    assert match.disparity_px.shape == (HEIGHT, 40)
    assert np.nanmedian(match.disparity_px) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_disparities": 40}, "multiple of 16"),
        ({"num_disparities": 0}, "multiple of 16"),
        ({"num_disparities": 4096}, "within 2000"),
        ({"block": 4}, "odd"),
        ({"max_disagreement_px": 2.0}, "1/16 to 1"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        StereoMatcher(**settings)


def test_images_that_are_no_pair():
    left, right = shifted_pair(5)
    with pytest.raises(ImageError, match="320x120, right 300x120"):
        StereoMatcher(0, 32).match(left, right[:, :300])
    with pytest.raises(ImageError, match="float32"):
        StereoMatcher(0, 32).match(left.astype(np.float32), right)


def read_pair(folder):
    """Return left and right (H, W, 3) RGB and the true disparity, NaN where unknown."""
    left, right = (next(folder.glob(f"{side}.*")) for side in ("left", "right"))
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in (left, right)]
    truth = cv2.imread(str(folder / "disp_left_x256.png"), cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
    return (*images, np.where(truth > 0, truth, np.nan))


def bad_and_density(disparity_px, truth):
    """Return the percent of answers off by more than 1 px, and of true pixels that have an answer."""
    error = np.abs(disparity_px - truth)
    return 100 * np.mean(error[np.isfinite(error)] > 1), 100 * np.isfinite(error).sum() / np.isfinite(truth).sum()


@pytest.mark.parametrize(
    ("name", "count", "worst_bad", "least_density"), [("motorcycle", 128, 7.0, 89.0), ("aloe", 256, 6.0, 83.0)]
)
def test_middlebury(data_dir, name, count, worst_bad, least_density):
    left, right, truth = read_pair(data_dir / f"stereo_{name}")
    match = StereoMatcher(0, count).match(left, right)
    bad, density = bad_and_density(match.disparity_px, truth)
    print(f"{name}: bad-1px {bad:.2f} %, density {density:.2f} %")
    assert bad <= worst_bad and density >= least_density


def test_metric_depth_and_its_sigma_on_the_motorcycle(data_dir):
    folder = data_dir / "stereo_motorcycle"
    left, right, truth = read_pair(folder)
    rig = stereo_calibration.read([folder / "calib.json"]).rig
    optics = (rig.left.fx, rig.baseline_m, rig.doffs_px)
    match = StereoMatcher(0, 128).match(left, right)
    true_m = depth_from_disparity(truth, *optics)
    error_m = np.abs(depth_from_disparity(match.disparity_px, *optics) - true_m)
    sigma_m = sigma_from_disparity(match.disparity_px, match.sigma_px, *optics)
    known = np.isfinite(error_m)
    relative = np.median(error_m[known] / true_m[known])
    within = np.mean(error_m[known] < sigma_m[known])
    forgotten = np.nanmedian(np.abs(depth_from_disparity(match.disparity_px, *optics[:2]) - true_m) / true_m)
    print(f"motorcycle: median relative error {100 * relative:.3f} % ({100 * forgotten:.0f} % without doffs), ", end="")
    print(f"{100 * within:.0f} % of the errors within one sigma")
    assert relative <= 0.004 and forgotten > 0.5
    assert 0.6 < within < 0.85


@pytest.mark.parametrize(("name", "count"), [("motorcycle", 128), ("aloe", 256)])
def test_swapped_images_are_found_out(data_dir, name, count):
    left, right, _ = read_pair(data_dir / f"stereo_{name}")
    matcher = StereoMatcher(0, count)
    share = matcher.match(right, left).share
    print(f"{name} swapped: {100 * share:.0f} % answered")
    assert matcher.looks_swapped(right, left, share)
    assert not matcher.looks_swapped(left, right, 0.1)  # asked in earnest, not turned away by a high share
