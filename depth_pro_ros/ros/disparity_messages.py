"""stereo_msgs/DisparityImage to arrays and back.

The message's disparity satisfies Z = f T / d: a difference of the principal points is already in it, as
stereo_image_proc publishes it. A pixel without a match is below `min_disparity`, or NaN.
"""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry.stereo import StereoRig
from depth_pro_ros.matching.disparity import STEPS, Disparity
from depth_pro_ros.ros.images import decode_depth, encode_depth


def encode_disparity(
    disparity: Disparity, rig: StereoRig, header: Header, window: tuple[int, int, int, int] | None = None
) -> DisparityImage:
    """Return the message of a match under `header`, which it refers to; `window` (x, y, width, height) narrows its own.

    What has no match is `min_disparity` - 1, as stereo_image_proc writes it; its readers do not expect NaN.
    """
    doffs = np.float32(rig.doffs_px)
    lowest = np.float32(disparity.min_disparity) + doffs
    values = np.where(np.isnan(disparity.disparity_px), lowest - np.float32(1), disparity.disparity_px + doffs)
    x, y, width, height = window or disparity.window
    return DisparityImage(
        header=header,
        image=encode_depth(values, "32FC1", header),
        f=rig.left.fx,
        t=rig.baseline_m,
        valid_window=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height),
        min_disparity=float(lowest),
        max_disparity=float(np.float32(disparity.max_disparity - 1) + doffs),
        delta_d=1 / STEPS,
    )


def decode_disparity(msg: DisparityImage) -> tuple[np.ndarray, float, float]:
    """Return (disparity (H, W) float32 px, focal length px, baseline m) of any stereo node's message.

    NaN where the disparity is not finite, below `min_disparity`, or outside `valid_window` (all zeros: no window).
    The array shares no memory with the message. Raises ImageError for an image that is not 32FC1, and
    CalibrationError for f or T from which no depth follows.
    """
    if msg.image.encoding != "32FC1":
        raise ImageError(
            f"a disparity image with encoding {msg.image.encoding!r}; stereo_msgs/DisparityImage holds 32FC1"
        )
    focal_px, baseline_m = float(msg.f), float(msg.t)
    if not all(math.isfinite(value) and value > 0 for value in (focal_px, baseline_m)):
        raise CalibrationError(
            f"a disparity image with f = {focal_px} px and T = {baseline_m} m; both must be positive: check the "
            "camera_info of the stereo node (P[3] of the right camera)"
        )
    disparity_px = decode_depth(msg.image)
    inside = _inside(msg.valid_window, disparity_px.shape)
    known = inside & np.isfinite(disparity_px) & (disparity_px >= np.float32(msg.min_disparity))
    disparity_px[~known] = np.nan
    return disparity_px, focal_px, baseline_m


def _inside(window: RegionOfInterest, shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) bool, all true for a window of zeros."""
    if not (window.width and window.height):
        return np.ones(shape, bool)
    inside = np.zeros(shape, bool)
    rows = slice(window.y_offset, window.y_offset + window.height)
    inside[rows, window.x_offset : window.x_offset + window.width] = True
    return inside
