"""The pinhole model against numbers worked out by hand."""

import math

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics

OFF_CENTRE = Intrinsics(640, 480, 500.0, 400.0, 300.0, 260.0)


def test_the_matrix_maps_a_point_to_its_pixel():
    u, v, w = OFF_CENTRE.matrix @ [0.2, -0.1, 2.0]
    assert (u / w, v / w) == (500 * 0.1 + 300, 400 * -0.05 + 260)


def test_centred_puts_the_axis_between_the_middle_pixels():
    got = pinhole.centred(640, 481, 500.0)
    assert (got.cx, got.cy, got.fx, got.fy) == (319.5, 240.0, 500.0, 500.0)
    assert pinhole.centred(640, 480, 500.0, 510.0).fy == 510.0


def test_field_of_view_of_a_centred_camera():
    assert pinhole.focal_from_fov(90.0, 640) == pytest.approx(320.0)
    assert pinhole.focal_from_fov(60.0, 200) == pytest.approx(100 * math.sqrt(3))
    assert pinhole.fov_from_focal(320.0, 640) == pytest.approx(90.0)
    assert pinhole.focal_from_fov(90.0, 640, cx=319.5) == pytest.approx(320.0)


def test_field_of_view_of_an_off_centre_camera():
    """100 px left and 300 px right of the axis at f = 100 sqrt(3): 30 degrees and 60 degrees."""
    focal = 100 * math.sqrt(3)
    assert pinhole.fov_from_focal(focal, 400, cx=99.5) == pytest.approx(90.0)
    assert pinhole.focal_from_fov(90.0, 400, cx=99.5) == pytest.approx(focal)


@pytest.mark.parametrize("cx", [None, 320.0, 50.0, 610.25])
@pytest.mark.parametrize("fov", [3.0, 45.0, 89.9, 90.0, 120.0, 170.0])
def test_focal_and_field_of_view_are_inverse(fov, cx):
    assert pinhole.fov_from_focal(pinhole.focal_from_fov(fov, 640, cx), 640, cx) == pytest.approx(fov)


@pytest.mark.parametrize("fov", [0.0, -10.0, 180.0, 200.0, math.nan, math.inf])
def test_impossible_fields_of_view(fov):
    with pytest.raises(CalibrationError, match="field of view"):
        pinhole.focal_from_fov(fov, 640)


def test_35_mm_equivalent():
    """A 3600x2400 picture has film's own shape, so 100 px are 1 mm; a 4:3 picture goes by its diagonal, 5000 px."""
    assert pinhole.focal_from_35mm(50.0, 3600, 2400) == pytest.approx(5000.0)
    assert pinhole.focal_from_35mm(28.0, 4000, 3000) == pytest.approx(28 * 5000 / 43.266615, rel=1e-6)
    assert pinhole.focal_to_35mm(5000.0, 3600, 2400) == pytest.approx(50.0)


def test_halving_an_image_moves_the_axis_by_a_quarter_pixel():
    got = pinhole.resize(OFF_CENTRE, 320, 240)
    assert got == Intrinsics(320, 240, 250.0, 200.0, 300.5 / 2 - 0.5, 260.5 / 2 - 0.5)


@pytest.mark.parametrize("size", [(160, 120), (1280, 960), (200, 333)])
def test_resized_inverse_depth_of_a_tilted_plane_is_the_same_plane(size):
    """On a plane n.X = 1, 1/Z = n.K^-1 (u, v, 1) is affine in the pixel, so bilinear resizing is exact inside."""
    normal = np.array([0.3, -0.2, 0.5])

    def inverse_depth(i: Intrinsics) -> np.ndarray:
        v, u = np.mgrid[0 : i.height, 0 : i.width]
        return normal[0] * (u - i.cx) / i.fx + normal[1] * (v - i.cy) / i.fy + normal[2]

    resized = cv2.resize(inverse_depth(OFF_CENTRE), size, interpolation=cv2.INTER_LINEAR)
    inside = np.s_[4:-4, 4:-4]
    expected = inverse_depth(pinhole.resize(OFF_CENTRE, *size))
    np.testing.assert_allclose(resized[inside], expected[inside], atol=2e-6)
    half_pixel = 0.5 * normal[0] / OFF_CENTRE.fx
    assert half_pixel > 50 * 2e-6 / 2, "the tolerance must be far below what half a pixel changes"


def test_subsampling_keeps_pixel_zero_in_place():
    got = pinhole.subsample(Intrinsics(641, 480, 500.0, 400.0, 300.0, 260.0), 4)
    assert got == Intrinsics(161, 120, 125.0, 100.0, 75.0, 65.0)


def test_unproject_by_hand():
    depth = np.full((480, 640), np.nan, np.float32)
    depth[260, 300], depth[60, 550], depth[0, 0], depth[0, 1] = 3.0, 2.0, np.inf, 7.0
    points = pinhole.unproject(depth, OFF_CENTRE)
    assert points.dtype == np.float32 and points.shape == (480, 640, 3)
    np.testing.assert_allclose(points[260, 300], [0, 0, 3])
    np.testing.assert_allclose(points[60, 550], [2 * 250 / 500, 2 * -200 / 400, 2])
    assert np.isnan(points[0, 0]).all() and np.isnan(points[5, 5]).all() and np.isfinite(points[0, 1]).all()


def test_project_undoes_unproject():
    depth = np.random.default_rng(1).uniform(0.5, 50, (480, 640)).astype(np.float32)
    pixels = pinhole.project(pinhole.unproject(depth, OFF_CENTRE), OFF_CENTRE)
    v, u = np.mgrid[0:480, 0:640]
    np.testing.assert_allclose(pixels, np.dstack([u, v]), atol=1e-3)


def test_points_behind_the_camera_have_no_pixel():
    assert np.isnan(pinhole.project(np.array([[0.1, 0.1, -1.0], [0.0, 0.0, 0.0]]), OFF_CENTRE)).all()


def test_sizes_must_agree():
    with pytest.raises(CalibrationError, match="480x640.*640x480"):
        pinhole.unproject(np.ones((640, 480), np.float32), OFF_CENTRE)


@pytest.mark.parametrize(
    "bad",
    [
        Intrinsics(0, 480, 500, 500, 1, 1),
        Intrinsics(640, -1, 500, 500, 1, 1),
        Intrinsics(640, 480, 0.0, 500, 1, 1),
        Intrinsics(640, 480, 500, -2.0, 1, 1),
        Intrinsics(640, 480, math.nan, 500, 1, 1),
        Intrinsics(640, 480, 500, 500, math.inf, 1),
    ],
)
def test_cameras_that_cannot_be(bad):
    with pytest.raises(CalibrationError):
        pinhole.check(bad)


def test_a_good_camera_passes_unchanged():
    assert pinhole.check(OFF_CENTRE) is OFF_CENTRE


def test_focal_length_in_mm():
    """A 4 mm lens before a 6.4 mm wide sensor of 640 px: 100 px a mm."""
    assert pinhole.focal_from_mm(4.0, 6.4, 640) == pytest.approx(400.0)
    assert pinhole.focal_to_mm(400.0, 6.4, 640) == pytest.approx(4.0)
    for focal, sensor in ((0.0, 6.4), (4.0, 0.0), (math.nan, 6.4), (4.0, math.inf)):
        with pytest.raises(CalibrationError, match="data sheet"):
            pinhole.focal_from_mm(focal, sensor, 640)


def test_intrinsics_of_a_lens_and_of_a_field_of_view():
    """Half the sensor's height at as many pixels: they are half as high, so fy is twice fx."""
    lens = pinhole.from_lens(640, 640, 4.0, (6.4, 3.2))
    assert lens == Intrinsics(640, 640, pytest.approx(400.0), pytest.approx(800.0), 319.5, 319.5)
    seen = pinhole.from_fov(640, 480, 90.0)
    assert seen == Intrinsics(640, 480, pytest.approx(320.0), pytest.approx(320.0), 319.5, 239.5)
    assert pinhole.from_fov(640, 480, 90.0, 90.0).fy == pytest.approx(240.0)


def test_a_crop_moves_the_axis_and_nothing_else():
    cropped = pinhole.crop(OFF_CENTRE, 100, 60, 320, 240)
    assert cropped == Intrinsics(320, 240, 500.0, 400.0, 200.0, 200.0)
    point = np.array([0.1, -0.05, 2.0])
    np.testing.assert_allclose(pinhole.project(point, OFF_CENTRE) - pinhole.project(point, cropped), [100, 60])


@pytest.mark.parametrize("window", [(-1, 0, 10, 10), (0, 0, 641, 10), (0, 471, 10, 10), (0, 0, 0, 10)])
def test_a_crop_beyond_the_image(window):
    with pytest.raises(CalibrationError, match="part of the 640x480 image"):
        pinhole.crop(OFF_CENTRE, *window)
