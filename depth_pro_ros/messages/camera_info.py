"""CameraInfo to intrinsics and back, as sensor_msgs/CameraInfo and the image_pipeline define it.

A message is whatever has CameraInfo's fields; it is never changed. Binning and region of interest are applied: what
is returned belongs to the image that the camera delivers, roi first, then binning.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.geometry.distortion import Distortion
from depth_pro_ros.records import Intrinsics


def info_topic(image_topic: str) -> str:
    """Return the camera_info topic that belongs to an image topic: its sibling (image_transport's rule)."""
    return image_topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"


def intrinsics_from_info(msg: Any, rectified: bool) -> Intrinsics | None:
    """Return the pinhole model of the delivered image: P of a `rectified` one, K of a raw one.

    None for an uncalibrated camera (K[0] is 0, as CameraInfo says). For a rectified image without P, K
    serves when there is no distortion. Raises CalibrationError for values that describe no camera.
    """
    if msg.k[0] == 0:
        return None
    if not rectified:
        return _delivered(msg, _matrix(msg.k, 3))
    if msg.roi.do_rectify and _window(msg) != (0, 0, msg.width, msg.height):
        raise CalibrationError(
            "camera_info asks for a rectified region of interest (roi.do_rectify), whose window it does not hold: "
            "publish the full frame, or give the raw image and let this package rectify it"
        )
    if any(msg.p):
        return _delivered(msg, _matrix(msg.p, 4))
    if any(msg.d):
        raise CalibrationError(
            f"camera_info has distortion {list(msg.d)} but no P, so the rectified image's focal length is unknown: "
            "fill in P, or give the raw image and let this package rectify it"
        )
    return _delivered(msg, _matrix(msg.k, 3))


def check_matches(intrinsics: Intrinsics, width: int, height: int) -> None:
    """Raise CalibrationError unless the intrinsics are for an image of `width` x `height`."""
    if (intrinsics.width, intrinsics.height) != (width, height):
        raise CalibrationError(
            f"the image is {width}x{height} but camera_info describes {intrinsics.width}x{intrinsics.height}: "
            "calibrate at the image's size, resize both (image_proc), or correct binning and roi of camera_info"
        )


def distortion_from_info(msg: Any) -> Distortion | None:
    """Return the lens model of the delivered raw image, or None where there is nothing to undistort.

    None: uncalibrated (K[0] is 0), no model named, or coefficients empty or all zero. R of all zeros counts as
    identity, P of all zeros as absent. Raises CalibrationError for an unknown model or impossible values.
    """
    if msg.k[0] == 0 or not msg.distortion_model or not any(msg.d):
        return None
    return Distortion(
        model=msg.distortion_model,
        coefficients=np.array(msg.d, np.float64),
        K=_delivered(msg, _matrix(msg.k, 3)).matrix,
        R=_matrix(msg.r, 3) if any(msg.r) else np.eye(3),
        P=_delivered(msg, _matrix(msg.p, 4)).matrix if any(msg.p) else None,
    )


def undistorted_fields(intrinsics: Intrinsics) -> dict[str, Any]:
    """Return the fields of an undistorted image's CameraInfo: K and P alike, R identity, D five zeros.

    Header, binning and roi are left to the message's own defaults: zeros.
    """
    k = intrinsics.matrix
    return {
        "width": intrinsics.width,
        "height": intrinsics.height,
        "distortion_model": "plumb_bob",
        "d": [0.0] * 5,
        "k": k.ravel(),
        "r": np.eye(3).ravel(),
        "p": np.hstack([k, np.zeros((3, 1))]).ravel(),
    }


def _matrix(values: np.ndarray, columns: int) -> np.ndarray:
    """Return the left (3, 3) of a row-major matrix with three rows."""
    return np.array(values, np.float64).reshape(3, columns)[:, :3]


def _window(msg: Any) -> tuple[int, int, int, int]:
    """Return the region of interest (x, y, width, height) in full-resolution pixels; all zeros mean everything."""
    roi = msg.roi
    if not any((roi.x_offset, roi.y_offset, roi.width, roi.height)):
        return 0, 0, msg.width, msg.height
    fits = roi.x_offset + roi.width <= msg.width and roi.y_offset + roi.height <= msg.height
    if not fits or roi.width < 1 or roi.height < 1:
        raise CalibrationError(
            f"camera_info's roi of {roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset}) must be a part of its "
            f"{msg.width}x{msg.height} image, or all zeros for the whole: correct the camera driver"
        )
    return roi.x_offset, roi.y_offset, roi.width, roi.height


def _delivered(msg: Any, matrix: np.ndarray) -> Intrinsics:
    """Return a full-resolution (3, 3) matrix as checked intrinsics of the image after roi and binning.

    A binned pixel covers b x b sensor pixels, so u' = (u - x_offset + 0.5) / b - 0.5 as in any resize.
    (image_geometry leaves out the half pixels; the difference is below half a binned pixel.)
    """
    full = Intrinsics(msg.width, msg.height, *(float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2))))
    pinhole.check(full)
    x, y, width, height = _window(msg)
    seen = replace(full, width=width, height=height, cx=full.cx - x, cy=full.cy - y)
    bin_x, bin_y = max(msg.binning_x, 1), max(msg.binning_y, 1)
    whole = pinhole.check(replace(seen, width=width - width % bin_x, height=height - height % bin_y))
    return pinhole.resize(whole, whole.width // bin_x, whole.height // bin_y)
