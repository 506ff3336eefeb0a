"""CameraInfo messages; how they are read stands in depth_pro_ros.messages.camera_info."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from depth_pro_ros.messages.camera_info import (
    check_matches,
    distortion_from_info,
    intrinsics_from_info,
    undistorted_fields,
)
from depth_pro_ros.records import Intrinsics

__all__ = ["check_matches", "distortion_from_info", "info_from_intrinsics", "intrinsics_from_info"]


def info_from_intrinsics(intrinsics: Intrinsics, header: Header) -> CameraInfo:
    """Return the CameraInfo of an undistorted image: K and P alike, R identity, D five zeros, no binning, no roi."""
    return CameraInfo(header=header, **undistorted_fields(intrinsics))
