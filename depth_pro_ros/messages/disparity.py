"""stereo_msgs/DisparityImage to arrays.

The message's disparity satisfies Z = f T / d: a difference of the principal points is already in it, as
stereo_image_proc publishes it. A pixel without a match is below `min_disparity`, or NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.messages.images import decode_depth


def decode_disparity(msg: Any) -> tuple[np.ndarray, float, float]:
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


def _inside(window: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) bool, all true for a window of zeros."""
    if not (window.width and window.height):
        return np.ones(shape, bool)
    inside = np.zeros(shape, bool)
    rows = slice(window.y_offset, window.y_offset + window.height)
    inside[rows, window.x_offset : window.x_offset + window.width] = True
    return inside
