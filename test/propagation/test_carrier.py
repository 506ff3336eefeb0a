"""A keyframe carried: what it costs in sigma by hand, what is refused, and recorded sequences with their true poses."""

import cv2
import numpy as np
import pytest
from matching import recordings

from depth_pro_ros.errors import CalibrationError, ImageError, TrackingError
from depth_pro_ros.propagation import Carrier, CarrySettings
from depth_pro_ros.records import DepthMap, Intrinsics, Pose

CAMERA = Intrinsics(96, 64, 80.0, 80.0, 47.5, 31.5)
RGB = np.full((64, 96, 3), 128, np.uint8)


def pose(seconds=0.0, x=0.0, z=0.0):
    T = np.eye(4)
    T[0, 3], T[2, 3] = x, z
    return Pose(T, round(seconds * 1e9))


def carrier(depth_m=None, sigma=0.0):
    depth_m = np.full((64, 96), 2.0, np.float32) if depth_m is None else depth_m
    return Carrier(DepthMap(depth_m, CAMERA, 80.0), pose(), sigma)


def test_the_same_view_at_the_same_time_is_the_keyframe():
    depth_m = np.linspace(1, 5, 64 * 96, dtype=np.float32).reshape(64, 96)
    depth_m[:4], depth_m[8:12, 8:30] = np.inf, np.nan
    carried = carrier(depth_m, 0.1).carry(pose(), RGB, CarrySettings(fill_reach=0.0))
    np.testing.assert_allclose(carried.depth.depth_m, depth_m, rtol=1e-6)
    finite = np.isfinite(depth_m)
    np.testing.assert_allclose(carried.sigma_relative[finite], 0.1, rtol=1e-5)
    assert np.isnan(carried.sigma_relative[~finite]).all(), "nothing is said of sky and of the unknown"
    assert not carried.filled.any() and (carried.age_s, carried.baseline_m, carried.filled_share) == (0.0, 0.0, 0.0)
    assert carried.carried_share == pytest.approx(1 - 88 / (64 * 96))
    assert carried.depth.intrinsics == CAMERA and set(carried.depth.timings_ms) == {"warp", "fill"}


def test_sigma_grows_with_age_and_with_the_way():
    settings = CarrySettings(drift=0.02, scene_speed_m_s=0.1)
    for seconds, x, moved_m in [(0.5, 0.0, 0.05), (2.0, 0.0, 0.2), (0.0, 0.3, 0.006), (1.0, 0.3, 0.106)]:
        carried = carrier(sigma=0.04).carry(pose(seconds, x), RGB, settings)
        expected = np.hypot(0.04, moved_m / 2.0)  # the wall stands at 2 m
        np.testing.assert_allclose(carried.sigma_relative[:, :80], expected, rtol=1e-5)
        assert carried.age_s == seconds and carried.baseline_m == pytest.approx(x)
    # Half the way nearer, what was 2 m away is 1 m away.
    nearer = carrier(sigma=0.04).carry(pose(1.0, z=1.0), RGB, settings)
    expected = np.hypot(0.04 * 2.0 / 1.0, (0.1 + 0.02) / 1.0)
    np.testing.assert_allclose(nearer.sigma_relative[~nearer.filled], expected, rtol=1e-5)


def test_an_earlier_view_is_as_far_as_a_later_one():
    before, after = (carrier(sigma=0.04).carry(pose(s), RGB) for s in (-0.5, 0.5))
    np.testing.assert_allclose(before.sigma_relative, after.sigma_relative)
    assert before.age_s == -0.5


def test_filled_pixels_are_told_and_their_sigma_is_higher():
    carried = carrier(sigma=0.04).carry(pose(0.1, x=0.2), RGB)
    assert carried.filled[:, -8:].all() and not carried.filled[:, :-8].any(), "0.2 m at 2 m are 8 px of new view"
    np.testing.assert_allclose(carried.depth.depth_m, 2.0, rtol=1e-5)
    assert carried.sigma_relative[carried.filled].min() > 1.5 * carried.sigma_relative[~carried.filled].max()
    rows = carried.sigma_relative[30][carried.filled[30]]
    assert (np.diff(rows) > 0).all(), "and the higher, the farther from what was carried"
    assert carried.carried_share == pytest.approx(88 / 96) and carried.filled_share == pytest.approx(8 / 96)
    bare = carrier(sigma=0.04).carry(pose(0.1, x=0.2), RGB, CarrySettings(fill_reach=0.0))
    np.testing.assert_array_equal(np.isnan(bare.depth.depth_m), carried.filled)
    far = carrier(sigma=0.04).carry(pose(0.1, x=1.0), RGB)
    assert np.isnan(far.depth.depth_m[:, 70:]).all(), "40 px are more than a tenth of the width: the rest stays unknown"


def test_soft_edges_do_not_fly_about_in_the_hole_beside_a_thing():
    depth_m = np.full((64, 96), 4.0, np.float32)
    depth_m[16:48, 30:60] = 1.0
    soft = 1 / cv2.GaussianBlur(1 / depth_m, (0, 0), 1.0)
    image = np.dstack([np.where(depth_m == 1.0, 220, 40).astype(np.uint8)] * 3)
    seen = np.roll(image, -16, axis=1)  # 0.2 m to the right the thing is at columns 14 .. 43, and a hole right of it
    carried = carrier(soft).carry(pose(0.0, x=0.2), seen)
    bare = carrier(soft).carry(pose(0.0, x=0.2), seen, CarrySettings(fill_reach=0.0))
    hole = np.isnan(bare.depth.depth_m[20:44, 47:54])
    assert hole.mean() > 0.9, "nothing is in the hole"
    np.testing.assert_allclose(carried.depth.depth_m[20:44, 47:54], 4.0, rtol=0.1)
    still = carrier(soft).carry(pose(0.3), image)
    np.testing.assert_allclose(still.depth.depth_m, soft, rtol=1e-5)


def test_a_sigma_of_each_pixel_goes_with_it():
    sigma = np.full((64, 96), 0.02, np.float32)
    sigma[:, 40:] = 0.2
    sigma[0, 0] = np.nan
    carried = carrier(sigma=sigma).carry(pose(0.0, x=0.25), RGB, CarrySettings(drift=0.0))
    # 0.25 m at 2 m are 10 px.
    np.testing.assert_allclose(carried.sigma_relative[1:, :29], 0.02, rtol=1e-5)
    np.testing.assert_allclose(carried.sigma_relative[1:, 31:80], 0.2, rtol=1e-5)


def test_an_image_of_another_size_shows_the_same_view():
    large = np.full((128, 192, 3), 128, np.uint8)
    np.testing.assert_array_equal(
        carrier().carry(pose(0.1, 0.4), large).depth.depth_m, carrier().carry(pose(0.1, 0.4), RGB).depth.depth_m
    )


def test_what_is_refused():
    with pytest.raises(TrackingError, match=r"3\.50 s old, and depth is carried for 3 s"):
        carrier().carry(pose(3.5), RGB)
    with pytest.raises(TrackingError, match=r"11\.00 m from the last keyframe, and depth is carried over 10 m"):
        carrier().carry(pose(0.1, 11.0), RGB)
    with pytest.raises(CalibrationError, match="no rotation"):
        carrier().carry(Pose(2 * np.eye(4), 0), RGB)
    with pytest.raises(ImageError, match="float64"):
        carrier().carry(pose(), RGB / 2)


def test_a_keyframe_that_knows_nothing():
    carried = carrier(np.full((64, 96), np.nan, np.float32), 0.1).carry(pose(0.1, 0.1), RGB)
    assert np.isnan(carried.depth.depth_m).all() and np.isnan(carried.sigma_relative).all()
    assert carried.carried_share == carried.filled_share == 0.0


@pytest.mark.parametrize(("name", "covered"), [("rgbd_hololens", 0.90), ("rgbd_livingroom_synth", 0.95)])
def test_recorded_sequences_with_true_poses_and_keyframes_every_fifth_frame(data_dir, name, covered):
    """Errors and coverage are taken over the pixels whose truth is known, keyframes included."""
    camera, frames = recordings.load(data_dir / name)
    errors, shares, sigmas = {"carried": [], "all": []}, {"carried": [], "all": []}, []
    for number, (grey, truth, T) in enumerate(frames):
        if number % 5 == 0:
            keyframe = Carrier(DepthMap(truth, camera, camera.fx), Pose(T, 0), 0.005)
        carried = keyframe.carry(Pose(T, 0), np.dstack([grey] * 3))
        error = np.abs(carried.depth.depth_m / truth - 1)
        known = np.isfinite(error)
        for what, mask in (("carried", known & ~carried.filled), ("all", known)):
            errors[what].append(error[mask].mean())
            shares[what].append(mask.sum() / np.isfinite(truth).sum())
        filled = known & carried.filled
        if filled.any():
            assert carried.sigma_relative[filled].min() > 2 * np.mean(carried.sigma_relative[known & ~carried.filled])
            sigmas.append((error / carried.sigma_relative)[filled])
    error, share = ({what: np.mean(values) for what, values in table.items()} for table in (errors, shares))
    spread = np.sqrt(np.mean(np.concatenate(sigmas) ** 2))
    print(
        f"{name}: AbsRel {error['carried']:.2%} carried, {error['all']:.2%} after filling; coverage "
        f"{share['carried']:.1%} carried, {share['all']:.1%} after filling; filled error / sigma {spread:.2f} rms"
    )
    assert error["carried"] <= 0.006 and error["all"] <= 0.012
    assert share["all"] >= covered
    assert 0.5 < spread < 1.5, "the sigma of filled pixels is about their error"
