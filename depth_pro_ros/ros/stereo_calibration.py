"""The camera_infos of a stereo pair: the rig that they describe, and what rectifies each image."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry.distortion import Distortion, Rectifier
from depth_pro_ros.geometry.stereo import StereoCalibration, StereoRig, rectifier, rig_from_projections
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.camera_info import check_matches, distortion_from_info, intrinsics_from_info


class StereoCalibrator:
    """Turns two camera_infos into a StereoCalibration and keeps it until one of them changes."""

    def __init__(self, raw: bool) -> None:
        """Prepare for `raw` images, which are rectified here, or for images that are rectified already."""
        self._raw = raw
        self._kept: tuple[tuple, StereoCalibration] | None = None

    def calibrate(self, left: CameraInfo, right: CameraInfo, width: int, height: int) -> StereoCalibration:
        """Return the calibration for images of `width` x `height`.

        Raises CalibrationError, which says which side is at fault, without a calibration of a pair for this size.
        """
        key = (_content(left), _content(right), width, height)
        if self._kept is None or self._kept[0] != key:
            rig = rig_from_infos(left, right, width, height)
            rectifiers = [self._rectifier(info, width, height) for info in (left, right)]
            self._kept = (key, StereoCalibration(rig, *rectifiers))
        return self._kept[1]

    def _rectifier(self, info: CameraInfo, width: int, height: int) -> Rectifier | None:
        return rectifier(lens_from_info(info), width, height) if self._raw else None


def rig_from_infos(left: CameraInfo, right: CameraInfo, width: int, height: int) -> StereoRig:
    """Return the rig of the rectified pair that P of both camera_infos describes."""
    (left_camera, tx_left), (right_camera, tx_right) = (
        _projection(side, info, width, height) for side, info in (("left", left), ("right", right))
    )
    return rig_from_projections(left_camera, right_camera, tx_left, tx_right)


def lens_from_info(info: CameraInfo) -> Distortion:
    """Return the lens and the rectification of the raw image, without distortion where camera_info has none."""
    K, P = (intrinsics_from_info(info, rectified).matrix for rectified in (False, True))
    R = np.array(info.r, np.float64).reshape(3, 3) if any(info.r) else np.eye(3)
    return distortion_from_info(info) or Distortion("plumb_bob", np.zeros(5), K, R, P)


def _projection(side: str, info: CameraInfo, width: int, height: int) -> tuple[Intrinsics, float]:
    """Return the rectified image's intrinsics and P[0, 3], both for the image as it is delivered."""
    if info.k[0] == 0 or not any(info.p):
        what = "K is all zeros (uncalibrated)" if info.k[0] == 0 else "P is all zeros"
        raise CalibrationError(
            f"{side} camera_info holds no stereo calibration: {what}; calibrate both cameras together (R and P follow)"
        )
    try:
        camera = intrinsics_from_info(info, rectified=True)
        check_matches(camera, width, height)
    except CalibrationError as error:
        raise CalibrationError(f"{side} camera: {error}") from error
    return camera, float(info.p[3]) * camera.fx / float(info.p[0])


def _content(info: CameraInfo) -> tuple:
    """Return what the calibration depends on, without the stamp."""
    matrices = (np.asarray(values, np.float64).tobytes() for values in (info.k, info.d, info.r, info.p))
    roi = info.roi
    window = (roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify, info.binning_x, info.binning_y)
    return (*matrices, info.distortion_model, info.width, info.height, *window)
