"""The factor over time: smooth, patient with jumps, and ever less sure without a cue."""

import dataclasses

import numpy as np
import pytest

from depth_pro_ros.fusion import Alignment, ScaleFilter, ScaleFilterSettings

SECOND = 1_000_000_000


def measured(scale, shift=0.0, sigma=0.02, reference=0.5, support=(0.1, 1.0)):
    return Alignment(scale, shift, reference, support, sigma, 0.03, 0.95, 200, "" if shift else "scale only: a test")


def feed(scale_filter, scales, start=0, step=SECOND // 10, **fields):
    """Return the estimates after each of the scales, a tenth of a second apart."""
    return [scale_filter.update(measured(s, **fields), start + i * step) for i, s in enumerate(scales)]


def test_nothing_is_known_before_the_first_cue():
    estimate = ScaleFilter().current(0, "coasting", "no cue")
    assert (estimate.state, estimate.known, estimate.scale, estimate.reason) == ("unfused", False, 1.0, "no cue")
    assert np.isnan(estimate.age_s)


def test_the_first_factor_is_taken_as_it_is():
    first = ScaleFilter().update(measured(1.6, shift=-0.1), 5)
    assert (first.scale, first.shift_inv) == (pytest.approx(1.6), pytest.approx(-0.1))
    assert (first.state, first.age_s, first.reason) == ("tracking", 0.0, "")
    assert first.ratio(np.array([0.05, 0.5])) == pytest.approx([1.6 - 0.1 / 0.1, 1.6 - 0.1 / 0.5])


def test_noise_is_averaged():
    rng = np.random.default_rng(0)
    noisy = 1.5 * np.exp(rng.normal(0, 0.02, 200))
    last = np.array([e.scale for e in feed(ScaleFilter(), noisy)[50:]])
    print(f"noise of 2 % leaves {last.std() / 1.5:.2%} in the factor")
    assert last.std() / 1.5 < 0.01 and last.mean() == pytest.approx(1.5, rel=0.01)


def test_a_single_jump_is_held_and_forgotten():
    scale_filter = ScaleFilter()
    states = [(e.state, round(e.scale, 6)) for e in feed(scale_filter, [1.5] * 5 + [3.0] + [1.5] * 2)]
    assert states == [("tracking", 1.5)] * 5 + [("held", 1.5)] + [("tracking", 1.5)] * 2


def test_a_change_within_the_misfit_is_no_jump():
    """1.5 to 1.9 is 24 %: a jump for a fit of 3 % misfit, none for one of 30 %."""
    vague = dataclasses.replace(measured(1.9), residual=0.3)
    for change, state in ((measured(1.9), "held"), (vague, "tracking")):
        scale_filter = ScaleFilter()
        feed(scale_filter, [1.5] * 5)
        assert scale_filter.update(change, SECOND // 2).state == state


def test_a_jump_that_lasts_is_confirmed():
    estimates = feed(ScaleFilter(ScaleFilterSettings(confirm_frames=3)), [1.5] * 5 + [3.0] * 3)
    assert [e.state for e in estimates[5:]] == ["held", "held", "tracking"]
    assert estimates[6].scale == pytest.approx(1.5) and "2.00 times" in estimates[6].reason
    assert estimates[6].age_s == pytest.approx(0.2)
    assert estimates[7].scale == pytest.approx(3.0) and estimates[7].age_s == 0.0


def test_jumps_that_contradict_each_other_are_never_confirmed():
    estimates = feed(ScaleFilter(), [1.5] * 3 + [3.0, 0.7] * 10)
    assert {e.state for e in estimates[3:]} == {"held"} and estimates[-1].scale == pytest.approx(1.5)


def test_a_slow_drift_is_followed_without_a_hold():
    drifting = 1.5 * np.exp(np.linspace(0, 0.3, 100))
    estimates = feed(ScaleFilter(), drifting)
    assert {e.state for e in estimates} == {"tracking"}
    assert estimates[-1].scale == pytest.approx(drifting[-1], rel=0.06)


def test_a_frame_that_earns_no_shift_hardly_moves_the_ratio():
    """Scale and shift trade against each other: scale 1.6 and shift -0.1 is the ratio 1.4 where q = 0.5."""
    scale_filter = ScaleFilter()
    feed(scale_filter, [1.6] * 20, shift=-0.1)
    after = scale_filter.update(measured(1.4), 21 * SECOND // 10)
    assert after.state == "tracking"
    assert after.ratio(np.array([0.5]))[0] == pytest.approx(1.4, rel=1e-3)
    assert after.shift_inv == pytest.approx(-0.1, rel=0.1)


def test_age_grows_the_uncertainty_to_its_bound_and_then_is_said():
    scale_filter = ScaleFilter(ScaleFilterSettings(drift=0.02, max_age_s=10.0, max_sigma=0.3))
    scale_filter.update(measured(1.5, sigma=0.03), 0)
    aged = [scale_filter.current(s * SECOND, "coasting", "no cue") for s in (0, 4, 9, 11, 10**6)]
    assert [e.sigma_log for e in aged] == pytest.approx(
        [0.03, 0.05, np.hypot(0.03, 0.06), np.hypot(0.03, 0.02 * 11**0.5), 0.3]
    )
    assert [e.state for e in aged] == ["coasting"] * 3 + ["stale"] * 2
    assert aged[3].scale == pytest.approx(1.5) and "11 s" in aged[3].reason


def test_reset_and_a_clock_set_back_forget():
    scale_filter = ScaleFilter()
    feed(scale_filter, [1.5] * 5, start=100 * SECOND)
    assert scale_filter.update(measured(3.0), 50 * SECOND).scale == pytest.approx(3.0)
    scale_filter.reset()
    assert not scale_filter.current(0, "coasting", "").known
    assert scale_filter.update(measured(0.8), 0).scale == pytest.approx(0.8)


def test_a_late_cue_does_not_set_the_clock_back():
    scale_filter = ScaleFilter()
    feed(scale_filter, [1.5] * 3, start=10 * SECOND)
    scale_filter.update(measured(1.5), 9 * SECOND)
    assert scale_filter.current(11 * SECOND, "coasting", "").age_s == pytest.approx(0.8)
