"""CameraInfo against numbers worked out by hand."""

import copy

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.camera_info import (
    check_matches,
    distortion_from_info,
    info_from_intrinsics,
    intrinsics_from_info,
)

K = [500.0, 0, 320.5, 0, 510.0, 239.0, 0, 0, 1]
P = [450.0, 0, 330.0, -45.0, 0, 460.0, 250.0, 0, 0, 0, 1, 0]
D = [-0.3, 0.1, 0.001, -0.002, 0.01]


def info(**fields) -> CameraInfo:
    msg = CameraInfo(width=640, height=480, k=K, p=P, d=D, distortion_model="plumb_bob", r=np.eye(3).ravel())
    for name, value in fields.items():
        if name.startswith("roi_"):
            setattr(msg.roi, name[4:], value)
        else:
            setattr(msg, name, value)
    return msg


def test_k_for_raw_and_p_for_rectified_images():
    assert intrinsics_from_info(info(), rectified=False) == Intrinsics(640, 480, 500.0, 510.0, 320.5, 239.0)
    assert intrinsics_from_info(info(), rectified=True) == Intrinsics(640, 480, 450.0, 460.0, 330.0, 250.0)


@pytest.mark.parametrize("rectified", [False, True])
def test_an_uncalibrated_camera_has_no_intrinsics(rectified):
    assert intrinsics_from_info(CameraInfo(width=640, height=480), rectified) is None
    assert intrinsics_from_info(CameraInfo(), rectified) is None
    assert distortion_from_info(CameraInfo(distortion_model="plumb_bob", d=D)) is None


def test_without_p_only_an_undistorted_k_serves():
    undistorted = info(p=np.zeros(12), d=[0.0] * 5)
    assert intrinsics_from_info(undistorted, rectified=True) == intrinsics_from_info(undistorted, rectified=False)
    with pytest.raises(CalibrationError, match="no P"):
        intrinsics_from_info(info(p=np.zeros(12)), rectified=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"k": [float("nan"), *K[1:]]},
        {"k": [-500.0, *K[1:]]},
        {"k": [*K[:2], float("inf"), *K[3:]]},
        {"k": [*K[:4], 0.0, *K[5:]]},
        {"width": 0},
        {"height": 0},
    ],
)
def test_impossible_calibrations(fields):
    with pytest.raises(CalibrationError):
        intrinsics_from_info(info(**fields), rectified=False)


def test_nan_in_p_is_refused():
    with pytest.raises(CalibrationError, match="finite"):
        intrinsics_from_info(info(p=[float("nan"), *P[1:]]), rectified=True)


def test_binning_averages_blocks():
    """Blocks of 2x4: sensor columns 0 and 1 (centre 0.5) become column 0, so u' = (u - 0.5) / 2."""
    got = intrinsics_from_info(info(binning_x=2, binning_y=4), rectified=False)
    assert (got.width, got.height, got.fx, got.fy) == (320, 120, 250.0, 127.5)
    assert got.cx == pytest.approx((320.5 - 0.5) / 2) and got.cy == pytest.approx((239.0 - 1.5) / 4)


def test_binning_of_zero_and_one_are_the_same():
    assert intrinsics_from_info(info(binning_x=1, binning_y=1), False) == intrinsics_from_info(info(), False)


def test_a_region_of_interest_moves_the_principal_point():
    window = {"roi_x_offset": 100, "roi_y_offset": 40, "roi_width": 400, "roi_height": 300}
    assert intrinsics_from_info(info(**window), False) == Intrinsics(400, 300, 500.0, 510.0, 220.5, 199.0)
    assert intrinsics_from_info(info(**window), True) == Intrinsics(400, 300, 450.0, 460.0, 230.0, 210.0)


def test_region_then_binning_on_a_width_that_does_not_divide():
    """401 columns binned by 2 leave 200; the last column is dropped and nothing else moves."""
    window = {"roi_x_offset": 100, "roi_y_offset": 40, "roi_width": 401, "roi_height": 300}
    got = intrinsics_from_info(info(**window, binning_x=2, binning_y=2), False)
    assert (got.width, got.height, got.fx, got.cx) == (200, 150, 250.0, pytest.approx((220.5 - 0.5) / 2))


@pytest.mark.parametrize(
    "fields",
    [
        {"roi_width": 700, "roi_height": 480},
        {"roi_x_offset": 300, "roi_width": 400, "roi_height": 480},
        {"roi_x_offset": 10, "roi_y_offset": 10},
        {"binning_x": 1000},
    ],
)
def test_regions_outside_the_image_are_refused(fields):
    with pytest.raises(CalibrationError):
        intrinsics_from_info(info(**fields), rectified=False)


def test_a_rectified_region_is_refused_for_rectified_images_only():
    msg = info(roi_x_offset=100, roi_width=400, roi_height=300, roi_do_rectify=True)
    assert intrinsics_from_info(msg, rectified=False).cx == 220.5
    with pytest.raises(CalibrationError, match="do_rectify"):
        intrinsics_from_info(msg, rectified=True)
    full = info(roi_width=640, roi_height=480, roi_do_rectify=True)
    assert intrinsics_from_info(full, rectified=True).fx == 450.0


def test_sizes_must_match():
    got = intrinsics_from_info(info(), rectified=False)
    check_matches(got, 640, 480)
    for width, height in ((480, 640), (640, 481), (1280, 960)):
        with pytest.raises(CalibrationError, match=f"{width}x{height}.*640x480"):
            check_matches(got, width, height)


@pytest.mark.parametrize("fields", [{"d": []}, {"d": [0.0] * 5}, {"distortion_model": ""}])
def test_nothing_to_undistort(fields):
    assert distortion_from_info(info(**fields)) is None


@pytest.mark.parametrize(("model", "count"), [("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)])
def test_the_three_models(model, count):
    found = distortion_from_info(info(distortion_model=model, d=[0.01] * count))
    assert found.model == model and found.coefficients.tolist() == [0.01] * count
    np.testing.assert_array_equal(found.K, np.reshape(K, (3, 3)))
    np.testing.assert_array_equal(found.P, np.reshape(P, (3, 4))[:, :3])


def test_absent_r_is_identity_and_absent_p_is_none():
    found = distortion_from_info(info(r=np.zeros(9), p=np.zeros(12)))
    np.testing.assert_array_equal(found.R, np.eye(3))
    assert found.P is None


def test_distortion_follows_binning_and_region():
    found = distortion_from_info(info(binning_x=2, binning_y=2, roi_x_offset=20, roi_width=600, roi_height=480))
    assert found.K[0].tolist() == [250.0, 0.0, pytest.approx((300.5 - 0.5) / 2)]
    assert found.P[0].tolist() == [225.0, 0.0, pytest.approx((310.0 - 0.5) / 2)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"distortion_model": "brown_conrady"}, "brown_conrady.*plumb_bob, rational_polynomial, equidistant"),
        ({"d": [0.1, 0.2]}, "plumb_bob.*4 or 5"),
        ({"d": [0.1, 0.2, 0.0, 0.0, float("nan")]}, "finite"),
        ({"r": np.full(9, 0.5)}, "rotation"),
    ],
)
def test_lenses_that_cannot_be_used(fields, words):
    with pytest.raises(CalibrationError, match=words):
        distortion_from_info(info(**fields))


def test_a_received_message_is_not_changed():
    msg = info(binning_x=2, roi_x_offset=20, roi_width=600, roi_height=480)
    before = copy.deepcopy(msg)
    intrinsics_from_info(msg, True)
    found = distortion_from_info(msg)
    found.K[:] = 0
    found.coefficients[:] = 0
    assert msg == before


def test_info_of_an_undistorted_image_fills_k_and_p():
    head = Header(frame_id="optical")
    head.stamp.nanosec = 999_999_999
    given = Intrinsics(320, 240, 250.0, 251.0, 160.0, 119.0)
    msg = info_from_intrinsics(given, head)
    assert msg.k.tolist() == [250.0, 0, 160.0, 0, 251.0, 119.0, 0, 0, 1]
    assert msg.p.tolist() == [250.0, 0, 160.0, 0, 0, 251.0, 119.0, 0, 0, 0, 1, 0]
    assert msg.r.tolist() == np.eye(3).ravel().tolist() and list(msg.d) == [0.0] * 5
    assert (msg.width, msg.height, msg.distortion_model) == (320, 240, "plumb_bob")
    assert (msg.binning_x, msg.binning_y, msg.roi.width, msg.roi.do_rectify) == (0, 0, 0, False)
    assert msg.header == head
    assert intrinsics_from_info(msg, True) == intrinsics_from_info(msg, False) == given
