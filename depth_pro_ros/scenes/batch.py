"""Batches of scenes: one world and one camera for each seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.camera import Views
from depth_pro_ros.scenes.casting import cast, pad_tables
from depth_pro_ros.scenes.effects import curve, exposure, quantise
from depth_pro_ros.scenes.kinds import Scene, draw
from depth_pro_ros.scenes.layout import COLUMN
from depth_pro_ros.scenes.lighting import Light, shade
from depth_pro_ros.scenes.solids import Rays
from depth_pro_ros.scenes.surfaces import Pixels, Solids


@dataclass(frozen=True)
class SceneBatch:
    """B scenes. The camera is a pinhole with a centred principal point, its image stretched to H x W.

    `rgb` (B, H, W, 3) uint8; `depth_m` (B, H, W) float32 along the optical axis, +inf for sky; `normals` (B, H, W, 3)
    float32 in camera optical axes, unit, 0 for sky; `instance` (B, H, W) int32, 0 for sky; focal lengths in pixels of
    the H x W image and the horizontal field of view (B,) float32; `T_world_camera` (B, 4, 4) float64, optical axes.
    """

    rgb: Tensor
    depth_m: Tensor
    normals: Tensor
    instance: Tensor
    focal_x_px: Tensor
    focal_y_px: Tensor
    fov_x_deg: Tensor
    T_world_camera: Tensor

    @property
    def sky(self) -> Tensor:
        """Return where nothing was hit, (B, H, W) bool."""
        return torch.isinf(self.depth_m)


def render(
    kind: str, seeds: Iterable[int], height: int, width: int, device: str | torch.device = "cpu", effects: bool = True
) -> SceneBatch:
    """Return an image with depth, normals, instances and camera of one world of `kind` for every seed.

    The same seed gives the same scene whatever the batch; on a GPU up to rounding, and without JPEG. `effects=False`
    leaves out what air, lens and film do. Raises ConfigurationError for an unknown kind.
    """
    device = torch.device(device)
    with torch.no_grad():
        scenes = [draw(kind, int(seed)) for seed in seeds]
        if device.type == "cpu":
            groups = [[index] for index in range(len(scenes))]
        else:
            groups = [[i for i, s in enumerate(scenes) if s.layout.closed == closed] for closed in (True, False)]
            groups = [group for group in groups if group]
        parts = [render_together([scenes[i] for i in group], height, width, device, effects) for group in groups]
        if len(parts) == 1:
            return parts[0]
        back = torch.as_tensor(np.argsort(np.concatenate(groups)), device=device)
        joined = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(SceneBatch))
        in_order = device.type == "cpu"
        return SceneBatch(*(value if in_order else value[back] for value in joined))


def render_together(
    scenes: list[Scene], height: int, width: int, device: torch.device, effects: bool = True
) -> SceneBatch:
    """Return the images of scenes that are all rooms or all outdoors, worked out at once, as a GPU likes it."""
    views = Views.of([scene.camera for scene in scenes], height, width)
    table = pad_tables([scene.layout.table for scene in scenes])
    rays = views.rays(device)
    depth, ids = cast(table, views, rays)
    pixels = Pixels(Solids(table, device), ids, depth, rays, views)
    linear = shade(pixels, pixels.surface(pixels.steps()), make_light(scenes, table, device))
    linear = pixels.unsorted(linear).reshape(3, len(scenes), height, width)
    normals = pixels.unsorted(torch.stack(pixels.normals)).reshape(3, len(scenes), -1).transpose(0, 1)

    def to(a: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(a, np.float32), device=device)

    normals = (to(views.rotation).transpose(1, 2) @ normals).reshape(-1, 3, height, width).permute(0, 2, 3, 1)
    instances = to(table[..., COLUMN["instance"]]).to(torch.int32)
    instance = instances.gather(1, ids.reshape(len(scenes), -1).to(torch.int64)).reshape(depth.shape)
    pose = np.tile(np.eye(4), (len(scenes), 1, 1))
    pose[:, :3, :3], pose[:, :3, 3] = views.rotation, views.origin
    return SceneBatch(
        rgb=_develop(scenes, linear, depth, rays, effects),
        depth_m=depth,
        normals=normals,
        instance=instance,
        focal_x_px=to(views.fx),
        focal_y_px=to(views.fy),
        fov_x_deg=to([scene.camera.fov_deg for scene in scenes]),
        T_world_camera=torch.as_tensor(pose, device=device),
    )


def make_light(scenes: list[Scene], table: np.ndarray, device: torch.device) -> Light:
    """Return the light of the scenes, whose solids are in `table` (B, N, C)."""
    lamps = np.zeros((len(scenes), max(len(scene.lamps) for scene in scenes), 6))
    for lamp, scene in zip(lamps, scenes, strict=True):
        lamp[: len(scene.lamps)] = scene.lamps
    ambient, views = np.stack([scene.ambient for scene in scenes]), [scene.lamp_view for scene in scenes]
    return Light([scene.layout for scene in scenes], table, lamps, ambient, views, device)


def _develop(scenes: list[Scene], linear: Tensor, depth: Tensor, rays: Rays, effects: bool) -> Tensor:
    images = []
    for index, scene in enumerate(scenes):
        image = linear[:, index]
        if not effects:
            images.append(quantise(curve(image * exposure(image))))
            continue
        if scene.fog:
            image = scene.fog.over(image, depth[index] * rays.squared[index].sqrt())
        images.append(scene.film.develop(image))
    return torch.stack(images)
