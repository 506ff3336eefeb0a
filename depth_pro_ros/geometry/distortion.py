"""Lens distortion and rectification: from a raw image to one that an ideal pinhole would have taken.

The models are those of sensor_msgs/CameraInfo: "plumb_bob" (k1 k2 p1 p2 k3; Brown), "rational_polynomial"
(k1 k2 p1 p2 k3 k4 k5 k6) and "equidistant" (k1 k2 k3 k4 on the angle; Kannala & Brandt, OpenCV's fisheye).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics

COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


@dataclass(frozen=True, eq=False)
class Distortion:
    """How a lens bends: raw pixel = K distort(R^-1 P^-1 rectified pixel), all in pixels of the delivered image.

    `coefficients` as many as `COEFFICIENTS` says for the model; K (3, 3) of the raw image; R (3, 3) rotates
    the camera's frame into the rectified one; P (3, 3) of the rectified image, or None to have one chosen.
    """

    model: str
    coefficients: np.ndarray
    K: np.ndarray
    R: np.ndarray
    P: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Raise CalibrationError for an unknown model, a wrong count, or matrices of no camera."""
        if self.model not in COEFFICIENTS:
            raise CalibrationError(
                f"distortion model {self.model!r} is not supported; allowed are {', '.join(COEFFICIENTS)}: calibrate "
                "with one of them, or rectify the image before it comes here"
            )
        count, allowed = len(self.coefficients), COEFFICIENTS[self.model]
        if count not in allowed or not np.isfinite(self.coefficients).all():
            raise CalibrationError(
                f"{self.model} with coefficients {list(self.coefficients)}; it takes {' or '.join(map(str, allowed))} "
                "finite ones: correct D of the calibration"
            )
        if not np.allclose(self.R @ self.R.T, np.eye(3), atol=1e-3) or np.linalg.det(self.R) < 0:
            raise CalibrationError(f"R {self.R.tolist()} is not a rotation: correct R of the calibration")


class Rectifier:
    """Undistorts images of one camera and size; the pixel maps are computed once.

    `intrinsics` are the rectified image's, which has the raw one's size. They are P's when the calibration
    has one. Otherwise K is zoomed to the widest view without blank pixels.
    """

    def __init__(self, distortion: Distortion, width: int, height: int) -> None:
        """Prepare for raw images of `width` x `height`; raises CalibrationError for impossible matrices."""
        size = (width, height)
        _intrinsics(distortion.K, size)
        P = _widest_without_blanks(distortion, size) if distortion.P is None else distortion.P
        self.intrinsics = _intrinsics(P, size)
        source_u, source_v = _maps(distortion, self.intrinsics.matrix, size)
        self._maps = cv2.convertMaps(source_u, source_v, cv2.CV_16SC2)
        self.valid_mask = _inside(source_u, width) & _inside(source_v, height)

    def rectify(self, rgb: np.ndarray) -> np.ndarray:
        """Return the rectified (H, W, 3) or (H, W) uint8 image, bilinear.

        Pixels that the raw image does not hold (False in `valid_mask`) repeat its nearest edge.
        """
        expected = (self.intrinsics.height, self.intrinsics.width)
        if rgb.shape[:2] != expected:
            raise ImageError(
                f"an image of {rgb.shape[1]}x{rgb.shape[0]} for a rectifier of {expected[1]}x{expected[0]}; "
                "make one rectifier for each image size"
            )
        return cv2.remap(rgb, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _intrinsics(matrix: np.ndarray, size: tuple[int, int]) -> Intrinsics:
    """Return a (3, 3) matrix as checked intrinsics."""
    entries = (float(matrix[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return pinhole.check(Intrinsics(*size, *entries))


def _maps(distortion: Distortion, P: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each rectified pixel its raw coordinates u and v, (H, W) float32 each."""
    make = cv2.fisheye.initUndistortRectifyMap if distortion.model == "equidistant" else cv2.initUndistortRectifyMap
    return make(distortion.K, distortion.coefficients, distortion.R, P, size, cv2.CV_32FC1)


def _inside(source: np.ndarray, length: int) -> np.ndarray:
    """Return where coordinates lie on the image, which spans [-0.5, length - 0.5]."""
    return (source >= -0.5) & (source <= length - 0.5)


def _widest_without_blanks(distortion: Distortion, size: tuple[int, int]) -> np.ndarray:
    """Return P (3, 3) of the widest view that needs no pixel outside the raw image.

    K is zoomed about its principal point, both axes alike: OpenCV's own choice would stretch them apart, and a
    network that learned from square pixels should see square pixels. The search comes from the narrow side,
    since far off the axis a polynomial folds back and seems to fit again.
    """
    best = None
    for zoom in 4.0 * 0.995 ** np.arange(700):
        P = distortion.K * np.array([[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]])
        if not _border_is_inside(distortion, P, size):
            break
        best = P
    if best is None:
        raise CalibrationError(
            f"no view through this {distortion.model} lens lies within its {size[0]}x{size[1]} image: fill in P of the "
            "calibration, or correct K, D and R"
        )
    return best


def _border_is_inside(distortion: Distortion, P: np.ndarray, size: tuple[int, int]) -> bool:
    """Return whether the rectified image's border, and so all of it, comes from within the raw image."""
    across, down = (np.linspace(0, length - 1, 65) for length in size)
    u = np.concatenate([across, across, np.zeros(65), np.full(65, size[0] - 1)])
    v = np.concatenate([np.zeros(65), np.full(65, size[1] - 1), down, down])
    rays = np.stack([u, v, np.ones_like(u)], axis=1) @ np.linalg.inv(P).T @ distortion.R
    project = cv2.fisheye.projectPoints if distortion.model == "equidistant" else cv2.projectPoints
    still = np.zeros((3, 1))
    raw = project(rays[:, None], still, still, distortion.K, distortion.coefficients)[0].reshape(-1, 2)
    return bool((rays[:, 2] > 0).all() and ((raw >= 0) & (raw <= np.array(size) - 1)).all())
