"""One world that cameras can move in, with depth, normals, instances and flights."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.geometry.pinhole import check
from depth_pro_ros.records import Intrinsics, Pose
from depth_pro_ros.scenes.baking import BakedRoom
from depth_pro_ros.scenes.batch import make_light
from depth_pro_ros.scenes.camera import Views
from depth_pro_ros.scenes.casting import cast
from depth_pro_ros.scenes.effects import curve, exposure, quantise
from depth_pro_ros.scenes.flight import along_the_aisle, straight_ahead
from depth_pro_ros.scenes.kinds import draw
from depth_pro_ros.scenes.layout import COLUMN
from depth_pro_ros.scenes.lighting import shade
from depth_pro_ros.scenes.solids import Rays
from depth_pro_ros.scenes.surfaces import Pixels, Solids

_METER = (48, 64)  # size of the image that sets the exposure


class View:
    """What one camera sees, as NumPy arrays; normals and instances are worked out when asked for."""

    def __init__(self, rgb: np.ndarray, depth: Tensor, ids: Tensor, rays: Rays, views: Views, solids: Solids) -> None:
        """Hold an image (H, W, 3) and what (1, H, W) its pixels hit."""
        self.rgb = rgb
        self.depth_m = depth[0].numpy()
        self._hits = (solids, ids, depth, rays, views)

    @cached_property
    def normals(self) -> np.ndarray:
        """Return unit normals (H, W, 3) float32 in camera optical axes, 0 for sky."""
        pixels, views = Pixels(*self._hits), self._hits[-1]
        world = pixels.unsorted(torch.stack(pixels.normals)).numpy()
        return (world.T @ views.rotation[0].astype(np.float32)).reshape(views.height, views.width, 3)

    @cached_property
    def instance(self) -> np.ndarray:
        """Return (H, W) int32: 0 for sky, 1 and up for things."""
        solids, ids, *_ = self._hits
        return solids.columns[COLUMN["instance"]].to(torch.int32)[ids[0].to(torch.int64)].numpy()


class World:
    """One world: `kind` and `seed` as in `render`, and further cameras and flights in it. On the CPU."""

    def __init__(self, kind: str, seed: int = 0, texel_m: float | None = None) -> None:
        """Draw the world. A room's surfaces can be painted once in texels, which takes seconds and makes images fast.

        Raises ConfigurationError for an unknown kind.
        """
        with torch.no_grad():
            scene = draw(kind, seed)
            self.layout, self.camera = scene.layout, scene.camera
            self._table = scene.layout.table[None]
            self._solids = Solids(self._table, torch.device("cpu"))
            self._light = make_light([scene], self._table, torch.device("cpu"))
            rng = np.random.default_rng(seed)
            if kind == "aisle":
                self._flight = along_the_aisle(scene.layout, rng)
            else:
                self._flight = straight_ahead(scene.layout, scene.camera.origin, scene.camera.rotation, rng)
            bake = texel_m is not None and scene.layout.closed
            self._baked = BakedRoom(self._table, self._light, texel_m) if bake else None
            if self._baked is None:
                views = Views.of([scene.camera], *_METER)
                rays = views.rays(torch.device("cpu"))
                self._gain = exposure(self._linear(*cast(self._table, views, rays), rays, views))

    def render(self, intrinsics: Intrinsics, T_world_camera: np.ndarray) -> View:
        """Return the view from `T_world_camera` (4, 4), without the effects of a lens; a second pose makes it stereo.

        Raises CalibrationError for intrinsics of no real camera, ValueError for a camera outside a room.
        """
        check(intrinsics)
        origin = T_world_camera[:3, 3]
        lower, upper = (np.array(end) for end in (self.layout.lower, self.layout.upper))
        if self.layout.closed and (np.any(origin <= lower) or np.any(origin >= upper)):
            raise ValueError(f"the camera is at {origin} m; it must be inside the room, {lower} to {upper}")
        views = _views(intrinsics, T_world_camera)
        with torch.no_grad():
            rays = views.rays(torch.device("cpu"))
            depth, ids = cast(self._table, views, rays)
            if self._baked:
                rgb = self._baked.look_up(ids, depth, rays, origin, 1 / min(intrinsics.fx, intrinsics.fy))
            else:
                rgb = quantise(curve(self._linear(depth, ids, rays, views) * self._gain)).numpy()
            return View(rgb, depth, ids, rays, views, self._solids)

    def _linear(self, depth: Tensor, ids: Tensor, rays: Rays, views: Views) -> Tensor:
        pixels = Pixels(self._solids, ids, depth, rays, views)
        linear = shade(pixels, pixels.surface(pixels.steps()), self._light)
        return pixels.unsorted(linear).reshape(3, views.height, views.width)

    def flight(self, frames: int, rate_hz: float) -> list[Pose]:
        """Return `frames` poses at `rate_hz`, stamps from 0: ahead at 0.5 m/s, swaying, and back, and so on."""
        return self._flight.poses(frames, rate_hz)

    @property
    def flight_period_s(self) -> float:
        """Return the time of one flight there and back, after which the path repeats, seconds."""
        return self._flight.period_s


def _views(camera: Intrinsics, T_world_camera: np.ndarray) -> Views:
    rotation, origin = T_world_camera[None, :3, :3], T_world_camera[None, :3, 3]
    numbers = (np.array([value]) for value in (camera.fx, camera.fy, camera.cx, camera.cy))
    return Views(rotation, origin, *numbers, camera.height, camera.width)
