"""Solids that rays meet: boxes by slabs, balls by the quadratic (Pharr, Jakob & Humphreys, PBR, ch. 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NEAR_M = 0.05


@dataclass(frozen=True)
class Box:
    """A box on the floor: `centre` and `half` (3,) metres, turned by `yaw` radians about the vertical."""

    centre: np.ndarray
    half: np.ndarray
    yaw: float
    texture: str
    tint: np.ndarray

    @property
    def axes(self) -> np.ndarray:
        """Return R_world_box, (3, 3)."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    @property
    def radius(self) -> float:
        """Return the radius of the sphere about `centre` that holds the box, metres."""
        return float(np.linalg.norm(self.half))

    def intersect(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Return t (...) of the first hit of origin (..., 3) + t rays (..., 3) seen from outside, inf where none."""
        local_o = ((origin - self.centre) @ self.axes).astype(np.float32)
        local_d = rays @ self.axes.astype(np.float32)
        enter, leave = np.float32(-np.inf), np.float32(np.inf)
        for axis in range(3):
            # A ray within a slab's plane must be judged by its origin: the tiny slope does that, where 1/0 gives NaN.
            inverse = 1 / np.where(local_d[..., axis] == 0, np.float32(1e-12), local_d[..., axis])
            middle, reach = -local_o[..., axis] * inverse, np.abs(np.float32(self.half[axis]) * inverse)
            enter, leave = np.maximum(enter, middle - reach), np.minimum(leave, middle + reach)
        return np.where((enter <= leave) & (enter > NEAR_M), enter, np.float32(np.inf))

    def surface(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (u_m, v_m, normals (N, 3)) of points (N, 3) on the box."""
        local = (points - self.centre) @ self.axes
        axis = np.argmax(np.abs(local) / self.half, axis=1)
        signs = np.sign(local[np.arange(len(local)), axis])
        u = np.where(axis == 0, local[:, 1], local[:, 0])
        v = np.where(axis == 2, local[:, 1], -local[:, 2])
        return u, v, self.axes.T[axis] * signs[:, None]


@dataclass(frozen=True)
class Sphere:
    """A ball: `centre` (3,) and `radius` in metres."""

    centre: np.ndarray
    radius: float
    texture: str
    tint: np.ndarray

    def intersect(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Return t (...) of the first hit of origin (..., 3) + t rays (..., 3) seen from outside, inf where none."""
        offset = (origin - self.centre).astype(np.float32)
        a = np.einsum("...i,...i->...", rays, rays)
        b = np.einsum("...i,...i->...", np.broadcast_to(offset, rays.shape), rays)
        perpendicular = offset - (b / a)[..., None] * rays  # from the centre to the ray: no cancellation in float32
        inside = np.float32(self.radius**2) - np.einsum("...i,...i->...", perpendicular, perpendicular)
        t = (-b - np.sqrt(np.maximum(inside, 0) * a)) / a
        return np.where((inside >= 0) & (t > NEAR_M), t, np.float32(np.inf))

    def surface(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (u_m, v_m, normals (N, 3)) of points (N, 3) on the ball."""
        normals = (points - self.centre) / self.radius
        u = self.radius * np.arctan2(normals[:, 1], normals[:, 0])
        return u, self.radius * np.arccos(np.clip(normals[:, 2], -1, 1)), normals
