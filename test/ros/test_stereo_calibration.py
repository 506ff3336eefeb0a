"""What two camera_infos say of a stereo pair."""

import numpy as np
import pytest
from ros.stereo_camera import rectified_info

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.ros.stereo_calibration import StereoCalibrator, rig_from_infos

SIZE = (640, 480)


def pair(**changes):
    left = rectified_info(*SIZE, 500.0, 320.0, 240.0, 0.0)
    right = rectified_info(*SIZE, 500.0, 330.0, 240.0, -60.0)
    for name, value in changes.items():
        setattr(right, name, value)
    return left, right


def test_the_baseline_comes_from_p3_and_the_offset_from_the_principal_points():
    rig = rig_from_infos(*pair(), *SIZE)
    assert (rig.baseline_m, rig.doffs_px, rig.left.fx) == (pytest.approx(0.12), 10.0, 500.0)


def test_binning_scales_everything_but_the_baseline():
    left, right = pair()
    for info in (left, right):
        info.binning_x = info.binning_y = 2
    rig = rig_from_infos(left, right, 320, 240)
    assert (rig.baseline_m, rig.doffs_px, rig.left.fx) == (pytest.approx(0.12), 5.0, 250.0)


def test_images_that_are_rectified_already_are_left_alone():
    for raw in (True, False):
        calibration = StereoCalibrator(raw).calibrate(*pair(), *SIZE)
        assert calibration.left is None and calibration.right is None


def test_a_turned_camera_without_distortion_is_rectified_when_raw():
    c, s = np.cos(0.01), np.sin(0.01)
    infos = pair(r=[c, 0.0, s, 0.0, 1.0, 0.0, -s, 0.0, c])
    calibration = StereoCalibrator(raw=True).calibrate(*infos, *SIZE)
    assert calibration.left is None and calibration.right.intrinsics.cx == 330.0
    assert StereoCalibrator(raw=False).calibrate(*infos, *SIZE).right is None


def test_the_rectifier_is_kept_until_the_calibration_changes():
    calibrator = StereoCalibrator(raw=True)
    first = calibrator.calibrate(*pair(d=[0.1, 0.0, 0.0, 0.0, 0.0]), *SIZE)
    again = pair(d=[0.1, 0.0, 0.0, 0.0, 0.0])
    again[0].header.stamp.sec = 77
    assert calibrator.calibrate(*again, *SIZE) is first
    assert calibrator.calibrate(*pair(d=[0.2, 0.0, 0.0, 0.0, 0.0]), *SIZE) is not first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": [0.0] * 9}, "right camera_info holds no stereo calibration: K is all zeros"),
        ({"p": [0.0] * 12}, "right camera_info holds no stereo calibration: P is all zeros"),
        ({"width": 320}, "right camera: the image is 640x480 but camera_info describes 320x480"),
    ],
)
def test_the_side_at_fault_is_named(changes, message):
    with pytest.raises(CalibrationError, match=message):
        rig_from_infos(*pair(**changes), *SIZE)
