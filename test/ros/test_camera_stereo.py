"""The stereo pair that a scene can give."""

import cv2
import numpy as np
import pytest

from depth_pro_ros.ros.camera_sources.scene import SceneSource


def test_right_image_of_a_scene_is_the_left_one_shifted_by_its_disparity():
    """Disparity d = f B / Z: the colour at u in the left image stands at u - d in the right one."""
    source = SceneSource(0, 320, 240, 80.0, baseline_m=0.12)
    left = next(source.frames())
    assert source.has_right and left.right.calibration.projection[3] == pytest.approx(-left.intrinsics.fx * 0.12)
    v, u = (grid.ravel() for grid in np.mgrid[10:230:7, 60:310:7])
    disparity = left.intrinsics.fx * 0.12 / left.depth_m[v, u]
    shifted = cv2.remap(left.right.rgb, (u - disparity).astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    error = np.abs(shifted[:, 0].astype(int) - left.rgb[v, u]).mean(axis=1)
    assert np.median(error) < 4 and np.mean(error < 20) > 0.85  # the rest is occluded
    assert next(SceneSource(0, 32, 24, 80.0).frames()).right is None
