"""stereo_msgs/DisparityImage from arrays; how one is read stands in depth_pro_ros.messages.disparity."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from depth_pro_ros.geometry.stereo import StereoRig
from depth_pro_ros.matching.disparity import STEPS, Disparity
from depth_pro_ros.messages.disparity import decode_disparity
from depth_pro_ros.ros.images import encode_depth

__all__ = ["decode_disparity", "encode_disparity"]


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
