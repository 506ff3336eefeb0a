"""Closing speed and time to contact of scans made by hand."""

import math

import numpy as np
import pytest

from depth_pro_ros.outputs.approach import ApproachFollower, fit_rate
from depth_pro_ros.outputs.obstacles import Sectors

SECTORS = Sectors(math.radians(-40), math.radians(1), 81)


def scan(*at):
    """Return ranges that are clear but for the given (bearing in degrees, metres)."""
    found = np.full(81, np.inf, np.float32)
    for bearing, range_m in at:
        found[40 + bearing] = range_m
    return found


def drive(follower, ranges_m, start_ns=10**18):
    """Return the last answer to ranges straight ahead, ten a second."""
    return [
        follower.add(start_ns + index * 10**8, SECTORS, scan((0, range_m))) for index, range_m in enumerate(ranges_m)
    ][-1]


def test_a_steady_approach():
    """5 m/s from 10 m: after 1 s at 5 m, contact in 1 s."""
    answer = drive(ApproachFollower(), 10 - 5 * np.arange(11) * 0.1)
    assert answer.range_m == pytest.approx(5.0) and answer.bearing_rad == 0.0
    assert answer.closing_mps == pytest.approx(5.0, abs=1e-4)
    assert answer.contact_s == pytest.approx(1.0, abs=1e-3)
    assert 0 < answer.contact_sigma_s < 0.1 and 0 < answer.closing_sigma_mps < 0.3


def test_sigma_is_what_noise_does():
    """Over many noisy approaches the error is as large as its sigma says."""
    rng = np.random.default_rng(0)
    errors, sigmas = [], []
    for _ in range(300):
        times = -np.arange(12) * 0.1
        rate, sigma, now_m = fit_rate(times, 6.0 - 2.0 * times + rng.normal(0, 0.1, 12))
        errors.append(rate + 2.0)
        sigmas.append(sigma)
    print(f"rate error {np.std(errors):.3f} m/s, sigma said {np.median(sigmas):.3f} m/s")
    assert 0.75 < np.std(errors) / np.median(sigmas) < 1.33


def test_one_scan_that_went_wrong_changes_little():
    ranges_m = 8 - 2 * np.arange(15) * 0.1
    ranges_m[9] -= 0.5
    answer = drive(ApproachFollower(), ranges_m)
    assert answer.closing_mps == pytest.approx(2.0, abs=0.1)
    assert answer.contact_s == pytest.approx(5.2 / 2, rel=0.05)


@pytest.mark.parametrize("speed", [0.0, 1.5])
def test_no_contact_with_what_stays_or_goes(speed):
    rng = np.random.default_rng(1)
    answer = drive(ApproachFollower(), 5 + speed * np.arange(15) * 0.1 + rng.normal(0, 0.02, 15))
    assert math.isnan(answer.contact_s) and math.isnan(answer.contact_sigma_s)
    assert answer.closing_mps == pytest.approx(-speed, abs=0.15)


def test_too_few_scans_have_no_speed():
    answer = drive(ApproachFollower(), [5.0, 4.9, 4.8])
    assert answer.range_m == pytest.approx(4.8) and math.isnan(answer.closing_mps)


def test_it_is_followed_while_the_robot_turns():
    """The obstacle moves by 3 degrees a scan; something else stands where it was."""
    follower = ApproachFollower()
    for index in range(10):
        ranges_m = scan((-20, 5.9), (-20 + 3 * index, 6 - 0.2 * index))
        answer = follower.add(index * 100_000_000, SECTORS, ranges_m)
    assert math.degrees(answer.bearing_rad) == pytest.approx(7.0)
    assert answer.closing_mps == pytest.approx(2.0, abs=0.1)


def test_another_obstacle_begins_anew():
    """What steps in between at 2 m was not there before: no speed from the jump."""
    follower = ApproachFollower(max_speed_mps=10.0)
    drive(follower, [8.0] * 10)
    answer = follower.add(10**18 + 1_000_000_000, SECTORS, scan((0, 2.0)))
    assert answer.range_m == pytest.approx(2.0) and math.isnan(answer.closing_mps)


def test_old_scans_are_forgotten_and_a_stamp_that_goes_back_begins_anew():
    follower = ApproachFollower(window_s=1.0)
    drive(follower, [9.0] * 10, start_ns=0)
    answer = drive(follower, 5 - 0.1 * np.arange(6), start_ns=5 * 10**9)
    assert answer.closing_mps == pytest.approx(1.0, abs=0.05)
    answer = drive(follower, [7.0, 7.0], start_ns=10**9)
    assert math.isnan(answer.closing_mps)


def test_no_obstacle_is_none():
    assert ApproachFollower().add(0, SECTORS, np.full(81, np.nan, np.float32)) is None
