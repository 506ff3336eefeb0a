"""A made-up world with exact depth: textured panels that face the camera's first pose."""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from depth_pro_ros.records import Intrinsics

CAMERA = Intrinsics(320, 240, 260.0, 260.0, 159.5, 119.5)
TEXELS_PER_M = 130.0


class Panel:
    """A rectangle at depth `z`, centred at (x, y), of `size` (width, height) in metres; grey noise, or blank."""

    def __init__(self, z, x=0.0, y=0.0, size=(12.0, 9.0), seed=0, blank=False):
        self.z, self.x, self.y, self.size = z, x, y, size
        shape = (round(size[1] * TEXELS_PER_M), round(size[0] * TEXELS_PER_M))
        random = np.random.default_rng(seed)
        octaves = [random.uniform(0, 255, (shape[0] // step + 2, shape[1] // step + 2)) for step in (5, 20, 80)]
        texture = sum(cv2.resize(grain, shape[::-1], interpolation=cv2.INTER_CUBIC) for grain in octaves)
        self.texture = np.full(shape, 128, np.uint8) if blank else np.clip(texture - 255, 0, 255).astype(np.uint8)


def pose(x=0.0, y=0.0, z=0.0, turn=(0.0, 0.0, 0.0)):
    """Return T_world_camera of a position in metres and a rotation vector in degrees."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(np.radians(turn)).as_matrix()
    T[:3, 3] = x, y, z
    return T


def view(panels, T_world_camera, camera=CAMERA):
    """Return the image (H, W) uint8 and the depth (H, W) float32 of panels, the nearest last in the list."""
    size = (camera.width, camera.height)
    gray, depth = np.zeros(size[::-1], np.uint8), np.full(size[::-1], np.nan, np.float32)
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u, float)], axis=-1)
    R, t = T_world_camera[:3, :3], T_world_camera[:3, 3]
    down = rays @ R.T
    for panel in panels:
        reach = (panel.z - t[2]) / down[..., 2]  # along the optical axis, since rays have z = 1
        hit = t + reach[..., None] * down
        column = ((hit[..., 0] - panel.x + panel.size[0] / 2) * TEXELS_PER_M).astype(np.float32)
        row = ((hit[..., 1] - panel.y + panel.size[1] / 2) * TEXELS_PER_M).astype(np.float32)
        height, width = panel.texture.shape
        on = (reach > 0) & (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
        gray[on] = cv2.remap(panel.texture, column, row, cv2.INTER_LINEAR)[on]
        depth[on] = reach[on]
    return gray, depth


ROOM = [Panel(4.0), Panel(3.0, -1.0, 0.4, (1.5, 1.6), seed=1), Panel(2.2, 0.7, -0.2, (0.9, 1.2), seed=2)]
