"""A furnished corridor, ray-cast analytically: exact depth along optical Z for any pinhole and pose.

World frame: x along the corridor, y to its left, z up, floor at z = 0, metres (REP 103). A ray through
pixel (u, v) is d = R K^-1 (u, v, 1), whose optical z is 1, so the parameter t of a hit o + t d *is* its
depth along the optical axis (REP 118) and needs no conversion.
"""

from __future__ import annotations

import math

import numpy as np

from depth_pro_ros.geometry.pinhole import check
from depth_pro_ros.records import Intrinsics, Pose
from depth_pro_ros.scenes.shapes import NEAR_M, Box, Sphere
from depth_pro_ros.scenes.textures import NAMES, Atlas

_OPTICAL_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # columns: x right, y down, z forward
_CELL_M = 0.02
_SHADOW_REACH_M = 4.0
_SPEED_M_S = 0.5
_START_M = 0.8
_STOP_M = 2.5
_TEXTURE = {name: index for index, name in enumerate(NAMES)}



class Room:
    """A closed corridor with boxes and balls along its walls and lamps on its ceiling; one seed, one world."""

    def __init__(self, seed: int = 0) -> None:
        """Furnish and light the room from `seed`; the same seed gives the same world and images."""
        rng = np.random.default_rng(seed)
        size = np.array([rng.uniform(12.0, 15.0), rng.uniform(3.8, 4.6), rng.uniform(2.5, 2.9)])
        self.lower = np.array([0.0, -size[1] / 2, 0.0])
        self.upper = np.array([size[0], size[1] / 2, size[2]])
        self._lamps = np.array([[x, 0.0, size[2] - 0.25] for x in np.arange(2.0, size[0] - 1.0, 3.2)])
        self.objects = self._furnish(rng)
        self._atlas = Atlas(rng)
        self._cells = np.ceil(size / _CELL_M).astype(np.int32)
        faces = [self._bake(axis, positive) for axis in range(3) for positive in (False, True)]
        self._starts = np.cumsum([0] + [face.size for face in faces[:-1]]).astype(np.int32)
        self._face_light = np.concatenate([face.ravel() for face in faces])
        self._face_texture = np.concatenate([face.ravel() for face in self._paper(rng)])
        self._phase = rng.uniform(0, 2 * math.pi, 4)

    def _furnish(self, rng: np.random.Generator) -> list[Box | Sphere]:
        """Return the furniture, left and right in turn of an aisle 1 m wide which the camera flies along."""
        objects: list[Box | Sphere] = []
        x = 2.4
        while x < self.upper[0] - 1.0:
            side = 1 if len(objects) % 2 else -1
            tint, y = rng.uniform(0.65, 1.15, 3), side * rng.uniform(1.1, self.upper[1] - 0.6)
            if rng.random() < 0.35:
                radius = rng.uniform(0.16, 0.34)
                objects.append(Sphere(np.array([x, y, radius]), radius, "stripes", tint))
            else:
                half = np.array([rng.uniform(0.15, 0.4), rng.uniform(0.15, 0.35), rng.uniform(0.15, 0.7)])
                texture = str(rng.choice(["cardboard", "wood", "stripes"]))
                objects.append(Box(np.array([x, y, half[2]]), half, rng.uniform(-0.6, 0.6), texture, tint))
            x += rng.uniform(0.5, 1.1)
        return objects

    def _paper(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the texture index of every cell of the six faces: walls with doors and pictures, floor, ceiling."""
        side, end = rng.permutation(["plaster", "brick"])
        papers = [end, end, side, side, rng.choice(["tile", "wood"]), "ceiling"]
        cells = self._cells
        shapes = [cells[1:], cells[1:], cells[::2], cells[::2], cells[:2], cells[:2]]
        faces = [np.full(shape, _TEXTURE[name], np.uint8) for shape, name in zip(shapes, papers, strict=True)]
        for face in faces[2:4]:
            x = rng.uniform(2.0, 4.0)
            while x < self.upper[0] - 1.5:
                wide, bottom, top = (0.9, 0.0, 2.05) if rng.random() < 0.4 else (rng.uniform(0.6, 1.2), 1.1, 1.9)
                _fill(face, x - 0.06, x + wide + 0.06, bottom - 0.06, top + 0.06, _TEXTURE["cardboard"])
                _fill(face, x, x + wide, bottom, top, _TEXTURE["picture" if bottom else "door"])
                x += wide + rng.uniform(0.8, 2.0)
        for lamp in self._lamps:
            _fill(faces[5], *self._lamp_panel(lamp), _TEXTURE["plaster"])
        return faces

    def _lamp_panel(self, lamp: np.ndarray) -> tuple[float, float, float, float]:
        return lamp[0] - 0.6, lamp[0] + 0.6, -self.lower[1] - 0.15, -self.lower[1] + 0.15

    def _bake(self, axis: int, positive: bool) -> np.ndarray:
        """Return the light on every cell of one face: lamps, darker corners and, on the floor, shadows."""
        others = [i for i in range(3) if i != axis]
        grids = [self.lower[i] + (np.arange(self._cells[i]) + 0.5) * _CELL_M for i in others]
        points = np.empty((len(grids[0]), len(grids[1]), 3))
        points[..., others[0]], points[..., others[1]] = np.meshgrid(*grids, indexing="ij")
        points[..., axis] = (self.upper if positive else self.lower)[axis]
        normal = np.zeros(3)
        normal[axis] = -1.0 if positive else 1.0
        light = self._lamp_light(points, normal)
        for i in others:
            edge_m = np.minimum(points[..., i] - self.lower[i], self.upper[i] - points[..., i])
            light *= 0.72 + 0.28 * np.sqrt(np.clip(edge_m / 0.35, 0.0, 1.0))
        if axis == 2 and positive:
            for lamp in self._lamps:
                _fill(light, *self._lamp_panel(lamp), 1.7)
        elif axis == 2:
            shadow = np.repeat(np.repeat(self._unshadowed(points[1::2, 1::2]), 2, axis=0), 2, axis=1)
            light *= np.pad(shadow, [(0, n - m) for n, m in zip(light.shape, shadow.shape, strict=True)], mode="edge")
        return light.astype(np.float32)

    def _lamp_light(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Return the light (...) on points (..., 3) with unit normals: ambient, and Lambert's cosine of each lamp."""
        light = np.full(points.shape[:-1], 0.34)
        for lamp in self._lamps:
            to_lamp = lamp - points
            squared = np.einsum("...i,...i->...", to_lamp, to_lamp)
            towards = np.einsum("...i,...i->...", to_lamp, np.broadcast_to(normals, points.shape))
            cosine = np.maximum(towards, 0.0) / np.sqrt(squared)
            light += 0.95 * cosine / (1.0 + 0.35 * squared) + 0.05 / (1.0 + squared)
        return light

    def _unshadowed(self, floor: np.ndarray) -> np.ndarray:
        """Return the share of lamp light that reaches floor points (N, M, 3), soft since a lamp is four points."""
        got, sent = np.zeros(floor.shape[:2]), np.zeros(floor.shape[:2])
        for lamp in self._lamps:
            for angle in np.arange(4) * (math.pi / 2):
                from_lamp = floor - (lamp + 0.2 * np.array([math.cos(angle), math.sin(angle), 0.0]))
                power = (from_lamp**2).sum(-1) ** -1.5
                rays, blocked = from_lamp.astype(np.float32), np.zeros(floor.shape[:2], bool)
                for item in (o for o in self.objects if abs(o.centre[0] - lamp[0]) < _SHADOW_REACH_M):
                    blocked |= item.intersect(floor - from_lamp, rays) < 1.0
                got, sent = got + power * ~blocked, sent + power
        return 0.4 + 0.6 * got / sent

    def render(self, intrinsics: Intrinsics, T_world_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (rgb (H, W, 3) uint8, depth_m (H, W) float32 along optical Z) seen from `T_world_camera` (4, 4).

        Raises CalibrationError for intrinsics of no real camera, ValueError for a camera outside the room.
        """
        check(intrinsics)
        rotation, origin = T_world_camera[:3, :3], T_world_camera[:3, 3]
        if np.any(origin <= self.lower) or np.any(origin >= self.upper):
            raise ValueError(f"the camera is at {origin} m; it must be inside the room, {self.lower} to {self.upper}")
        rays = _rays(intrinsics, rotation)
        depth, u, v, texture, light = self._faces(origin, rays)
        owner, tints = np.zeros(depth.shape, np.uint8), np.ones((len(self.objects) + 1, 3), np.float32)
        for index, item in enumerate(self.objects, start=1):
            window = _window(item, intrinsics, rotation, origin)
            t = item.intersect(origin, rays[window])
            hit = t < depth[window]
            points = origin + t[hit][:, None] * rays[window][hit]
            u[window][hit], v[window][hit], normals = item.surface(points)
            light[window][hit] = self._lamp_light(points, normals) * (0.7 + 0.3 * np.minimum(points[:, 2] / 0.2, 1.0))
            depth[window][hit], texture[window][hit], owner[window][hit] = t[hit], _TEXTURE[item.texture], index
            tints[index] = item.tint
        rgb = self._atlas.look_up(texture, u, v, depth * np.float32(1.3 / min(intrinsics.fx, intrinsics.fy)))
        rgb *= tints.take(owner, axis=0)
        rgb *= (light * np.float32(255.0))[..., None]
        return np.minimum(rgb, 255.0, out=rgb).astype(np.uint8), depth

    def _faces(self, origin: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return (t, u_m, v_m, texture, light), each (H, W), of the wall, floor or ceiling that each ray meets."""
        offset = (origin - self.lower).astype(np.float32)
        room = (self.upper - self.lower).astype(np.float32)
        t = np.full(rays.shape[:2], np.inf, np.float32)
        face = np.zeros(rays.shape[:2], np.uint8)
        for axis in range(3):
            direction = rays[..., axis]
            with np.errstate(divide="ignore"):  # a ray along a wall never meets it: inf
                t_axis = np.where(direction > 0, room[axis] - offset[axis], offset[axis]) / np.abs(direction)
            nearer = t_axis < t
            np.copyto(t, t_axis, where=nearer)
            np.copyto(face, (2 * axis + (direction > 0)).astype(np.uint8), where=nearer)
        x, y, z = (offset[axis] + t * rays[..., axis] for axis in range(3))
        first, second = np.where(face < 2, y, x), np.where(face < 4, z, y)
        wide, high = np.repeat(self._cells[[1, 0, 0]], 2)[face], np.repeat(self._cells[[2, 2, 1]], 2)[face]
        column = np.minimum((first * np.float32(1 / _CELL_M)).astype(np.int32), wide - 1)
        row = np.minimum((second * np.float32(1 / _CELL_M)).astype(np.int32), high - 1)
        cell = self._starts[face] + np.maximum(column, 0) * high + np.maximum(row, 0)
        return t, first, -second, self._face_texture.take(cell), self._face_light.take(cell)

    def flight(self, frames: int, rate_hz: float) -> list[Pose]:
        """Return `frames` poses at `rate_hz`, stamps from 0: forward along the aisle at 0.5 m/s, then back, and so on.

        The camera looks ahead, 1.3 m above the floor, and sways by up to 0.2 m and 7 degrees. The path
        repeats after `flight_period_s`.
        """
        return [self._pose(index / rate_hz, round(index * 1e9 / rate_hz)) for index in range(frames)]

    @property
    def flight_period_s(self) -> float:
        """Return the time of one flight there and back, after which the path repeats, seconds."""
        return 2 * (self.upper[0] - _START_M - _STOP_M) / _SPEED_M_S

    def _pose(self, time_s: float, stamp_ns: int) -> Pose:
        period = self.flight_period_s
        turn = 2 * math.pi * time_s / period
        along = _START_M + _SPEED_M_S * (period / 2 - abs(time_s % period - period / 2))
        wave = [math.sin(k * turn + phase) for k, phase in zip((3, 4, 5, 7), self._phase, strict=True)]
        yaw, pitch = 0.12 * wave[2], 0.05 * wave[3]
        T_world_camera = np.eye(4)
        T_world_camera[:3, :3] = _OPTICAL_AXES @ _turn(1, -yaw) @ _turn(0, -pitch)
        T_world_camera[:3, 3] = along, 0.2 * wave[0], 1.3 + 0.1 * wave[1]
        return Pose(T_world_camera, stamp_ns)


def _turn(axis: int, angle: float) -> np.ndarray:
    """Return the rotation (3, 3) by `angle` radians about a coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = math.cos(angle)
    rotation[j, i], rotation[i, j] = math.sin(angle), -math.sin(angle)
    return rotation


def _fill(face: np.ndarray, u0: float, u1: float, v0: float, v1: float, value: float) -> None:
    """Set the cells of a face inside a rectangle of metres from the face's corner."""
    a, b, c, d = (max(0, round(edge / _CELL_M)) for edge in (u0, u1, v0, v1))
    face[a:b, c:d] = value


def _rays(intrinsics: Intrinsics, rotation: np.ndarray) -> np.ndarray:
    """Return R K^-1 (u, v, 1) of every pixel, (H, W, 3) float32."""
    x = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
    y = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
    column = (x[:, None] * rotation[:, 0]).astype(np.float32)
    row = (y[:, None] * rotation[:, 1] + rotation[:, 2]).astype(np.float32)
    return row[:, None, :] + column[None, :, :]


def _window(item: Box | Sphere, camera: Intrinsics, rotation: np.ndarray, origin: np.ndarray) -> tuple[slice, slice]:
    """Return the (rows, columns) of the image outside of which `item` cannot be: its bounding cube's."""
    x, y, z = rotation.T @ (item.centre - origin)
    if z + item.radius < NEAR_M:
        return slice(0, 0), slice(0, 0)
    if z - item.radius < NEAR_M:
        return slice(0, camera.height), slice(0, camera.width)

    def span(across: float, focal: float, centre: float, size: int) -> slice:
        depths = (z - item.radius, z + item.radius)
        ends = [focal * (across + side * item.radius) / depth + centre for side in (-1, 1) for depth in depths]
        return slice(*np.clip([math.floor(min(ends)), math.ceil(max(ends)) + 1], 0, size).tolist())

    return span(y, camera.fy, camera.cy, camera.height), span(x, camera.fx, camera.cx, camera.width)
