"""Two images of a calibrated camera without odometry: relative pose and points, up to a common scale."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.geometry.triangulation import triangulate
from depth_pro_ros.matching.window import parallax_px
from depth_pro_ros.records import Intrinsics

MIN_MATCHES = 30
MIN_PARALLAX_DEG = 1.0
MIN_PARALLAX_PX = 3.0  # beyond the rotation, below which the direction of motion is noise
MAX_REPROJECTION_PX = 1.5
MIN_SHARE = 0.5
_CONFIDENCE, _RANSAC_PX = 0.9999, 1.0


@dataclass(frozen=True, eq=False)
class TwoView:
    """`T_a_b` (4, 4): camera b in a's optical frame, its distance taken as 1; the unit of all lengths here.

    `points_a` (N, 3) in a's frame and `inliers` (N,) bool: those that the epipolar geometry, the reprojection and
    the positive depth agree on; the other points mean nothing. `parallax_deg` is the inliers' median.
    """

    T_a_b: np.ndarray
    points_a: np.ndarray
    inliers: np.ndarray
    parallax_deg: float


def relative_pose(uv_a: np.ndarray, uv_b: np.ndarray, intrinsics: Intrinsics) -> TwoView:
    """Return the motion between two images from matches (N, 2), (N, 2) in pixels, undistorted.

    Five-point essential matrix (Nister, PAMI 2004) in RANSAC (MAGSAC++, Barath et al., CVPR 2020), decomposed by
    positive depth (cheirality). The scale is unknown to two images. Raises TrackingError for too few matches, a pure
    rotation, and matches of which too few agree.
    """
    if len(uv_a) < MIN_MATCHES:
        raise TrackingError(f"{len(uv_a)} matches between two images, at least {MIN_MATCHES} are needed: more texture")
    K = intrinsics.matrix
    essential, agreeing = cv2.findEssentialMat(uv_a, uv_b, K, cv2.USAC_MAGSAC, _CONFIDENCE, _RANSAC_PX)
    if essential is None or essential.shape != (3, 3):
        raise TrackingError(f"{len(uv_a)} matches fix no epipolar geometry: take images from farther apart")
    _, R_b_a, t_b_a, _ = cv2.recoverPose(essential, uv_a, uv_b, K, mask=agreeing.copy())
    agree = agreeing.ravel().astype(bool)
    moved_px = parallax_px(uv_a[agree], uv_b[agree], R_b_a, intrinsics)
    if moved_px < MIN_PARALLAX_PX:
        raise TrackingError(
            f"between two images the camera only turned (or stood still): {moved_px:.1f} px of motion are left beside "
            f"the rotation, {MIN_PARALLAX_PX:g} are needed: move it sideways"
        )
    T_b_a = np.eye(4)
    T_b_a[:3, :3], T_b_a[:3, 3] = R_b_a, t_b_a.ravel() / np.linalg.norm(t_b_a)
    fit = triangulate(np.stack([uv_a, uv_b], axis=1), np.stack([np.eye(4), T_b_a]), intrinsics)
    good = agree & fit.good(MAX_REPROJECTION_PX, 0.0)
    if good.sum() < max(MIN_MATCHES, MIN_SHARE * len(uv_a)):
        raise TrackingError(
            f"{int(good.sum())} of {len(uv_a)} matches agree on a motion and lie in front of both cameras, at least "
            f"half are needed: the scene moves, or the images are too far apart"
        )
    parallax_deg = float(np.median(fit.parallax_deg[good]))
    if parallax_deg < MIN_PARALLAX_DEG:
        raise TrackingError(
            f"a median parallax of {parallax_deg:.2f} degrees between two images, {MIN_PARALLAX_DEG:g} are needed: "
            "take them from farther apart"
        )
    return TwoView(np.linalg.inv(T_b_a), fit.points_m, good, parallax_deg)
