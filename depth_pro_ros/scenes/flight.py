"""Flights there and back along a straight line, with sway, as a slow drone's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.records import Pose
from depth_pro_ros.scenes.camera import clear_ahead, clearance, look
from depth_pro_ros.scenes.layout import Layout

SPEED_M_S = 0.5
_LONGEST_M = 20.0
_SHORTEST_M = 0.1
_STEP_M = 0.1
_KEEP_CLEAR_M = 0.25
_FREQUENCIES = (3, 4, 5, 7)  # of the sways to the side, up, in yaw and in pitch, per flight
_TURN = (0.12, 0.05)


@dataclass(frozen=True)
class Flight:
    """A path from `start` (3,) along `yaw` over `length_m` and back at 0.5 m/s, looking ahead with `pitch`.

    The camera sways by `sway_m` (to the side, up) and turns by up to 7 degrees; the path repeats after `period_s`.
    """

    start: np.ndarray
    yaw: float
    pitch: float
    length_m: float
    sway_m: tuple[float, float]
    phases: tuple[float, ...]

    @property
    def period_s(self) -> float:
        """Return the time there and back, after which the path repeats, seconds."""
        return 2 * self.length_m / SPEED_M_S

    def poses(self, frames: int, rate_hz: float) -> list[Pose]:
        """Return `frames` poses at `rate_hz`, stamps from 0."""
        return [self._pose(index / rate_hz, round(index * 1e9 / rate_hz)) for index in range(frames)]

    def _pose(self, time_s: float, stamp_ns: int) -> Pose:
        period = self.period_s
        turn = 2 * math.pi * time_s / period
        along = SPEED_M_S * (period / 2 - abs(time_s % period - period / 2))
        wave = [math.sin(k * turn + phase) for k, phase in zip(_FREQUENCIES, self.phases, strict=True)]
        ahead = np.array([math.cos(self.yaw), math.sin(self.yaw), 0.0])
        left = np.array([-ahead[1], ahead[0], 0.0])
        T_world_camera = np.eye(4)
        T_world_camera[:3, :3] = look(self.yaw + _TURN[0] * wave[2], self.pitch + _TURN[1] * wave[3], 0.0)
        T_world_camera[:3, 3] = self.start + along * ahead + self.sway_m[0] * wave[0] * left
        T_world_camera[2, 3] += self.sway_m[1] * wave[1]
        return Pose(T_world_camera, stamp_ns)


def phases(rng: np.random.Generator) -> tuple[float, ...]:
    """Return random phases of the sways."""
    return tuple(rng.uniform(0, 2 * math.pi, len(_FREQUENCIES)).tolist())


def along_the_aisle(layout: Layout, rng: np.random.Generator) -> Flight:
    """Return the flight along the middle of an aisle, 1.1 m above the floor."""
    x0, x1, y0, y1 = layout.walk
    return Flight(np.array([x0, (y0 + y1) / 2, 1.1]), 0.0, 0.0, x1 - x0, (0.2, 0.1), phases(rng))


def straight_ahead(layout: Layout, origin: np.ndarray, rotation: np.ndarray, rng: np.random.Generator) -> Flight:
    """Return the flight from a camera's place (3,), R_world_camera (3, 3), to where something is in the way."""
    forward = rotation[:, 2]
    yaw, pitch = math.atan2(forward[1], forward[0]), math.asin(forward[2])
    solid = layout.obstacles()
    free = min(float(clear_ahead(origin, np.array([yaw]), layout, solid)[0]) - _KEEP_CLEAR_M, _LONGEST_M)
    steps = np.arange(0.0, max(free, 2 * _STEP_M), _STEP_M)
    places = origin + steps[:, None] * np.array([math.cos(yaw), math.sin(yaw), 0.0])
    blocked = np.flatnonzero(clearance(places, solid) < _KEEP_CLEAR_M)
    length = steps[blocked[0]] if len(blocked) else steps[-1]
    return Flight(origin, yaw, pitch, max(float(length), _SHORTEST_M), (0.05, 0.03), phases(rng))
