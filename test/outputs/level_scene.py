"""Depth images of boxes over a ground, ray-cast about a tilted camera: an independent reference for obstacle tests.

Coordinates are level ones at the camera's centre: x forward, y left, z up, metres.
"""

import numpy as np


def axes(roll_deg=0.0, pitch_deg=0.0):
    """Return the camera's right, down and forward axes as columns (3, 3) in level coordinates, worked out by hand.

    The camera first leans to the right by `roll_deg` about its forward axis, then looks down by `pitch_deg`.
    """
    r, p = np.radians([roll_deg, pitch_deg])
    forward = np.array([np.cos(p), 0.0, -np.sin(p)])
    up = np.array([np.sin(p), 0.0, np.cos(p)])
    right = np.array([0.0, -1.0, 0.0])
    leaning_right = np.cos(r) * right - np.sin(r) * up  # the right side goes down
    leaning_down = np.cos(r) * -up - np.sin(r) * right
    return np.column_stack([leaning_right, leaning_down, forward])


def box(bearing_deg, range_m, z=(-0.5, 0.5), width=0.4):
    """Return (low, high) corners of an upright box whose front face is centred at a bearing (left positive)."""
    b = np.radians(bearing_deg)
    x, y = range_m * np.cos(b), range_m * np.sin(b)
    return np.array([x, y - width / 2, z[0]]), np.array([x + width, y + width / 2, z[1]])


def render(camera, boxes=(), ground_z=None, roll_deg=0.0, pitch_deg=0.0):
    """Return depth (H, W) float32 along the optical axis, +Inf where a ray meets nothing."""
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], -1)
    rays = rays @ axes(roll_deg, pitch_deg).T + 1e-12  # depth along the axis is the factor on these
    depth = np.full(u.shape, np.inf)
    for low, high in boxes:
        near, far = np.sort([low / rays, high / rays], axis=0)
        near, far = near.max(axis=-1), far.min(axis=-1)
        depth = np.where((near <= far) & (near > 0), np.minimum(near, depth), depth)
    if ground_z is not None:
        below = rays[..., 2] < 0
        depth = np.where(below, np.minimum(ground_z / np.where(below, rays[..., 2], -1.0), depth), depth)
    return depth.astype(np.float32)
