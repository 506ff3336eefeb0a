"""The stereo pipeline on pairs made here: doubts, the range, and which camera_info a pair takes."""

import numpy as np
import pytest
from ros.stereo_camera import image, rectified_info

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.ros.camera_infos import KEPT_INFOS, CameraInfos
from depth_pro_ros.ros.parameters import Parameter
from depth_pro_ros.ros.stereo_parameters import STEREO_PARAMETERS
from depth_pro_ros.ros.stereo_pipeline import StereoPair, StereoPipeline

WIDTH, HEIGHT = 160, 80


def values(**changes):
    defaults = {parameter.name: parameter.default for parameter in STEREO_PARAMETERS}
    assert isinstance(STEREO_PARAMETERS[0], Parameter)
    return {**defaults, "num_disparities": 32, **changes}


def pipeline(tx=-10.0):
    """Return a pipeline with camera_infos of focal length 100 px and a baseline of 0.1 m."""
    made = StereoPipeline(values())
    made.left_infos.add(rectified_info(WIDTH, HEIGHT, 100.0, 80.0, 40.0, 0.0))
    made.right_infos.add(rectified_info(WIDTH, HEIGHT, 100.0, 80.0, 40.0, tx))
    return made


def wall(disparity):
    """Return the messages of a textured wall at f B / disparity = 10 / disparity metres."""
    grain = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH + 40)).astype(np.uint8)
    return StereoPair(image(grain[:, :WIDTH]), image(grain[:, disparity : disparity + WIDTH]))


def test_a_wall_is_where_it_is_and_beyond_the_range_infinite():
    frame = pipeline().process(wall(5), max_range_m=100.0)
    assert np.nanmedian(frame.depth_m) == pytest.approx(2.0, rel=0.01) and frame.doubt is None
    assert set(frame.stages_ms) == {"decode", "rectify", "match"}
    near = pipeline().process(wall(5), max_range_m=1.5).depth_m
    assert np.isposinf(near[np.isfinite(frame.depth_m)]).mean() > 0.99
    np.testing.assert_array_equal(np.isnan(near), np.isnan(frame.depth_m))


def test_a_blank_wall_is_doubted_and_not_measured():
    blank = image(np.full((HEIGHT, WIDTH), 90, np.uint8))
    frame = pipeline().process(StereoPair(blank, blank), max_range_m=100.0)
    assert "of the pixels were matched" in frame.doubt


def test_images_of_two_sizes():
    pair = wall(5)
    other = StereoPair(pair.left, image(np.zeros((HEIGHT, 100), np.uint8)))
    with pytest.raises(ImageError, match="left is 160x80, right 100x80"):
        pipeline().process(other, 100.0)


def test_a_missing_camera_info_is_named():
    made = StereoPipeline(values())
    made.left_infos.add(rectified_info(WIDTH, HEIGHT, 100.0, 80.0, 40.0, 0.0))
    with pytest.raises(CalibrationError, match="no message of right/camera_info has come"):
        made.process(wall(5), 100.0)


def test_an_image_takes_the_camera_info_of_its_stamp_or_else_the_newest():
    infos = CameraInfos()
    message = image(np.zeros((2, 2), np.uint8))
    assert infos.find(message) is None
    for second in range(KEPT_INFOS + 5):
        info = rectified_info(2, 2, 1.0 + second, 0.5, 0.5, 0.0)
        info.header.stamp.sec = second
        infos.add(info)
    for second, focal in ((20, 21.0), (1000, KEPT_INFOS + 5.0), (0, KEPT_INFOS + 5.0)):
        message.header.stamp.sec = second
        assert infos.find(message).k[0] == focal
