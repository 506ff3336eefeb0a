"""How fast the nearest obstacle comes closer, from successive scans, and when it will be reached.

The obstacle is followed back through the kept scans from where it is now: in each older scan the nearest range within
a few degrees of where it was seen later, as long as no possible speed is exceeded. A line through those ranges by the
median of all pairwise slopes (Theil 1950, Sen 1968) does not care about a scan that went wrong.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.outputs.obstacles import Sectors

FOLLOW_RAD = math.radians(5.0)  # how far its bearing may move between two scans
STEP_SHARE = 0.1  # of its range that a scan may be off, besides its motion
NOISE_SHARE = 0.005  # of its range: no scan is trusted to less than this
MIN_SCANS = 4
EFFICIENCY = 0.955  # of Sen's slope against least squares under normal noise
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Approach:
    """The nearest obstacle: where it is, how fast it comes closer (negative: goes), when it will be reached.

    NaN stands for what is not known: speed before MIN_SCANS scans, contact unless it comes closer for sure.
    """

    bearing_rad: float
    range_m: float
    closing_mps: float = math.nan
    closing_sigma_mps: float = math.nan
    contact_s: float = math.nan
    contact_sigma_s: float = math.nan


class ApproachFollower:
    """Keeps the scans of the last `window_s` seconds; `sure` is how many sigmas make an approach.

    A stamp that does not grow (a bag that starts again) forgets all scans.
    """

    def __init__(self, window_s: float = 2.0, max_speed_mps: float = 20.0, sure: float = 2.0) -> None:
        self._window_ns = round(window_s * 1e9)
        self._max_speed = max_speed_mps
        self._sure = sure
        self._scans: deque[tuple[int, np.ndarray, np.ndarray]] = deque()

    def add(self, stamp_ns: int, sectors: Sectors, ranges_m: np.ndarray) -> Approach | None:
        """Take a scan (counter-clockwise sectors); return its nearest obstacle, None when it holds none."""
        if self._scans and stamp_ns <= self._scans[-1][0]:
            self._scans.clear()
        self._scans.append((stamp_ns, sectors.centres_rad, ranges_m))
        while self._scans[0][0] < stamp_ns - self._window_ns:
            self._scans.popleft()
        seen = np.isfinite(ranges_m)
        if not seen.any():
            return None
        nearest = int(np.argmin(np.where(seen, ranges_m, np.inf)))
        bearing, range_m = float(sectors.centres_rad[nearest]), float(ranges_m[nearest])
        return self._judge(bearing, range_m, *self._history(bearing, range_m))

    def _history(self, bearing: float, range_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Return seconds before now (<= 0) and ranges of the obstacle now at `bearing`, newest first."""
        now = later = self._scans[-1][0]
        times, followed = [0.0], [range_m]
        for stamp, centres, ranges_m in reversed(list(self._scans)[:-1]):
            near = (np.abs(centres - bearing) <= FOLLOW_RAD) & np.isfinite(ranges_m)
            if not near.any():
                break
            at = int(np.argmin(np.where(near, ranges_m, np.inf)))
            moved = abs(float(ranges_m[at]) - followed[-1])
            if moved > STEP_SHARE * followed[-1] + self._max_speed * (later - stamp) / 1e9:
                break
            bearing, later = float(centres[at]), stamp
            times.append((stamp - now) / 1e9)
            followed.append(float(ranges_m[at]))
        return np.array(times), np.array(followed)

    def _judge(self, bearing: float, range_m: float, times: np.ndarray, followed: np.ndarray) -> Approach:
        """Return the obstacle with its speed and, if it surely comes closer, the time to contact."""
        if len(times) < MIN_SCANS:
            return Approach(bearing, range_m)
        speed, sigma, now_m = fit_rate(times, followed)
        if -speed <= self._sure * sigma or now_m <= 0:
            return Approach(bearing, range_m, -speed, sigma)
        contact = now_m / -speed
        relative = math.hypot(sigma / speed, NOISE_SHARE / math.sqrt(len(times)))
        return Approach(bearing, range_m, -speed, sigma, contact, contact * relative)


def fit_rate(times_s: np.ndarray, ranges_m: np.ndarray) -> tuple[float, float, float]:
    """Return (rate m/s, its sigma, range at time 0 in m) of a robust line through ranges (N,) at times (N,), N >= 3.

    Sigma comes from the median residual, not less than NOISE_SHARE of the range, as least squares would have it
    (sigma_r over the root of the summed squared times about their mean), widened by the estimator's efficiency.
    """
    one, other = np.triu_indices(len(times_s), 1)
    rate = float(np.median((ranges_m[other] - ranges_m[one]) / (times_s[other] - times_s[one])))
    now_m = float(np.median(ranges_m - rate * times_s))
    residual = ranges_m - (now_m + rate * times_s)
    free = math.sqrt(len(times_s) / (len(times_s) - 2))
    noise = max(MAD_TO_SIGMA * free * float(np.median(np.abs(residual))), NOISE_SHARE * float(np.median(ranges_m)))
    spread = math.sqrt(float(((times_s - times_s.mean()) ** 2).sum()) * EFFICIENCY)
    return rate, noise / spread, now_m
