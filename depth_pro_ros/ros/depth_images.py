"""Depth images with the intrinsics that belong to them, as depth_node, stereo_node and depth cameras publish them."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.camera_info import check_matches, intrinsics_from_info
from depth_pro_ros.ros.camera_infos import CameraInfos
from depth_pro_ros.ros.images import decode_depth


class DepthImages:
    """Reads rectified depth images; each takes the camera_info of its own stamp, or else the newest."""

    def __init__(self) -> None:
        self.infos = CameraInfos()

    def read(self, message: Image) -> tuple[np.ndarray, Intrinsics]:
        """Return depth (H, W) float32 in metres and its intrinsics.

        Raises ImageError for a message that cannot be read, CalibrationError without a calibration of its size.
        """
        depth_m = decode_depth(message)
        info = self.infos.find(message)
        if info is None:
            raise CalibrationError("no camera_info of the depth has come: check the topic's name and its publisher")
        intrinsics = intrinsics_from_info(info, rectified=True)
        if intrinsics is None:
            raise CalibrationError("K of the depth's camera_info is all zeros (uncalibrated): calibrate the camera")
        check_matches(intrinsics, message.width, message.height)
        return depth_m, intrinsics
