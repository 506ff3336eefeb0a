"""Points from many views with known poses: linear first, then Gauss-Newton, all points at once.

A point is held as (a, b, rho) in a reference camera's optical frame: the ray (a, b, 1) and the inverse depth
rho in 1/m (Civera et al., Inverse Depth Parametrization for Monocular SLAM, T-RO 2008). Camera i sees it along
h = R_i (a, b, 1) + rho t_i with T_i_reference = [R_i | t_i], which stays well conditioned for points far away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.records import Intrinsics

ITERATIONS = 3
HUBER_PX = 1.5  # residuals beyond this weigh less, as 1 / r (Huber)
_DAMPING = 1e-9


@dataclass(frozen=True, eq=False)
class Triangulation:
    """N points in the reference camera's frame, and how well each is fixed.

    `points_m` (N, 3) float64; `inverse_depth` (N,) in 1/m, not positive where the rays diverge;
    `inverse_depth_sigma` (N,) its standard deviation in 1/m for one pixel of noise in each coordinate of each
    observation; `squared_error_px2` (N,) the sum of squared residuals; `views` (N,) the number of observations;
    `parallax_deg` (N,) the widest angle at the point between the reference camera and another one that saw it;
    `in_front` (N,) whether the point lies before every camera that saw it.
    """

    points_m: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray
    squared_error_px2: np.ndarray
    views: np.ndarray
    parallax_deg: np.ndarray
    in_front: np.ndarray

    @property
    def rms_px(self) -> np.ndarray:
        """Return the root mean square distance (N,) between an observation and the point's projection."""
        return np.sqrt(self.squared_error_px2 / np.maximum(self.views, 1))

    def good(self, max_rms_px: float, min_parallax_deg: float, min_views: int = 2) -> np.ndarray:
        """Return which points (N,) bool pass the gates and lie in front of all their cameras."""
        fixed = (self.views >= min_views) & (self.parallax_deg >= min_parallax_deg)
        return fixed & self.in_front & (self.inverse_depth > 0) & (self.rms_px <= max_rms_px)


def triangulate(uv: np.ndarray, T_camera_reference: np.ndarray, intrinsics: Intrinsics) -> Triangulation:
    """Return the points that M cameras observed at `uv`; those of fewer than two views are not in front.

    uv (N, M, 2) pixels, NaN where camera m did not see point n; T_camera_reference (M, 4, 4) float64, metres,
    maps the reference frame's points into each camera's. Raises CalibrationError for shapes that do not agree.
    """
    uv = np.asarray(uv, np.float64)
    if uv.ndim != 3 or uv.shape[2] != 2 or T_camera_reference.shape != (uv.shape[1], 4, 4):
        raise CalibrationError(
            f"observations of shape {uv.shape} and poses of shape {T_camera_reference.shape}; "
            "triangulation takes (N, M, 2) and (M, 4, 4)"
        )
    focal = np.array([[intrinsics.fx], [intrinsics.fy]])
    seen = np.isfinite(uv).all(axis=2)
    image = (uv.transpose(0, 2, 1) - [[intrinsics.cx], [intrinsics.cy]]) / focal
    image[np.broadcast_to(~seen[:, None], image.shape)] = 0.0
    scale = max(float(np.linalg.norm(T_camera_reference[:, :3, 3], axis=1).max(initial=0.0)), 1e-12)
    P = np.ascontiguousarray(T_camera_reference[:, :3].transpose(2, 1, 0))
    P[3] /= scale
    views = _Views(image, seen, P, focal)
    state = _linear(views)
    for _ in range(ITERATIONS):
        state = state + _step(views, state)
    return _result(views, state, scale)


@dataclass(frozen=True, eq=False)
class _Views:
    """Observations on the image plane z = 1 (N, 2, M), which exist (N, M), and the cameras, in baselines.

    `P` (4, 3, M) holds the columns of each camera's [R | t], `focal` (2, 1) pixels.
    """

    image: np.ndarray
    seen: np.ndarray
    P: np.ndarray
    focal: np.ndarray

    def linearised(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return h_2 (N, M), residuals in pixels (N, 2, M), and d(projection) / d(a, b, rho) (N, 3, 2, M) in pixels.

        Residuals and derivatives are zero where nothing was seen.
        """
        h = (_homogeneous(state) @ self.P.reshape(4, -1)).reshape(len(state), *self.P.shape[1:])
        ahead = np.where(np.abs(h[:, 2]) < 1e-9, 1e-9, h[:, 2])
        image = h[:, :2] / ahead[:, None]
        scale = self.seen[:, None] * self.focal
        dh = self.P[[0, 1, 3]]
        J = (dh[:, :2] - image[:, None] * dh[:, 2:]) * (scale / ahead[:, None])[:, None]
        return ahead, (self.image - image) * scale, J


def _homogeneous(state: np.ndarray) -> np.ndarray:
    """Return (a, b, 1, rho), (N, 4), of points (N, 3) held as (a, b, rho)."""
    return np.insert(state, 2, 1.0, axis=1)


def _linear(views: _Views) -> np.ndarray:
    """Return (a, b, rho) (N, 3) of the linear solution in the reference camera (Hartley & Zisserman 12.2).

    The homogeneous point is (a, b, 1, rho), whose third entry is 1 since the reference camera sees the point.
    """
    rows = (views.image[:, None] * views.P[:, 2:] - views.P[:, :2]) * views.seen[:, None, None]
    rows = rows.reshape(len(rows), 4, 2 * views.P.shape[2])
    A = rows[:, [0, 1, 3]]
    transposed = A.transpose(0, 2, 1)
    return -(_inverted(A @ transposed) @ (A @ rows[:, 2, :, None]))[..., 0]


def _step(views: _Views, state: np.ndarray) -> np.ndarray:
    """Return the Gauss-Newton step (N, 3) of the reprojection error under Huber weights."""
    _, residual, J = views.linearised(state)
    distance = np.hypot(residual[:, 0], residual[:, 1])
    root = np.sqrt(np.minimum(1.0, HUBER_PX / np.maximum(distance, 1e-12)))[:, None]
    J = (J * root[:, None]).reshape(len(state), 3, 2 * views.P.shape[2])
    r = (residual * root).reshape(len(state), 2 * views.P.shape[2], 1)
    return (_inverted(J @ J.transpose(0, 2, 1)) @ (J @ r))[..., 0]


def _inverted(normal: np.ndarray) -> np.ndarray:
    """Return the inverses of normal matrices (N, 3, 3), damped lest a point's depth is not observable.

    By cofactors: for many 3 x 3 matrices at once, a factorisation of each takes several times as long.
    """
    (a, b, c), (d, e), f = normal[:, 0].T, normal[:, 1, 1:].T, normal[:, 2, 2]
    damping = _DAMPING * (a + d + f) + 1e-9
    a, d, f = a + damping, d + damping, f + damping
    A, B, C, D, E, F = d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b
    return (np.stack([A, B, C, B, D, E, C, E, F], axis=1) / (a * A + b * B + c * C)[:, None]).reshape(-1, 3, 3)


def _result(views: _Views, state: np.ndarray, scale: float) -> Triangulation:
    """Return the record, with lengths back in metres."""
    ahead, residual, J = views.linearised(state)
    J = J.reshape(len(state), 3, 2 * views.P.shape[2])
    variance = _inverted(J @ J.transpose(0, 2, 1))[:, 2, 2]
    rho = state[:, 2] / scale
    ray = np.concatenate([state[:, :2], np.ones((len(state), 1))], axis=1)
    count = views.seen.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        points = ray / rho[:, None]
    return Triangulation(
        points_m=points,
        inverse_depth=rho,
        inverse_depth_sigma=np.sqrt(np.maximum(variance, 0)) / scale,
        squared_error_px2=(residual**2).sum(axis=(1, 2)),
        views=count,
        parallax_deg=_parallax(views, ray, state[:, 2]),
        in_front=(~views.seen | (ahead > 1e-6)).all(axis=1) & (count >= 2),
    )


def _parallax(views: _Views, ray: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Return the widest angle (N,) in degrees between the reference camera's ray and another observer's.

    With c the observer's centre the point lies along ray - rho c from it, and (ray - rho c) x ray = -rho (c x ray).
    """
    centres = -np.einsum("jim,im->mj", views.P[:3], views.P[3])
    x, y, z = (rho * ray.T)[:, :, None]
    u, v, w = centres.T
    sine = np.sqrt((v * z - w * y) ** 2 + (w * x - u * z) ** 2 + (u * y - v * x) ** 2)
    cosine = (ray * ray).sum(axis=1)[:, None] - (rho[:, None] * ray) @ centres.T
    angle = np.where(views.seen, np.arctan2(sine, cosine), 0.0)
    return np.degrees(angle.max(axis=1, initial=0.0))
