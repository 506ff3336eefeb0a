"""Points on solids, sorted by the kind and material of the solid, so that every pattern works on one run of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.camera import Views
from depth_pro_ros.scenes.layout import BALL, BOX, COLUMN, CONE, CYLINDER, FACE, SKY
from depth_pro_ros.scenes.solids import Rays
from depth_pro_ros.scenes.texturing import Surface

_C = COLUMN
_SKY_M = 1e4
_SKY_FOOTPRINT = 2e-3
Vector = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Run:
    """A run of sorted points whose solids have one kind and one material; `floor` is a room's floor."""

    kind: int
    material: int
    floor: bool
    part: slice


class Solids:
    """The tables of B worlds, (B, M, C), as tensors; a solid's number is world * M + row."""

    def __init__(self, table: np.ndarray, device: torch.device) -> None:
        self.worlds, self.count, _ = table.shape
        self.device = device
        columns = np.ascontiguousarray(table.reshape(self.worlds * self.count, -1).T, np.float32)
        self.columns = torch.as_tensor(columns, device=device)
        floor = (table[..., _C["kind"]] == FACE) & (table[..., _C["nz"]] > 0.5)
        codes = (table[..., _C["kind"]] * 64 + table[..., _C["material"]]) * 2 + floor
        found, keys = np.unique(codes.astype(np.int64), return_inverse=True)
        self._codes = found.tolist()
        self._keys = torch.as_tensor(keys.reshape(-1).astype(np.uint8), device=device)
        self.has_sky = bool((table[..., _C["kind"]] == SKY).any())

    def sort(self, rows: Tensor) -> tuple[Tensor, list[Run]]:
        """Return the order (N,) that sorts solid numbers (N,) by kind and material, and the runs it makes."""
        key = self._keys.index_select(0, rows)
        if key.is_cuda:
            order = torch.argsort(key, stable=True)
        else:
            order = torch.from_numpy(np.argsort(key.numpy(), kind="stable"))  # a radix sort, much faster than torch's
        ends = np.cumsum(torch.bincount(key, minlength=len(self._codes)).cpu().numpy()).tolist()
        parts = [slice(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
        runs = [
            Run(code // 128, code // 2 % 64, bool(code % 2), part)
            for code, part in zip(self._codes, parts, strict=True)
            if part.stop > part.start
        ]
        return order, runs


class Hits:
    """Sorted points (N) on solids, with normals and the numbers of their solids; `order` tells where they came from."""

    def __init__(self, solids: Solids, rows: Tensor, runs: list[Run], order: Tensor, points: Vector) -> None:
        self.solids, self.rows, self.runs, self.order, self.points = solids, rows, runs, order, points
        self.many = solids.worlds > 1
        self.world = rows // solids.count
        self.offset: Vector = tuple(points[i] - self.column(("cx", "cy", "cz")[i]) for i in range(3))
        self.cos, self.sin = self.column("cos"), self.column("sin")
        self.half = tuple(self.column(name) for name in ("hx", "hy", "hz"))
        self.normals = self._all_normals()

    def column(self, name: str) -> Tensor:
        """Return a number of the solid of each point."""
        return self.solids.columns[_C[name]].index_select(0, self.rows)

    def per_point(self, per_world: Tensor) -> tuple[Tensor, ...] | Tensor:
        """Return the components of (B, K) numbers of worlds for every point: K of (N,), or (K,) for a single world."""
        return per_world.T.contiguous().index_select(1, self.world).unbind(0) if self.many else per_world[0]

    def unsorted(self, values: Tensor) -> Tensor:
        """Return the values (K, N) of sorted points in the order they came in."""
        result = torch.empty_like(values)
        for row, value in zip(result, values, strict=True):
            row.scatter_(0, self.order, value)
        return result

    def of_kinds(self, first: int, last: int) -> slice:
        """Return the points on solids of these kinds."""
        parts = [run.part for run in self.runs if first <= run.kind <= last]
        return slice(parts[0].start, parts[-1].stop) if parts else slice(0, 0)

    def _all_normals(self) -> Vector:
        normals = torch.zeros(3, len(self.rows), device=self.rows.device)
        functions = ((BOX, BOX, self._box_normal), (BALL, BALL, self._ball_normal))
        functions += ((CYLINDER, CONE, self._cone_normal), (FACE, FACE, self._face_normal))
        for first, last, function in functions:
            part = self.of_kinds(first, last)
            if part.stop > part.start:
                for old, new in zip(normals, function(part), strict=True):
                    old[part] = new
        return normals.unbind(0)

    def _face_normal(self, k: slice) -> Vector:
        return tuple(self.solids.columns[_C[name]].index_select(0, self.rows[k]) for name in ("nx", "ny", "nz"))

    def _box_normal(self, k: slice) -> Vector:
        x, y, z = (part[k] for part in self.offset)
        c, s = self.cos[k], self.sin[k]
        u, v = c * x + s * y, c * y - s * x
        a, b, d = (part.abs() - half[k] for part, half in zip((u, v, z), self.half, strict=True))
        top = (d >= a) & (d >= b)
        side = (a >= b) & ~top
        front = ~(top | side)
        nu, nv = u.sign() * side, v.sign() * front
        return c * nu - s * nv, s * nu + c * nv, z.sign() * top

    def _ball_normal(self, k: slice) -> Vector:
        inverse = 1 / self.half[0][k]
        x, y, z = (part[k] * inverse for part in self.offset)
        scale = torch.rsqrt(x * x + y * y + z * z)
        return x * scale, y * scale, z * scale

    def _cone_normal(self, k: slice) -> Vector:
        x, y, z = (part[k] for part in self.offset)
        low, high, half = (part[k] for part in self.half)
        radius = torch.sqrt(x * x + y * y).clamp_(min=1e-6)
        slope = (low - high) / (2 * half)
        scale = torch.rsqrt(1 + slope * slope)
        cap = half - z.abs() < 0.3 * (0.5 * (low + high) + slope * -z - radius).abs() + 1e-5
        side = ~cap
        return x / radius * scale * side, y / radius * scale * side, torch.where(cap, z.sign(), slope * scale)

    def surface(self, steps: list[Vector]) -> Surface:
        """Return texture coordinates, and footprints of pixels that move the point by each of `steps`."""
        x, y, z = self.offset
        nx, ny, nz = self.normals
        flat = nz.abs() > 0.9
        across = torch.rsqrt((nx * nx + ny * ny).clamp_(min=1e-6))
        ux, uy = torch.where(flat, self.cos, -ny * across), torch.where(flat, self.sin, nx * across)
        u = ux * x + uy * y
        v = torch.where(flat, ux * y - uy * x, z)
        fu, fv = torch.full_like(u, 1e-5), torch.full_like(u, 1e-5)
        for dx, dy, dz in steps:
            fu += (ux * dx + uy * dy).abs()
            fv += torch.where(flat, ux * dy - uy * dx, dz).abs()
        k = self.of_kinds(BALL, CONE)
        u[k] = torch.atan2(y[k], x[k]) * self.half[0][k]
        along_x = (self.cos * nx + self.sin * ny).abs() > 0.5
        hx, hy, hz = self.half
        half_u, half_v = torch.where(along_x & ~flat, hy, hx), torch.where(flat, hy, hz)
        tints = self.solids.columns[_C["r"] : _C["b2"] + 1]
        surface = Surface(u, v, z + hz, fu, fv, half_u, half_v, flat, self.column("phase"), self.rows, tints)
        return self._sky_surface(surface) if self.solids.has_sky else surface

    def _sky_surface(self, surface: Surface) -> Surface:
        """Give pixels of the sky their direction for coordinates."""
        k = self.of_kinds(SKY, SKY)
        x, y, z = (part[k] for part in self.offset)
        scale = torch.rsqrt(x * x + y * y + z * z)
        for old, new in zip((surface.u, surface.v, surface.height), (x, y, z), strict=True):
            old[k] = new * scale
        surface.fu[k] = surface.fv[k] = _SKY_FOOTPRINT
        return surface


class Pixels(Hits):
    """The hits of all pixels of an image or a batch of them."""

    def __init__(self, solids: Solids, ids: Tensor, depth: Tensor, rays: Rays, views: Views) -> None:
        """Sort the pixels by `ids` (B, H, W), rows of the table."""
        flat = ids.reshape(solids.worlds, -1).to(torch.int64)
        if solids.worlds > 1:
            flat = flat + torch.arange(solids.worlds, device=ids.device)[:, None] * solids.count
        flat = flat.reshape(-1)
        order, runs = solids.sort(flat)
        rows = flat.index_select(0, order)
        self._views = views
        self._depth = depth.reshape(-1).index_select(0, order)
        if solids.has_sky:
            self._depth.clamp_(max=_SKY_M)
        self._rays = tuple(part.reshape(-1).index_select(0, order) for part in (rays.x, rays.y, rays.z))
        origin = torch.as_tensor(views.origin.astype(np.float32), device=ids.device)
        start = origin.T.contiguous().index_select(1, rows // solids.count) if solids.worlds > 1 else origin[0]
        super().__init__(solids, rows, runs, order, tuple(start[i] + self._depth * self._rays[i] for i in range(3)))

    def steps(self) -> list[Vector]:
        """Return how far the point moves over the surface per pixel to the right and downwards."""
        towards = sum(n * d for n, d in zip(self.normals, self._rays, strict=True))
        towards = torch.where(towards.abs() < 0.02, -0.02, towards)
        result = []
        for column, focal in ((0, self._views.fx), (1, self._views.fy)):
            step = (self._views.rotation[:, :, column] / focal[:, None]).astype(np.float32)
            d = self.per_point(torch.as_tensor(step, device=self.rows.device))
            slide = sum(n * a for n, a in zip(self.normals, d, strict=True)) / towards
            result.append(tuple(self._depth * (d[i] - self._rays[i] * slide) for i in range(3)))
        return result
