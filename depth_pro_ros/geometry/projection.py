"""The projection matrix P = K [R | t] (Hartley & Zisserman, 6.1 and 6.2.4), for one camera or for arrays of them.

R (..., 3, 3) and t (..., 3) take world points into the optical frame (T_camera_world); K (..., 3, 3) those to pixels.
"""

from __future__ import annotations

import numpy as np

from depth_pro_ros.errors import CalibrationError


def compose(K: np.ndarray, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return P (..., 3, 4) = K [R | t]; the leading dimensions broadcast."""
    K, R, t = (np.asarray(part, np.float64) for part in (K, R, t))
    left, right = K @ R, K @ t[..., None]
    leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    return np.concatenate([np.broadcast_to(left, (*leading, 3, 3)), np.broadcast_to(right, (*leading, 3, 1))], axis=-1)


def decompose(P: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return K (..., 3, 3), R (..., 3, 3), t (..., 3) of P (..., 3, 4), which may have any scale and sign.

    K has a positive diagonal, K[2, 2] = 1 and zeros below; R has determinant 1. P[:, :3] = K R is split by an RQ
    decomposition, made of QR with rows and columns reversed. Raises CalibrationError for a camera at infinity.
    """
    P = np.asarray(P, np.float64)
    finite = np.isfinite(P).all()
    determinant = np.linalg.det(P[..., :3]) if finite else np.float64(0)
    size = np.abs(P[..., :3]).max(axis=(-1, -2), initial=0.0)
    if not finite or (np.abs(determinant) <= 1e-12 * size**3).any():
        raise CalibrationError(f"P {P.tolist()} is no finite camera: its left 3x3 must be invertible; correct P")
    P = P * np.sign(determinant)[..., None, None]
    q, r = np.linalg.qr(np.swapaxes(P[..., ::-1, :3], -1, -2))
    K, R = np.swapaxes(r, -1, -2)[..., ::-1, ::-1], np.swapaxes(q, -1, -2)[..., ::-1, :]
    signs = np.sign(np.diagonal(K, axis1=-2, axis2=-1))
    K, R = K * signs[..., None, :], R * signs[..., :, None]
    t = np.linalg.solve(K, P[..., 3, None])[..., 0]
    return K / K[..., 2:, 2:], R, t


def centre(P: np.ndarray) -> np.ndarray:
    """Return where the camera stands, (..., 3) in world coordinates: the point with P (c, 1) = 0."""
    P = np.asarray(P, np.float64)
    return -np.linalg.solve(P[..., :3], P[..., 3, None])[..., 0]


def project(P: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """Return pixels (..., N, 2) of world points (..., N, 3) by P (..., 3, 4), NaN for those not before the camera.

    P must have the sign of `compose`, so that its third row yields depth.
    """
    P = np.asarray(P, np.float64)
    homogeneous = points_m @ np.swapaxes(P[..., :3], -1, -2) + P[..., None, :, 3]
    depth = np.where(homogeneous[..., 2:] > 0, homogeneous[..., 2:], np.nan)
    return homogeneous[..., :2] / depth
