"""Obstacles about a level camera: depth seen from above, as the nearest range in each sector of bearing.

A pixel is an obstacle where it lies between the floor and the top of a height band about the camera. The floor is the
band's own, or the ground's where the camera's height over it is known, raised by a tolerance that grows with range
(attitude, slope and depth err by angles). Range is horizontal distance. Bearings are counter-clockwise from the
camera's heading (REP 103); `frd_sectors` turns them into a vehicle's clockwise ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import CalibrationError, ConfigurationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics

_STEPS = 0xFFFF  # ranges are sorted as 16-bit shares of the farthest
KNOWN_SHARE = 0.5  # of a sector's pixels, for it to be called clear


@dataclass(frozen=True)
class ObstacleSettings:
    """What counts as an obstacle; lengths in metres, heights above the camera.

    `band_low_m` <= 0 <= `band_high_m`. `camera_height_m` over the ground, 0 for no ground (a flight). A pixel is
    ground up to `ground_tolerance_m + ground_slope * range` above it. An obstacle is at least `min_pixels` pixels
    (of every `stride`-th) of one sector that agree in range to `agreement`, a share of it; `percentile` of those is
    its range.
    """

    range_min_m: float = 0.2
    range_max_m: float = 10.0
    band_low_m: float = -1.0
    band_high_m: float = 1.0
    camera_height_m: float = 0.0
    ground_tolerance_m: float = 0.05
    ground_slope: float = 0.03
    min_pixels: int = 8
    percentile: float = 20.0
    agreement: float = 0.1
    stride: int = 2

    def __post_init__(self) -> None:
        """Raise ConfigurationError for bounds that leave nothing between them."""
        if not 0 < self.range_min_m < self.range_max_m:
            raise ConfigurationError(
                f"obstacles from {self.range_min_m} to {self.range_max_m} m: the first must be the smaller one"
            )
        near, far = (float(self.floor_m(np.float64(r))) for r in (0.0, self.range_max_m))
        if not (near < 0 and far < self.band_high_m):
            raise ConfigurationError(
                f"the floor of the height band is {near:.2f} m at the camera and {far:.2f} m at {self.range_max_m:g} "
                f"m, the top {self.band_high_m:g} m: the camera must be above the floor and the floor below the top "
                "all the way; lower the ground's tolerance or slope, or shorten the range"
            )

    def floor_m(self, range_m: np.ndarray) -> np.ndarray:
        """Return the height above the camera from which on something at these ranges is an obstacle."""
        if self.camera_height_m == 0:
            return np.full_like(range_m, self.band_low_m)
        ground = self.ground_tolerance_m - self.camera_height_m + self.ground_slope * range_m
        return np.maximum(ground, self.band_low_m)


@dataclass(frozen=True)
class Sectors:
    """`count` sectors of `step_rad`, the first centred on `first_rad`; `clockwise` bearings begin at `ahead_rad`.

    That is: a counter-clockwise bearing b from the camera's heading is b itself, or, clockwise, -(b + ahead_rad).
    """

    first_rad: float
    step_rad: float
    count: int
    clockwise: bool = False
    ahead_rad: float = 0.0

    def index(self, bearing_rad: np.ndarray) -> np.ndarray:
        """Return each bearing's sector, (N,) int64 from 0; `count` or more is outside."""
        bearing = -(bearing_rad + self.ahead_rad) if self.clockwise else bearing_rad
        turned = np.mod(bearing - self.first_rad + self.step_rad / 2, 2 * math.pi)
        return np.floor(turned / self.step_rad).astype(np.int64)

    @property
    def centres_rad(self) -> np.ndarray:
        """Return the middle of each sector, (count,) float64, in the sectors' own sense."""
        return self.first_rad + self.step_rad * np.arange(self.count)


def sectors_ahead(intrinsics: Intrinsics, step_rad: float) -> Sectors:
    """Return sectors that hold whatever the camera sees however it rolls, symmetric about its heading.

    They depend on the calibration only, so that a scan keeps its geometry. (A camera that looks far down sees
    bearings beyond them.)
    """
    reach = math.ceil(_half_angle(intrinsics) / step_rad - 0.5)
    return Sectors(-reach * step_rad, step_rad, 2 * reach + 1)


FRD_STEP_DEG = 5
"""Sectors of PX4's own map; MAVLink's OBSTACLE_DISTANCE holds 72, which is the whole circle."""


def frd_sectors(intrinsics: Intrinsics, ahead_rad: float = 0.0) -> Sectors:
    """Return a vehicle's sectors (forward-right-down: clockwise from its nose) that the camera sees.

    `ahead_rad` is where the camera heads in the vehicle, counter-clockwise. Centres are whole multiples of 5
    degrees, as PX4 places its own (ObstacleMath.cpp), and at most 72.
    """
    half = math.degrees(_half_angle(intrinsics))
    middle = -math.degrees(ahead_rad)
    first, last = (round((middle + side) / FRD_STEP_DEG) for side in (-half, half))
    step = math.radians(FRD_STEP_DEG)
    return Sectors(first * step, step, min(last - first + 1, 360 // FRD_STEP_DEG), True, ahead_rad)


def _half_angle(intrinsics: Intrinsics) -> float:
    """Return the angle between the optical axis and the farthest corner of the image."""
    ray_x, ray_y = pinhole.rays(intrinsics)
    return math.atan(math.hypot(float(np.abs(ray_x).max()), float(np.abs(ray_y).max())))


@dataclass(frozen=True, eq=False)
class LevelView:
    """The pixels of a depth image from above: bearing_rad, range_m (N,) float32, and what each tells (N,) bool.

    `obstacle`: something is there, in the band. `along`: the line of sight stays in the band as far as the range
    goes, so that something in the band would show; `known`: its depth is known, +Inf included.
    """

    bearing_rad: np.ndarray
    range_m: np.ndarray
    obstacle: np.ndarray
    along: np.ndarray
    known: np.ndarray


def view_from_above(
    depth_m: np.ndarray, intrinsics: Intrinsics, R_level_camera: np.ndarray, settings: ObstacleSettings
) -> LevelView:
    """Return depth (H, W) float32 in metres as seen from above; raises CalibrationError when sizes differ."""
    if depth_m.shape != (intrinsics.height, intrinsics.width):
        raise CalibrationError(
            f"depth of shape {depth_m.shape} but intrinsics for {intrinsics.width}x{intrinsics.height}: resize the "
            "intrinsics with the depth"
        )
    z = depth_m[:: settings.stride, :: settings.stride]
    ray_x, ray_y = pinhole.rays(pinhole.subsample(intrinsics, settings.stride))
    R = R_level_camera.astype(np.float32)
    forward, left, up = (R[i, 0] * ray_x + (R[i, 1] * ray_y + R[i, 2]) for i in range(3))
    flat = np.hypot(forward, left)
    with np.errstate(invalid="ignore", divide="ignore"):
        range_m = z * flat
        height_m = z * up
        floor_m = settings.floor_m(np.minimum(range_m, settings.range_max_m))
        within = (range_m >= settings.range_min_m) & (range_m <= settings.range_max_m)
        obstacle = within & (height_m > floor_m) & (height_m < settings.band_high_m)
        at_end = settings.range_max_m * (up / flat)
    lowest = settings.floor_m(np.float32(settings.range_max_m))
    return LevelView(
        bearing_rad=np.arctan2(left, forward).ravel(),
        range_m=range_m.ravel(),
        obstacle=obstacle.ravel(),
        along=((at_end > lowest) & (at_end < settings.band_high_m)).ravel(),
        known=(range_m >= settings.range_min_m).ravel(),
    )


def ranges(view: LevelView, sectors: Sectors, settings: ObstacleSettings) -> np.ndarray:
    """Return the nearest obstacle of each sector, (count,) float32: metres, +Inf clear, NaN unknown.

    Clear wants at least half of the pixels along the band, and `min_pixels` of them, to be known.
    """
    index = sectors.index(view.bearing_rad)
    inside = index < sectors.count
    along = inside & view.along
    could = np.bincount(index[along], minlength=sectors.count)
    did = np.bincount(index[along & view.known], minlength=sectors.count)
    clear = (did >= settings.min_pixels) & (did >= KNOWN_SHARE * could)
    found = np.where(clear, np.float32(np.inf), np.float32(np.nan))
    hit = inside & view.obstacle
    where, nearest = _nearest(index[hit], view.range_m[hit], settings)
    found[where] = nearest
    return found


def _nearest(index: np.ndarray, range_m: np.ndarray, settings: ObstacleSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the sectors that hold an obstacle, and its range in each.

    Sorted by sector and range, a pixel begins an obstacle when the one `min_pixels` - 1 places on is of the same
    sector and not farther than `agreement` allows; a lone pixel before a wall therefore does not.
    """
    resolution = settings.range_max_m / _STEPS
    keys = np.sort((index << 16) | np.minimum(range_m / resolution, _STEPS).astype(np.int64))
    ahead = settings.min_pixels - 1
    if len(keys) <= ahead:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    limit = keys + ((keys & _STEPS) * settings.agreement).astype(np.int64)
    limit = np.minimum(limit, keys | _STEPS)
    starts = np.flatnonzero(keys[ahead:] <= limit[: len(keys) - ahead])
    sectors, first = np.unique(keys[starts] >> 16, return_index=True)
    starts = starts[first]
    ends = np.searchsorted(keys, limit[starts], side="right")
    picked = starts + ((ends - 1 - starts) * (settings.percentile / 100)).astype(np.int64)
    return sectors, ((keys[picked] & _STEPS) * resolution).astype(np.float32)
