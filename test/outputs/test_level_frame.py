"""The level frame against axes worked out by hand."""

import math

import numpy as np
import pytest
from outputs.level_scene import axes

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.outputs import level_frame


@pytest.mark.parametrize("tilt", [(0, 0), (20, 0), (-20, 0), (0, 15), (0, -15), (25, 10), (90, 0)])
def test_up_is_up_however_the_camera_leans(tilt):
    roll, pitch = tilt
    up = level_frame.up_from_angles(math.radians(roll), math.radians(pitch))
    np.testing.assert_allclose(up, axes(roll, pitch)[2], atol=1e-12)
    np.testing.assert_allclose(level_frame.level_from_up(3 * up), axes(roll, pitch), atol=1e-12)


def test_a_camera_that_looks_down_has_no_heading():
    with pytest.raises(CalibrationError, match="looks down by 90 degrees"):
        level_frame.level_from_up(level_frame.up_from_angles(0.0, math.pi / 2))
    with pytest.raises(CalibrationError, match="up is"):
        level_frame.level_from_up(np.array([np.nan, 0, 0]))
