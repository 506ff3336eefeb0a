"""Image messages of a calibrated camera to undistorted images, with the rectifier kept from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry.distortion import Rectifier
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.camera_info import check_matches, distortion_from_info, intrinsics_from_info
from depth_pro_ros.ros.camera_infos import CameraInfos
from depth_pro_ros.ros.images import decode_depth, decode_image


class CalibratedImages:
    """Undistorts images by their camera_info; `rectify` False says that they come undistorted."""

    def __init__(self, rectify: bool) -> None:
        self._rectify = rectify
        self.infos = CameraInfos()
        self._key = b""
        self._intrinsics: Intrinsics | None = None
        self._rectifier: Rectifier | None = None

    def gray(self, message: Image) -> tuple[np.ndarray, Intrinsics]:
        """Return the undistorted image (H, W) uint8 and its intrinsics.

        Raises ImageError for a message that cannot be read, CalibrationError without a calibration of its size.
        """
        return self._undistorted(message, cv2.cvtColor(decode_image(message), cv2.COLOR_RGB2GRAY))

    def rgb(self, message: Image) -> tuple[np.ndarray, Intrinsics]:
        """Return the undistorted image (H, W, 3) uint8 RGB and its intrinsics; raises as `gray`."""
        return self._undistorted(message, decode_image(message))

    def _undistorted(self, message: Image, pixels: np.ndarray) -> tuple[np.ndarray, Intrinsics]:
        self._prepare(message)
        return (pixels if self._rectifier is None else self._rectifier.rectify(pixels)), self._intrinsics

    def depth(self, message: Image) -> np.ndarray:
        """Return depth (H, W) float32 metres on the grid of the last `gray`, NaN where nothing is known.

        The depth is registered to the image as it comes. Where its lens bends, neighbours are mixed; who takes
        depth at a pixel must look for a step about it. Raises ImageError.
        """
        depth_m = decode_depth(message)
        if self._rectifier is None:
            return depth_m
        return np.where(self._rectifier.valid_mask, self._rectifier.rectify(depth_m), np.float32(np.nan))

    def _prepare(self, message: Image) -> None:
        """Make intrinsics and rectifier, if the calibration is new."""
        info = self.infos.find(message)
        if info is None:
            raise CalibrationError("no camera_info has come: check the topic's name and its publisher")
        key = _content(info, message)
        if key == self._key:
            return
        camera = intrinsics_from_info(info, rectified=not self._rectify)
        if camera is None:
            raise CalibrationError("K of camera_info is all zeros (uncalibrated): calibrate the camera")
        check_matches(camera, message.width, message.height)
        distortion = distortion_from_info(info) if self._rectify else None
        self._rectifier = None if distortion is None else Rectifier(distortion, message.width, message.height)
        self._intrinsics = camera if self._rectifier is None else self._rectifier.intrinsics
        self._key = key


def _content(info: CameraInfo, message: Image) -> bytes:
    """Return what the rectification depends on."""
    numbers = b"".join(np.asarray(values, np.float64).tobytes() for values in (info.k, info.d, info.r, info.p))
    sizes = f"{message.width}x{message.height} {info.width}x{info.height} {info.binning_x} {info.binning_y} {info.roi}"
    return numbers + f"{info.distortion_model} {sizes}".encode()
