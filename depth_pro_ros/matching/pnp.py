"""A camera's pose from points in the world and their pixels (PnP): RANSAC, then robust refinement with covariance."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.geometry import motion, pinhole
from depth_pro_ros.records import Intrinsics

MIN_POINTS = 10
MIN_SHARE = 0.3  # of the points must agree on one pose, or nothing is known
LIMITS_PX = (1.0, 3.0)  # between a point's projection and its pixel, for points that agree
ENOUGH = 0.5  # of the points that agree within the strict limit
HUBER_PX = 1.0
MIN_NOISE_PX = 0.3
ITERATIONS = 8
CONFIDENCE, TRIALS = 0.999, 300


@dataclass(frozen=True, eq=False)
class PoseFit:
    """A pose `T_world_camera` (4, 4), its 6x6 covariance, and which of the points agree with it (N,) bool.

    The covariance is of (x, y, z, rotation about X, Y, Z) in the world's fixed axes, as in
    geometry_msgs/PoseWithCovariance.
    """

    T_world_camera: np.ndarray
    covariance: np.ndarray
    inliers: np.ndarray


def solve(points_world: np.ndarray, uv: np.ndarray, intrinsics: Intrinsics) -> PoseFit:
    """Return the pose from which points (N, 3) in metres are seen at `uv` (N, 2) pixels.

    A strict limit goes first, and a wider one only where too few agree: under a wide limit a compromise between the
    scene and a thing that moves in it can gather more points than the truth. Raises TrackingError when there are
    fewer than `MIN_POINTS` points, when too few agree, or when they do not fix the pose.
    """
    if len(points_world) < MIN_POINTS:
        raise TrackingError(
            f"{len(points_world)} known points in view, at least {MIN_POINTS} are needed: give the camera texture and "
            "light, move it more slowly, or turn it back to where it was"
        )
    for limit_px in LIMITS_PX:
        T_world_camera, agreeing = _ransac(points_world, uv, intrinsics, limit_px)
        if agreeing >= ENOUGH * len(points_world):
            break
    _check_share(agreeing, len(points_world))
    return refine(points_world, uv, T_world_camera, intrinsics, limit_px)


def _ransac(
    points_world: np.ndarray, uv: np.ndarray, intrinsics: Intrinsics, limit_px: float
) -> tuple[np.ndarray, int]:
    """Return the pose (4, 4) that most points agree with, and their number, 0 when there is none."""
    found, rotation, translation, agreeing = cv2.solvePnPRansac(
        points_world, uv, intrinsics.matrix, None, iterationsCount=TRIALS, reprojectionError=limit_px,
        confidence=CONFIDENCE, flags=cv2.SOLVEPNP_AP3P,
    )  # fmt: skip
    if not found or agreeing is None:
        return np.eye(4), 0
    T_camera_world = motion.rigid(motion.rotation_from_vector(rotation.ravel()), translation.ravel())
    return motion.inverse(T_camera_world), len(agreeing)


def refine(
    points_world: np.ndarray,
    uv: np.ndarray,
    T_world_camera: np.ndarray,
    intrinsics: Intrinsics,
    limit_px: float = LIMITS_PX[-1],
) -> PoseFit:
    """Return the pose near `T_world_camera` of least reprojection error under Huber weights (Gauss-Newton).

    Points farther than `limit_px` from their pixel at the start of a step take no part in it.
    """
    T = np.array(T_world_camera, np.float64)
    for _ in range(ITERATIONS):
        residual, distance = _residuals(points_world, uv, T, intrinsics)
        weight = np.where(distance <= limit_px, np.minimum(1.0, HUBER_PX / np.maximum(distance, 1e-12)), 0.0)
        root = np.sqrt(weight)[:, None]
        J = (_jacobian(points_world, T, intrinsics) * root[..., None]).reshape(-1, 6)
        step = np.linalg.lstsq(J.T @ J, J.T @ (residual * root).ravel(), rcond=None)[0]
        T[:3, 3] += step[:3]
        T[:3, :3] = motion.rotation_from_vector(step[3:]) @ T[:3, :3]
        if np.abs(step).max() < 1e-6:
            break
    residual, distance = _residuals(points_world, uv, T, intrinsics)
    inliers = distance <= limit_px
    _check_share(int(inliers.sum()), len(points_world))
    return PoseFit(T, _covariance(points_world[inliers], residual[inliers], T, intrinsics), inliers)


def _check_share(agreeing: int, points: int) -> None:
    needed = max(MIN_POINTS, round(MIN_SHARE * points))
    if agreeing < needed:
        raise TrackingError(
            f"{agreeing} of {points} points agree on a pose, at least {needed} are needed: the image is blurred, "
            "covered, or most of it moves by itself"
        )


def _residuals(
    points_world: np.ndarray, uv: np.ndarray, T: np.ndarray, intrinsics: Intrinsics
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel residuals (N, 2), and their lengths (N,), infinite behind the camera."""
    points = (points_world - T[:3, 3]) @ T[:3, :3]
    residual = uv - pinhole.project(points, intrinsics)
    distance = np.linalg.norm(residual, axis=1)
    return np.nan_to_num(residual), np.where(np.isfinite(distance), distance, np.inf)


def _jacobian(points_world: np.ndarray, T: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Return d(pixel) / d(pose) (N, 2, 6) for T -> (exp(dr) R, t + dt).

    A point p = R^T (X - t) moves by dp = -R^T dt + R^T [X - t]x dr.
    """
    away = points_world - T[:3, 3]
    x, y, z = (away @ T[:3, :3]).T
    z = np.where(np.abs(z) < 1e-6, 1e-6, z)
    zero = np.zeros_like(z)
    fx, fy = intrinsics.fx, intrinsics.fy
    du_dp = np.stack([fx / z, zero, -fx * x / z**2, zero, fy / z, -fy * y / z**2], axis=1).reshape(-1, 2, 3)
    rows = du_dp @ T[:3, :3].T
    (a, b, c), (x, y, z) = rows.transpose(2, 0, 1), away.T[..., None]
    return np.concatenate([-rows, np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=2)], axis=2)


def _covariance(points_world: np.ndarray, residual: np.ndarray, T: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Return s^2 (J^T J)^-1 (6, 6) with s^2 from the residuals; raises TrackingError when J^T J is singular."""
    J = _jacobian(points_world, T, intrinsics).reshape(-1, 6)
    variance = max(MIN_NOISE_PX**2, float((residual**2).sum()) / max(1, 2 * len(points_world) - 6))
    normal = J.T @ J
    if np.linalg.cond(normal) > 1e14:
        raise TrackingError(
            f"the {len(points_world)} points in view lie too close together to fix a pose: show the camera more of "
            "its surroundings"
        )
    return variance * np.linalg.inv(normal)
