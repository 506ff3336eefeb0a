"""Depth carried from one view to another: a forward warp in which the nearest surface wins, without a sort.

Everything is in inverse depth rho = 1 / Z, float32 in 1/m: 0 is infinitely far (sky), negative is unknown. A pixel
p = (u, v, 1) of the source lies in the target at

    q ~ M p + rho m,   M = K_target R K_source^-1,   m = K_target t,   (R, t) = T_target_source,

and rho' = rho / q_z where q_z = (M p + rho m)_z, with K's third row (0, 0, 1). At rho = 0 this is the homography
at infinity, so that the sky follows the rotation alone.

Where several source pixels meet in one target pixel the nearest must win. Pixels that can meet lie on one epipolar
line, and along it nearness grows towards the epipole (the target's centre as the source sees it) when the target
stands ahead of the source, and away from it when it stands behind. Writing the image in that order, each of the
four quadrants about the epipole by itself, lets the nearest be written last (McMillan & Bishop, Plenoptic Modeling,
SIGGRAPH 1995, section 3.4): a painter's algorithm that costs one pass of writes.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from depth_pro_ros.records import Intrinsics

UNKNOWN = np.float32(-1)
BAND_ROWS = 32  # bands that stay in the processor's cache
CRACK_STEP = 0.02  # a pixel this much farther than both its sides is a crack between them
MIXTURE = 0.05  # a pixel this much, of the nearest, farther and nearer than its neighbours lies on a softened edge
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def inverse_from_depth(depth_m: np.ndarray) -> np.ndarray:
    """Return inverse depth (H, W) float32 of metres: 0 for +Inf, UNKNOWN for NaN and for what is not positive."""
    with np.errstate(divide="ignore"):
        inverse = np.float32(1) / depth_m
    return np.where(depth_m > 0, inverse, UNKNOWN)


def depth_from_inverse(inverse: np.ndarray) -> np.ndarray:
    """Return metres (H, W) float32 of inverse depth: +Inf for 0, NaN where it is unknown."""
    with np.errstate(divide="ignore"):
        depth_m = np.float32(1) / inverse
    depth_m[inverse < 0] = np.nan
    return depth_m


def softness(inverse: np.ndarray) -> np.ndarray:
    """Return by how much inverse depth is between that of its neighbours, (H, W) float32 in 1/m; 0 off soft edges.

    A network softens the outlines of things: pixels there have a depth at which nothing is. From another viewpoint they
    part and fly about in the hole that opens beside the thing, by this times the focal length and the baseline pixels.
    """
    nearest = cv2.dilate(inverse, _NEIGHBOURS)
    farthest = cv2.erode(np.where(inverse < 0, np.float32(np.inf), inverse), _NEIGHBOURS)
    between = np.minimum(nearest - inverse, inverse - farthest)
    return np.where(between > MIXTURE * nearest, between, np.float32(0))


def warp(
    inverse: np.ndarray,
    T_target_source: np.ndarray,
    source: Intrinsics,
    target: Intrinsics,
    sigma_relative: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return inverse depth as `target` sees it, (h, w) float32, UNKNOWN where nothing lands, and sigma likewise.

    inverse (H, W) float32 belongs to `source`; T_target_source (4, 4), metres; sigma_relative (H, W) float32 or None.
    Each pixel goes to the nearest one of the target. The relative standard deviation of depth changes with the depth
    itself: dZ' / Z' = (dZ / Z) (Z / Z') (R ray)_z.
    """
    where, carried, ratio = _project(inverse, T_target_source, source, target)
    planes = [carried] if sigma_relative is None else [carried, sigma_relative * ratio]
    canvas = [np.full(target.width * target.height + 1, UNKNOWN, np.float32) for _ in planes]
    for quadrant in _far_to_near(T_target_source, source):
        flat = np.ascontiguousarray(where[quadrant], np.intp).ravel()
        for painted, plane in zip(canvas, planes, strict=True):
            painted[flat] = plane[quadrant].ravel()
    shape = (target.height, target.width)
    landed = [painted[:-1].reshape(shape) for painted in canvas]
    return landed[0], None if sigma_relative is None else landed[1]


def close_cracks(inverse: np.ndarray, sigma_relative: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return `warp`'s answer without cracks: what a surface that comes nearer shows between its pixels.

    A crack is at most a pixel wide, so that a morphological closing by 3 x 3 bridges it; it is empty, or something
    farther shines through. Outlines stay where they are. The sigma there is the largest of its neighbours'.
    """
    closed = cv2.erode(cv2.dilate(inverse, _NEIGHBOURS), _NEIGHBOURS)
    cracks = closed > np.maximum(inverse * np.float32(1 + CRACK_STEP), -np.finfo(np.float32).tiny)
    whole = np.where(cracks, closed, inverse)
    if sigma_relative is None:
        return whole, None
    return whole, np.where(cracks, cv2.dilate(sigma_relative, _NEIGHBOURS), sigma_relative)


def _project(
    inverse: np.ndarray, T_target_source: np.ndarray, source: Intrinsics, target: Intrinsics
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per source pixel its flat index in the target, its rho there, and (Z / Z') (R ray)_z.

    What leaves the view, lies behind the target, or is unknown gets the index one past the target's last pixel.
    """
    K = target.matrix
    M = K @ T_target_source[:3, :3] @ np.linalg.inv(source.matrix)
    m = (K @ T_target_source[:3, 3]).astype(np.float32)
    across = (M[:, :1] * np.arange(source.width) + M[:, 2:]).astype(np.float32)
    down = (M[:, 1:2] * np.arange(source.height)).astype(np.float32)[:, :, None]
    nowhere = target.width * target.height
    where = np.empty(inverse.shape, np.int32)
    carried, ratio = np.empty_like(inverse), np.empty_like(inverse)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for top in range(0, source.height, BAND_ROWS):
            band = slice(top, top + BAND_ROWS)
            rho = inverse[band]
            ahead = across[2] + down[2, band]
            z = ahead + rho * m[2]
            shrink = 1 / z
            u, v = (np.rint((across[i] + down[i, band] + rho * m[i]) * shrink) for i in (0, 1))
            seen = (u >= 0) & (u < target.width) & (v >= 0) & (v < target.height) & (z > 0) & (rho >= 0)
            u[~seen] = v[~seen] = 0
            index = v.astype(np.int32) * target.width + u.astype(np.int32)
            where[band] = np.where(seen, index, nowhere)
            np.multiply(rho, shrink, out=carried[band])
            np.multiply(ahead, shrink, out=ratio[band])
    return where, carried, ratio


def _far_to_near(T_target_source: np.ndarray, source: Intrinsics) -> Iterator[tuple[slice, slice]]:
    """Yield the quadrants about the epipole as (rows, columns), so that along each line the nearest comes last."""
    R, t = T_target_source[:3, :3], T_target_source[:3, 3]
    x, y, z = source.matrix @ (-R.T @ t)
    ahead = z > 0
    z = z if abs(z) > 1e-12 else 1e-12 if ahead else -1e-12
    for rows in _halves(source.height, y / z, ahead):
        for columns in _halves(source.width, x / z, ahead):
            yield rows, columns


def _halves(length: int, epipole: float, towards: bool) -> tuple[slice, slice]:
    """Return the pixels before the epipole and those from it on, each run through towards it or away from it."""
    split = int(np.clip(np.ceil(epipole), 0, length))
    before, after = slice(0, split), slice(split, length)
    return (before, _reverse(after)) if towards else (_reverse(before), after)


def _reverse(part: slice) -> slice:
    """Return the same indices in the opposite order."""
    if part.start >= part.stop:
        return slice(0, 0)
    return slice(part.stop - 1, part.start - 1 if part.start else None, -1)
