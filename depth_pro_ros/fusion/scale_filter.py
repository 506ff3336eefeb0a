"""The factor over time: a Kalman filter with a gate that holds a jump until it is confirmed.

The state is s, the logarithm of z / q at a reference inverse depth q0, and the shift's share p = b / (a q0 + b)
there, so that a = e^s (1 - p) and b = e^s p q0. Unlike a and b, which trade against each other, s and p are nearly
independent, and s hardly moves when a frame earns no shift: each is filtered as a random walk of its own
(Bar-Shalom, Li & Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, ch. 5.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from depth_pro_ros.fusion.alignment import Alignment, ratio

UNFUSED, TRACKING, HELD, REFUSED, COASTING, STALE = "unfused", "tracking", "held", "refused", "coasting", "stale"
STATES = (UNFUSED, TRACKING, HELD, REFUSED, COASTING, STALE)
"""What a ScaleEstimate's state may be: no factor yet; followed the cue of this frame; a jump waits for confirmation;
this frame's cue was refused; this frame has no cue; no accepted cue for longer than `max_age_s`. In the last four
the factor is an older one."""

_LEAST_SIGMA = 0.005  # of a measured s: neighbouring samples share errors that their count does not average away
_MAX_SHARE = 0.9


@dataclass(frozen=True)
class ScaleFilterSettings:
    """How the factor is followed, and when a change of it is believed.

    `drift` is what s and p wander in one second (standard deviation, growing with the root of time); a change
    beyond `gate` standard deviations, beyond `least_jump` and beyond the misfit of the fit that asks for it (a factor
    is no better defined than that) is held until `confirm_frames` in a row agree.
    `share_prior` is p's standard deviation before any shift is earned, `max_sigma` where uncertainty stops growing.
    """

    drift: float = 0.02
    gate: float = 3.0
    least_jump: float = 0.1
    confirm_frames: int = 3
    share_prior: float = 0.3
    max_sigma: float = 0.3
    max_age_s: float = 10.0


@dataclass(frozen=True)
class ScaleEstimate:
    """The factor in force, z = scale q + shift_inv (see `alignment.Alignment`), and its health.

    `sigma_log` is the standard deviation of the factor's logarithm, `inliers` and `residual` are those of the last
    accepted cue, `age_s` the time since then (NaN before the first), `state` one of STATES, and `reason` tells
    people why the state is not tracking, or why there is no shift.
    """

    scale: float
    shift_inv: float
    support_inv: tuple[float, float]
    sigma_log: float
    inliers: float
    residual: float
    age_s: float
    state: str
    reason: str

    def ratio(self, inverse: np.ndarray) -> np.ndarray:
        """Return metric over predicted inverse depth at a predicted inverse depth (1/m)."""
        return ratio(self.scale, self.shift_inv, self.support_inv, inverse)

    @property
    def known(self) -> bool:
        """Tell whether there is a factor to apply."""
        return self.state != UNFUSED


@dataclass(frozen=True)
class _State:
    """A measured or filtered factor: s and p with their variances at `reference`, and the last fit's misfit."""

    log_ratio: float
    share: float
    log_variance: float
    share_variance: float
    reference: float
    support: tuple[float, float]
    misfit: float

    def factor(self) -> tuple[float, float]:
        """Return (scale, shift_inv)."""
        size = math.exp(self.log_ratio)
        return size * (1.0 - self.share), size * self.share * self.reference

    def at(self, reference: float) -> _State:
        """Return the same factor told at another reference; exact for the factor, kept for the variances."""
        scale, shift = self.factor()
        level = float(ratio(scale, shift, self.support, np.asarray(reference)))
        share = min(shift / (reference * level), _MAX_SHARE)
        return replace(self, log_ratio=math.log(level), share=share, reference=reference)


class ScaleFilter:
    """Follows the factor from frame to frame; see the module. Not safe for use by two threads at once."""

    def __init__(self, settings: ScaleFilterSettings | None = None):
        self._settings = settings or ScaleFilterSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the factor; the next accepted cue sets it anew."""
        self._state: _State | None = None
        self._accepted: Alignment | None = None
        self._pending: _State | None = None
        self._pending_count = 0
        self._stamp_ns = 0

    def update(self, measured: Alignment, stamp_ns: int) -> ScaleEstimate:
        """Return the factor after a measured one of the frame at `stamp_ns` (nanoseconds, any epoch).

        A stamp before the last by more than `max_age_s` (a clock set back, a bag that starts again) resets.
        """
        if self._state is not None and self._seconds_since(stamp_ns) < -self._settings.max_age_s:
            self.reset()
        measurement = self._measurement(measured)
        if self._state is None:
            return self._accept(measurement, measured, stamp_ns)
        predicted = self._grown(self._state.at(measurement.reference), stamp_ns)
        if not self._jumps(predicted, measurement):
            return self._accept(self._merged(predicted, measurement), measured, stamp_ns)
        self._confirm(measurement)
        if self._pending is not None and self._pending_count >= self._settings.confirm_frames:
            return self._accept(self._pending, measured, stamp_ns)
        change = math.exp(measurement.log_ratio - predicted.log_ratio)
        return self.current(
            stamp_ns, HELD, f"the cue asks for {change:.2f} times the scale: seen {self._pending_count} of "
            f"{self._settings.confirm_frames} times in a row"
        )  # fmt: skip

    def current(self, stamp_ns: int, state: str, reason: str) -> ScaleEstimate:
        """Return the factor in force at `stamp_ns` without a new measurement: `state` and `reason` say why.

        The state is UNFUSED before the first accepted cue, and STALE instead of COASTING or REFUSED beyond `max_age_s`.
        """
        if self._state is None or self._accepted is None:
            return ScaleEstimate(1.0, 0.0, (0.0, math.inf), math.inf, 0.0, math.nan, math.nan, UNFUSED, reason)
        age_s = max(self._seconds_since(stamp_ns), 0.0)
        if age_s > self._settings.max_age_s and state in (COASTING, REFUSED):
            state, reason = STALE, f"no cue was accepted for {age_s:.0f} s ({reason})"
        sigma = math.sqrt(self._grown(self._state, stamp_ns).log_variance)
        accepted = self._accepted
        return ScaleEstimate(
            *self._state.factor(), self._state.support, sigma, accepted.inliers, accepted.residual, age_s, state, reason
        )

    def _seconds_since(self, stamp_ns: int) -> float:
        return (stamp_ns - self._stamp_ns) * 1e-9

    def _measurement(self, measured: Alignment) -> _State:
        """Return a fit as (s, p); a fit without a shift says p = 0 as loosely as the prior does."""
        level = measured.scale + measured.shift_inv / measured.reference_inv
        sigma = max(measured.sigma_log, _LEAST_SIGMA)
        earned = measured.shift_inv != 0.0
        share = measured.shift_inv / (measured.reference_inv * level)
        share_sigma = min(3.0 * sigma, self._settings.share_prior) if earned else self._settings.share_prior
        return _State(
            math.log(level), min(share, _MAX_SHARE), sigma**2, share_sigma**2, measured.reference_inv,
            measured.support_inv, measured.residual,
        )  # fmt: skip

    def _grown(self, state: _State, stamp_ns: int) -> _State:
        """Return the state with the variances that its age gives it."""
        growth = self._settings.drift**2 * max(self._seconds_since(stamp_ns), 0.0)
        most = self._settings.max_sigma**2
        return replace(
            state,
            log_variance=max(state.log_variance, min(state.log_variance + growth, most)),
            share_variance=max(state.share_variance, min(state.share_variance + growth, most)),
        )

    def _jumps(self, first: _State, second: _State) -> bool:
        """Tell whether two factors differ by more than their uncertainty and `least_jump` allow."""
        gate, least = self._settings.gate, max(self._settings.least_jump, second.misfit)
        limit = max(gate * math.sqrt(first.log_variance + second.log_variance), least)
        share_limit = max(gate * math.sqrt(first.share_variance + second.share_variance), 2.0 * least)
        return abs(second.log_ratio - first.log_ratio) > limit or abs(second.share - first.share) > share_limit

    def _confirm(self, measurement: _State) -> None:
        """Count a jump that agrees with the pending one, or start to count anew."""
        pending = None if self._pending is None else self._pending.at(measurement.reference)
        if pending is None or self._jumps(pending, measurement):
            self._pending, self._pending_count = measurement, 1
        else:
            self._pending, self._pending_count = self._merged(pending, measurement), self._pending_count + 1

    @staticmethod
    def _merged(predicted: _State, measurement: _State) -> _State:
        """Return the Kalman update of both scalars; the support follows with the gain of s."""
        gain = predicted.log_variance / (predicted.log_variance + measurement.log_variance)
        share_gain = predicted.share_variance / (predicted.share_variance + measurement.share_variance)
        ends = zip(predicted.support, measurement.support, strict=True)
        low, high = (old ** (1.0 - gain) * new**gain for old, new in ends)
        return _State(
            predicted.log_ratio + gain * (measurement.log_ratio - predicted.log_ratio),
            predicted.share + share_gain * (measurement.share - predicted.share),
            predicted.log_variance * (1.0 - gain),
            predicted.share_variance * (1.0 - share_gain),
            measurement.reference,
            (low, high),
            measurement.misfit,
        )

    def _accept(self, state: _State, measured: Alignment, stamp_ns: int) -> ScaleEstimate:
        """Make `state` the factor in force."""
        if self._accepted is not None:  # a late cue does not set the clock back
            stamp_ns = max(stamp_ns, self._stamp_ns)
        self._state, self._accepted, self._stamp_ns = state, measured, stamp_ns
        self._pending, self._pending_count = None, 0
        return self.current(stamp_ns, TRACKING, measured.reason)
