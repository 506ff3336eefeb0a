"""Obstacles from depth, on scenes ray-cast by other code: sides, tilt, ground, band, noise, clear and unknown."""

import math

import numpy as np
import pytest
from outputs.level_scene import box, render

from depth_pro_ros.errors import CalibrationError, ConfigurationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import level_frame
from depth_pro_ros.outputs.obstacles import (
    ObstacleSettings,
    Sectors,
    frd_sectors,
    ranges,
    sectors_ahead,
    view_from_above,
)

CAMERA = pinhole.centred(320, 240, 200.0)
STEP = math.radians(1.0)
SETTINGS = ObstacleSettings()


def scan(depth, settings=SETTINGS, roll_deg=0.0, pitch_deg=0.0, sectors=None):
    """Return (bearings in degrees, ranges) of a depth image."""
    up = level_frame.up_from_angles(math.radians(roll_deg), math.radians(pitch_deg))
    view = view_from_above(depth, CAMERA, level_frame.level_from_up(up), settings)
    sectors = sectors or sectors_ahead(CAMERA, STEP)
    return np.degrees(sectors.centres_rad), ranges(view, sectors, settings)


@pytest.mark.parametrize("tilt", [(0, 0), (15, 0), (-15, 0), (0, 8), (0, -8), (12, 6)])
@pytest.mark.parametrize("bearing", [25.0, -25.0])
def test_an_obstacle_left_and_right_is_there(bearing, tilt):
    """Left is positive (REP 103); nothing shows on the other side, whichever way the camera leans."""
    depth = render(CAMERA, [box(bearing, 3.0)], roll_deg=tilt[0], pitch_deg=tilt[1])
    bearings, found = scan(depth, roll_deg=tilt[0], pitch_deg=tilt[1])
    at = np.isfinite(found)
    assert abs(bearings[at].mean() - bearing) < 3.0 and np.ptp(bearings[at]) < 12.0
    front = np.abs(bearings - bearing) < 2.6  # of the face towards the camera, which is square to x
    expected = 3.0 * math.cos(math.radians(bearing)) / np.cos(np.radians(bearings[front]))
    np.testing.assert_allclose(found[front], expected, rtol=0.02)
    assert (found[(np.abs(bearings) < 30) & ~at] == np.inf).all()


@pytest.mark.parametrize("tilt", [(0, 0), (20, 0), (-20, 0), (0, 10), (0, -10)])
def test_what_is_above_or_below_the_band_is_no_obstacle(tilt):
    """One box in the band ahead; one over it to the left, one under it to the right."""
    boxes = [box(0, 4.0, z=(-0.3, 0.3)), box(15, 4.0, z=(0.6, 1.2)), box(-15, 4.0, z=(-1.2, -0.6))]
    settings = ObstacleSettings(band_low_m=-0.5, band_high_m=0.5)
    depth = render(CAMERA, boxes, roll_deg=tilt[0], pitch_deg=tilt[1])
    bearings, found = scan(depth, settings, *tilt)
    assert np.abs(bearings[np.isfinite(found)]).max() < 4.0
    np.testing.assert_allclose(found[np.isfinite(found)].min(), 4.0, rtol=0.01)
    wide = ObstacleSettings(band_low_m=-1.5, band_high_m=0.5)
    bearings, found = scan(depth, wide, *tilt)
    assert (bearings[np.isfinite(found)] < -10).any() and (bearings[np.isfinite(found)] < 4).all()


def test_a_wrong_attitude_moves_what_is_in_the_band():
    """What pins the sign of roll: with the other one, the box to the left rises out of the band."""
    settings = ObstacleSettings(band_low_m=-0.5, band_high_m=0.5)
    depth = render(CAMERA, [box(25, 4.0, z=(-0.2, 0.2))], roll_deg=20)
    assert np.isfinite(scan(depth, settings, roll_deg=20)[1]).any()
    assert not np.isfinite(scan(depth, settings, roll_deg=-20)[1]).any()


@pytest.mark.parametrize("pitch", [0.0, 12.0])
def test_the_ground_is_removed_and_a_kerb_is_not(pitch):
    settings = ObstacleSettings(camera_height_m=0.8)
    kerb = box(5, 2.0, z=(-0.8, -0.6), width=0.5)
    depth = render(CAMERA, [kerb], ground_z=-0.8, pitch_deg=pitch)
    bearings, found = scan(depth, settings, pitch_deg=pitch)
    at = np.isfinite(found)
    assert at.any() and abs(bearings[at].mean() - 5.0) < 2.0
    assert found[at].min() == pytest.approx(2.0 * math.cos(math.radians(5)), rel=0.03)
    no_ground = ObstacleSettings(camera_height_m=0.0, band_low_m=-1.0)
    assert np.isfinite(scan(depth, no_ground, pitch_deg=pitch)[1]).sum() > 50  # the ground itself


def test_the_tolerance_grows_with_range():
    """An attitude that is wrong by 1.5 degrees lifts the ground by 2.6 % of its range: under the slope's 3 %."""
    depth = render(CAMERA, ground_z=-0.8, pitch_deg=5.0)
    assert not np.isfinite(scan(depth, ObstacleSettings(camera_height_m=0.8), pitch_deg=3.5)[1]).any()
    strict = ObstacleSettings(camera_height_m=0.8, ground_slope=0.0)
    assert np.isfinite(scan(depth, strict, pitch_deg=3.5)[1]).any()


def test_a_few_noisy_pixels_are_no_obstacle():
    """Seven pixels before a wall leave it where it is; eight that agree are something; eight that do not are noise."""
    settings = ObstacleSettings(stride=1, min_pixels=8)
    wall = render(CAMERA, [box(0, 6.0, z=(-3, 3), width=20.0)])
    for count, spread, expected in ((7, 0.0, 6.0), (8, 0.0, 2.0), (8, 2.0, 6.0)):
        depth = wall.copy()
        depth[120, 160 : 160 + 3] = depth[121, 160 : 160 + 3] = 2.0 + spread * np.array([0, 0.2, 0.4])
        depth[122, 160 : 160 + count - 6] = 2.0 + spread * np.linspace(0.6, 1.8, count - 6)
        bearings, found = scan(depth, settings, sectors=sectors_ahead(CAMERA, math.radians(2)))
        assert found[np.argmin(np.abs(bearings))] == pytest.approx(expected, rel=0.02)


def test_a_thin_pole_counts_before_a_wall():
    wall = [box(0, 8.0, z=(-3, 3), width=20.0), box(10, 3.0, z=(-3, 3), width=0.08)]
    bearings, found = scan(render(CAMERA, wall))
    assert found[np.argmin(np.abs(bearings - 10))] == pytest.approx(3.0 * math.cos(math.radians(10)), rel=0.03)
    assert found[np.argmin(np.abs(bearings + 10))] == pytest.approx(8.0 / math.cos(math.radians(10)), rel=0.02)


def test_sky_is_clear_unknown_is_nan_and_own_body_is_neither():
    depth = np.full((240, 320), np.inf, np.float32)
    bearings, found = scan(depth)
    seen = np.abs(bearings) < math.degrees(math.atan(159.5 / 200)) - 1
    assert (found[seen] == np.inf).all() and np.isnan(found[np.abs(bearings) > 39.6]).all()
    depth[:, :160] = np.nan  # the left half is unknown
    depth[:, 200:] = 0.1  # nearer than range_min
    bearings, found = scan(depth)
    assert np.isnan(found[(bearings > 1)]).all() and np.isnan(found[bearings < -12]).all()
    assert (found[(bearings < -1) & (bearings > -10)] == np.inf).all()


def test_half_the_line_of_sight_must_be_known_to_be_clear():
    settings = ObstacleSettings(stride=1)
    rows = np.flatnonzero(np.abs((np.arange(240) - 119.5) / 200) < 0.1)  # those along a band of 1 m at 10 m
    for unknown, clear in ((0.4, True), (0.6, False)):
        depth = np.full((240, 320), np.inf, np.float32)
        depth[rows[: int(unknown * len(rows))]] = np.nan
        bearings, found = scan(depth, settings)
        ahead = found[np.abs(bearings) < 20]
        assert (ahead == np.inf).all() if clear else np.isnan(ahead).all()


def test_sectors_of_a_scan_do_not_change_with_the_attitude():
    sectors = sectors_ahead(CAMERA, STEP)
    assert sectors.count % 2 == 1 and sectors.centres_rad[sectors.count // 2] == pytest.approx(0.0, abs=1e-12)
    corner = math.degrees(math.atan(math.hypot(159.5, 119.5) / 200))
    assert corner <= math.degrees(sectors.centres_rad[-1]) + 0.5 < corner + 1


@pytest.mark.parametrize("ahead", [0.0, 30.0, -90.0, 180.0])
@pytest.mark.parametrize("bearing", [25.0, -25.0])
def test_frd_sectors_are_clockwise_from_the_nose(bearing, ahead):
    """An obstacle at b left of a camera that heads `ahead` left of the nose is at -(b + ahead) clockwise."""
    sectors = frd_sectors(CAMERA, math.radians(ahead))
    assert sectors.count <= 72
    depth = render(CAMERA, [box(bearing, 3.0, width=0.1)])
    _, found = scan(depth, sectors=sectors)
    clockwise = np.degrees(sectors.centres_rad)[np.nanargmin(found)]
    wanted = -(bearing + ahead)
    assert abs((clockwise - wanted + 180) % 360 - 180) <= 2.6
    fives = np.degrees(sectors.centres_rad) / 5
    np.testing.assert_allclose(fives, np.rint(fives), atol=1e-9)


def test_a_view_all_round_has_72_sectors():
    wide = pinhole.centred(3200, 100, 10.0)
    assert frd_sectors(wide).count <= 72
    assert frd_sectors(pinhole.centred(100, 100, 1e-3)).count == 37


def test_a_bearing_behind_the_sectors_is_outside():
    sectors = Sectors(math.radians(-10), math.radians(5), 5)
    assert list(sectors.index(np.radians([-12.4, -10, 0, 10, 12.4]))) == [0, 0, 2, 4, 4]
    assert (sectors.index(np.radians([-13.0, 13.0, 180.0])) >= 5).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"range_min_m": 5.0, "range_max_m": 4.0}, "the first must be the smaller"),
        ({"camera_height_m": 0.04}, "the camera must be above the floor"),
        ({"band_high_m": 0.1, "camera_height_m": 0.2, "ground_slope": 0.1}, "shorten the range"),
    ],
)
def test_settings_that_leave_nothing_are_refused(wrong, words):
    with pytest.raises(ConfigurationError, match=words):
        ObstacleSettings(**wrong)


def test_intrinsics_of_another_size_are_refused():
    with pytest.raises(CalibrationError, match="320x240"):
        view_from_above(np.ones((10, 10), np.float32), CAMERA, np.eye(3), SETTINGS)
