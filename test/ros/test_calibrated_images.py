"""Undistorted images and depth from messages of a calibrated camera."""

import numpy as np
import pytest
from ros import camera

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.ros.calibrated_images import CalibratedImages

PICTURE = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)


def message():
    return camera.image(PICTURE, "mono8")


def test_without_distortion_nothing_is_resampled():
    images = CalibratedImages(rectify=True)
    images.infos.add(camera.info())
    gray, intrinsics = images.gray(message())
    assert np.array_equal(gray, PICTURE)
    assert (intrinsics.fx, intrinsics.cy) == (camera.FX, camera.CY)
    depth = np.full((480, 640), 2.5, np.float32)
    assert np.array_equal(images.depth(camera.image(depth, "32FC1")), depth)


def test_image_and_depth_are_undistorted_alike_and_the_rectifier_is_kept():
    images = CalibratedImages(rectify=True)
    images.infos.add(camera.info(d=[-0.2, 0.05, 0.0, 0.0, 0.0], p=[0.0] * 12))
    gray, first = images.gray(message())
    assert not np.array_equal(gray, PICTURE)
    depth = images.depth(camera.image(PICTURE.astype(np.float32), "32FC1"))
    known = np.isfinite(depth)
    assert known.any() and np.abs(depth - gray)[known].max() < 1.0  # the same resampling, but for rounding
    assert images.gray(message())[1] is first
    images.infos.add(camera.info(fx=600.0, d=[-0.2, 0.05, 0.0, 0.0, 0.0], p=[0.0] * 12))
    assert images.gray(message())[1] != first


def test_colours_are_undistorted_as_the_grey_is():
    images = CalibratedImages(rectify=True)
    images.infos.add(camera.info(d=[-0.2, 0.05, 0.0, 0.0, 0.0], p=[0.0] * 12))
    picture = np.dstack([PICTURE, 255 - PICTURE, np.zeros_like(PICTURE)])
    rgb, intrinsics = images.rgb(camera.image(picture, "rgb8"))
    gray, same = images.gray(message())
    assert same is intrinsics and np.array_equal(rgb[..., 0], gray) and not rgb[..., 2].any()


def test_missing_and_wrong_calibrations_are_named():
    images = CalibratedImages(rectify=True)
    with pytest.raises(CalibrationError, match="no camera_info has come"):
        images.gray(message())
    images.infos.add(camera.info(fx=0.0))
    with pytest.raises(CalibrationError, match="all zeros"):
        images.gray(message())
    images = CalibratedImages(rectify=True)
    images.infos.add(camera.info(width=320, height=240))
    with pytest.raises(CalibrationError, match="640x480 but camera_info describes 320x240"):
        images.gray(message())
