"""Cameras: where they may be, how they look, and batches of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.layout import BALL, COLUMN, Layout
from depth_pro_ros.scenes.solids import Rays

ASPECTS = (1.0, 4 / 3, 3 / 2, 16 / 9)
_CLEAR_M = 0.35
_TRIES = 64
_YAWS = 12


@dataclass(frozen=True)
class CameraRange:
    """What cameras are drawn from: metres and degrees; `pitch_deg` is (lowest, likeliest, highest), up positive."""

    height_m: tuple[float, float]
    pitch_deg: tuple[float, float, float]
    roll_deg: float
    fov_deg: tuple[float, float]
    ahead_m: tuple[float, float]


ROBOT = CameraRange((0.4, 1.5), (-20, -5, 12), 4, (50, 100), (1.2, 2.5))
HANDHELD = CameraRange((0.6, 2.0), (-50, -12, 20), 10, (40, 100), (0.6, 2.5))
INDOOR = CameraRange((0.3, 2.2), (-35, -5, 25), 8, (30, 110), (1.0, 3.0))
GROUND = CameraRange((0.3, 2.0), (-25, -3, 15), 6, (30, 110), (3.0, 10.0))
DRONE = CameraRange((2.0, 12.0), (-60, -20, 5), 8, (30, 110), (4.0, 15.0))


@dataclass(frozen=True)
class Camera:
    """One pinhole: `origin` (3,), `rotation` R_world_camera (3, 3), horizontal field of view, sensor width / height."""

    origin: np.ndarray
    rotation: np.ndarray
    fov_deg: float
    aspect: float


@dataclass(frozen=True)
class Views:
    """B pinhole cameras of one image size: rotations (B, 3, 3), origins (B, 3), focal lengths and centres (B,)."""

    rotation: np.ndarray
    origin: np.ndarray
    fx: np.ndarray
    fy: np.ndarray
    cx: np.ndarray
    cy: np.ndarray
    height: int
    width: int

    @classmethod
    def of(cls, cameras: list[Camera], height: int, width: int) -> Views:
        """Return the cameras, their images stretched to `height` x `width`."""
        tangent = np.tan(np.radians([camera.fov_deg for camera in cameras]) / 2)
        aspect = np.array([camera.aspect for camera in cameras])
        middle = [np.full(len(cameras), (side - 1) / 2) for side in (width, height)]
        rotation, origin = (np.stack([getattr(c, name) for c in cameras]) for name in ("rotation", "origin"))
        return cls(rotation, origin, 0.5 * width / tangent, 0.5 * height * aspect / tangent, *middle, height, width)

    def rays(self, device: torch.device) -> Rays:
        """Return the world directions of all pixels, of optical z 1."""

        def to(a: np.ndarray) -> Tensor:
            return torch.as_tensor(np.asarray(a, np.float32), device=device)

        u = (torch.arange(self.width, device=device) - to(self.cx)[:, None]) / to(self.fx)[:, None]
        v = (torch.arange(self.height, device=device) - to(self.cy)[:, None]) / to(self.fy)[:, None]
        r = to(self.rotation)
        columns = [(r[:, i, 0, None] * u)[:, None, :] for i in range(3)]
        rows = [(r[:, i, 1, None] * v + r[:, i, 2, None])[:, :, None] for i in range(3)]
        return Rays.of(*(column + row for column, row in zip(columns, rows, strict=True)))


def look(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return R_world_camera of a camera that looks along yaw, up by pitch, turned by roll; radians."""
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.stack((c * right + s * down, c * down - s * right, forward), axis=1)


def draw_camera(rng: np.random.Generator, layout: Layout, spread: CameraRange) -> Camera:
    """Return a camera clear of everything that mostly sees some metres ahead."""
    solid = layout.obstacles()
    origin = _free_place(rng, layout, spread, solid)
    yaws = rng.uniform(-math.pi, math.pi, _YAWS)
    ahead = clear_ahead(origin, yaws, layout, solid)
    for side in (-0.35, 0.35):
        ahead = np.minimum(ahead, clear_ahead(origin, yaws + side, layout, solid) * 1.7)
    least, more = spread.ahead_m
    wanted = least + more * rng.random() if rng.random() < 0.9 else _CLEAR_M
    good = np.flatnonzero(ahead > wanted)
    yaw = yaws[good[0]] if len(good) else yaws[np.argmax(ahead)]
    pitch = math.radians(rng.triangular(*spread.pitch_deg))
    roll = math.radians(rng.uniform(-spread.roll_deg, spread.roll_deg))
    rotation = look(yaw, pitch, roll)
    return Camera(origin, rotation, rng.uniform(*spread.fov_deg), ASPECTS[int(rng.integers(len(ASPECTS)))])


def _half(solid: np.ndarray) -> np.ndarray:
    half = solid[:, 3:6].copy()
    round_ = solid[:, COLUMN["kind"]] > BALL
    half[round_, :2] = half[round_, :2].max(1, keepdims=True)
    return half


def _local(solid: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    c, s = solid[:, COLUMN["cos"]], solid[:, COLUMN["sin"]]
    return c * x + s * y, c * y - s * x


def _free_place(rng: np.random.Generator, layout: Layout, spread: CameraRange, solid: np.ndarray) -> np.ndarray:
    """Return the first of some random places that keeps clear of all solids, else the one that keeps clearest."""
    height = np.exp(rng.uniform(*np.log(spread.height_m)))
    x0, x1, y0, y1 = layout.walk
    places = np.stack((rng.uniform(x0, x1, _TRIES), rng.uniform(y0, y1, _TRIES), np.full(_TRIES, height)), 1)
    room = clearance(places, solid)
    good = np.flatnonzero(room > _CLEAR_M)
    return places[good[0] if len(good) else np.argmax(room)]


def clearance(places: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Return how far places (N, 3) are from the boxes about solids (M, C), metres; 0 inside."""
    offset = places[:, None] - solid[None, :, :3]
    u, v = _local(solid, offset[..., 0], offset[..., 1])
    gap = np.maximum(np.abs(np.stack((u, v, offset[..., 2]), -1)) - _half(solid), 0)
    return np.sqrt((gap**2).sum(-1)).min(1, initial=np.inf)


def clear_ahead(origin: np.ndarray, yaws: np.ndarray, layout: Layout, solid: np.ndarray) -> np.ndarray:
    """Return how far it is along each yaw, level, to a wall or to the box about a solid, metres."""
    dx, dy = np.cos(yaws), np.sin(yaws)
    walls = np.minimum(
        np.where(dx > 0, layout.upper[0] - origin[0], layout.lower[0] - origin[0]) / dx,
        np.where(dy > 0, layout.upper[1] - origin[1], layout.lower[1] - origin[1]) / dy,
    )
    o = origin - solid[:, :3]
    level = np.abs(o[:, 2]) < solid[:, 5] + 0.1
    ou, ov = _local(solid, o[:, 0], o[:, 1])
    du, dv = _local(solid, dx[:, None], dy[:, None])
    half = _half(solid)
    with np.errstate(divide="ignore", invalid="ignore"):  # a ray along a side: the comparison below sorts it out
        near = np.maximum(-ou / du - np.abs(half[:, 0] / du), -ov / dv - np.abs(half[:, 1] / dv))
        far = np.minimum(-ou / du + np.abs(half[:, 0] / du), -ov / dv + np.abs(half[:, 1] / dv))
    t = np.where((near < far) & (near > 0) & level, near, np.inf).min(1, initial=np.inf)
    return np.minimum(walls, t)
