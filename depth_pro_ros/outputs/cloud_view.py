"""Pictures of a point cloud from a chosen viewpoint: a z-buffer of small square splats, in NumPy.

Points are in metres in an optical frame (x right, y down, z forward; REP 103); the viewer is a pinhole
camera at `T_world_view`, so a cloud in its own camera's frame needs no other transform.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics

GROUND_RGB = (18, 20, 24)
NEAREST_M = 1e-3
FRAMED_SHARE = 98.0
"""Percent of the points that `framed` brings into the picture: strays must not set the distance."""

_MAX_FRAMED = 50_000

UP = (0.0, -1.0, 0.0)
"""Against the optical frame's y, which points down."""


def look_at(eye: np.ndarray, target: np.ndarray, up: Sequence[float] | np.ndarray = UP) -> np.ndarray:
    """Return `T_world_view` (4, 4) float64 of a camera at `eye` whose z axis meets `target`.

    `up` (default: against the optical frame's y, which points down) is upwards in the picture. Raises
    ConfigurationError when eye and target coincide or the view runs along `up`.
    """
    eye, target, up = (np.asarray(v, np.float64) for v in (eye, target, up))
    forward = target - eye
    right = np.cross(forward, up)
    if not np.linalg.norm(right) > 1e-12:
        raise ConfigurationError(f"no viewpoint at {eye} towards {target} with {up} upwards: choose another up or eye")
    forward = forward / np.linalg.norm(forward)
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack((right, np.cross(forward, right), forward))
    pose[:3, 3] = eye
    return pose


def render_cloud(
    points: np.ndarray, rgb: np.ndarray, T_world_view: np.ndarray, view: Intrinsics, splat_px: int = 2
) -> np.ndarray:
    """Return the picture (view.height, view.width, 3) uint8 RGB of points (N, 3) with colours (N, 3) uint8.

    Each point covers `splat_px` x `splat_px` pixels around its projection, nearer ones over farther ones;
    points behind the viewer and points with a coordinate that is not finite are left out.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    colours = np.asarray(rgb, np.uint8).reshape(-1, 3)
    known = np.isfinite(points).all(axis=1)
    seen, colours = (points[known] - T_world_view[:3, 3]) @ T_world_view[:3, :3], colours[known]  # rows: R^T (p - t)
    ahead = seen[:, 2] > NEAREST_M
    seen, colours = seen[ahead], colours[ahead]
    pixels = pinhole.project(seen, view)
    middle = np.array((view.width, view.height)) / 2
    inside = (np.abs(pixels - middle) < middle + splat_px).all(axis=1)
    order = np.argsort(-seen[inside, 2], kind="stable")  # far first: the last one written to a pixel is the nearest
    pixels, colours = pixels[inside][order], colours[inside][order]
    return _splat(pixels, colours, view.width, view.height, splat_px)


def _splat(pixels: np.ndarray, colours: np.ndarray, width: int, height: int, size: int) -> np.ndarray:
    """Return the picture with each colour written as a square of `size` pixels, in the order given."""
    first = np.ceil(pixels - size / 2).astype(np.intp)  # a square of odd size is centred on the rounded pixel
    step = np.arange(size)
    columns = first[:, None, 0] + np.tile(step, size)
    rows = first[:, None, 1] + np.repeat(step, size)
    kept = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    picture = np.full((height, width, 3), GROUND_RGB, np.uint8)
    picture[rows[kept], columns[kept]] = np.repeat(colours, size * size, axis=0)[kept.ravel()]
    return picture


def framed(
    points: np.ndarray, direction: np.ndarray, view: Intrinsics, up: Sequence[float] | np.ndarray = UP
) -> np.ndarray:
    """Return `T_world_view` that looks along `direction` from where 98 % of the points fill the picture.

    In the view's axes about the cloud's centre a point (x, y, z) is inside from a distance d back when
    |x| fx <= (z + d) width / 2, and so for y; d is the 98th percentile of what the points ask for.
    Raises ConfigurationError when no point is finite.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise ConfigurationError("a view of a cloud without a finite point was asked for: there is nothing to show")
    points = points[:: max(1, len(points) // _MAX_FRAMED)]
    pose = look_at(np.zeros(3), direction, up)
    local = points @ pose[:3, :3]
    low, high = np.percentile(local, (100 - FRAMED_SHARE, FRAMED_SHARE), axis=0)
    centre = (low + high) / 2
    sides = np.abs(local - centre) * (2 * view.fx / view.width, 2 * view.fy / view.height, 0.0)
    distance = np.percentile(sides[:, :2].max(axis=1) - (local - centre)[:, 2], FRAMED_SHARE)
    pose[:3, 3] = pose[:3, :3] @ (centre - (0.0, 0.0, max(distance, 10 * NEAREST_M)))
    return pose


def two_views(points: np.ndarray, rgb: np.ndarray, size: tuple[int, int] = (1280, 480)) -> np.ndarray:
    """Return a picture of `size` (width, height): the cloud from a raised three-quarter view, and from above.

    `points` (N, 3) or (H, W, 3) lie in a roughly level camera's optical frame, `rgb` has their colours.
    In the view from above, away from the camera is upwards. Raises ConfigurationError without points.
    """
    half, height = size[0] // 2, size[1]
    raised = pinhole.centred(half, height, 1.1 * half)
    above = pinhole.centred(size[0] - half, height, 3.0 * half)
    poses = (
        framed(points, np.array((-0.45, 0.45, 1.0)), raised),
        framed(points, np.array((0.0, 1.0, 0.0)), above, up=np.array((0.0, 0.0, 1.0))),
    )
    views = [render_cloud(points, rgb, pose, view) for pose, view in zip(poses, (raised, above), strict=True)]
    return np.hstack([fill_slits(view) for view in views])


def fill_slits(picture: np.ndarray, size: int = 9) -> np.ndarray:
    """Return the picture with gaps narrower than `size` pixels filled by the mean of what is around them.

    A surface seen at a grazing angle falls apart into rows of splats; this closes the slits between them
    for the eye. Wider gaps, which nothing was measured in, stay as they are.
    """
    drawn = (picture != GROUND_RGB).any(axis=2).astype(np.uint8)
    kernel = np.ones((size, size), np.uint8)
    border = [(size, size), (size, size)]
    closed = cv2.morphologyEx(np.pad(drawn, border), cv2.MORPH_CLOSE, kernel)[size:-size, size:-size]
    weight = drawn.astype(np.float32)
    total = cv2.blur(picture * weight[..., None], (size, size), borderType=cv2.BORDER_CONSTANT)
    share = cv2.blur(weight, (size, size), borderType=cv2.BORDER_CONSTANT)
    slits = (closed > 0) & (drawn == 0) & (share > 0)
    filled = picture.copy()
    filled[slits] = np.rint(total[slits] / share[slits, None]).astype(np.uint8)
    return filled
