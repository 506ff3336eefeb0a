"""The camera of RGB-D images, from this package's JSON, ROS's camera_info YAML, KITTI's and Middlebury's text files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.geometry.stereo import StereoRig
from depth_pro_ros.records import Intrinsics

NAMES = (
    "intrinsics.json",
    "camera.json",
    "calib.json",
    "camera.yaml",
    "camera.yml",
    "intrinsics.yaml",
    "camera_info.yaml",
)
NEEDS = (
    "it needs width, height, fx, fy, cx, cy, or image_width, image_height, camera_matrix.data; "
    "distortion and depth_scale are optional"
)
MODELS = ("plumb_bob", "rational_polynomial")
COUNTS = (0, 4, 5, 8)  # of their coefficients


@dataclass(frozen=True)
class Camera:
    """A pinhole with OpenCV's distortion.

    `width` and `height` are None where the file does not state them (KITTI's); `depth_scale` is the units a metre of
    its uint16 depth images, None where it is not stated.
    """

    path: Path
    width: int | None
    height: int | None
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    depth_scale: float | None = None

    def __post_init__(self) -> None:
        """Raise CalibrationError for numbers that no camera has."""
        if len(self.distortion) not in COUNTS or not all(map(math.isfinite, self.distortion)):
            raise CalibrationError(
                f"'{self.path}' has the distortion {self.distortion}; it is {', '.join(map(str, COUNTS))} finite "
                f"coefficients of {' or '.join(MODELS)}: calibrate with one of them, or undistort the images"
            )
        if self.depth_scale is not None and not (math.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise CalibrationError(
                f"'{self.path}' has depth_scale {self.depth_scale}; it is a positive number of units a metre"
            )
        try:
            self.intrinsics(1, 1)
        except CalibrationError as error:
            raise CalibrationError(f"'{self.path}': {error}") from error

    def intrinsics(self, width: int, height: int) -> Intrinsics:
        """Return the pinhole of an image whose size the file does not state; else of the stated size."""
        size = (width, height) if self.width is None or self.height is None else (self.width, self.height)
        return pinhole.check(Intrinsics(*size, self.fx, self.fy, self.cx, self.cy))

    def undistorted(self, rgb: np.ndarray, *truths: np.ndarray | None) -> tuple[Any, ...]:
        """Return the images as the pinhole alone would see them: the photo bilinear, `truths` by nearest neighbour.

        What the lens saw nothing of repeats the photo's edge and is 0 in a truth.
        """
        if not any(self.distortion):
            return rgb, *truths
        source = _source(self, rgb.shape[1], rgb.shape[0])
        photo = cv2.remap(rgb, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        nearest = (None if truth is None else cv2.remap(truth, *source, cv2.INTER_NEAREST) for truth in truths)
        return photo, *nearest


@lru_cache(maxsize=4)
def _source(camera: Camera, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each undistorted pixel its raw u and v, (H, W) float32 each."""
    matrix = camera.intrinsics(width, height).matrix
    return cv2.initUndistortRectifyMap(matrix, np.array(camera.distortion), None, matrix, (width, height), cv2.CV_32FC1)


def find_camera(folder: Path) -> Camera | None:
    """Return the camera of `folder`, None when it holds no file of one; raises CalibrationError for a faulty one."""
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return _from_mapping(path, values)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, yaml.YAMLError) as error:
        raise CalibrationError(f"'{path}': {type(error).__name__} {error}; {NEEDS}") from error


def read_camera(folder: Path) -> Camera:
    """Return the camera of `folder`; raises CalibrationError when its file is missing or faulty."""
    camera = find_camera(folder)
    if camera is None:
        raise CalibrationError(f"'{folder}' has none of {', '.join(NAMES)}: {NEEDS}")
    return camera


def _from_mapping(path: Path, values: Mapping[str, Any]) -> Camera:
    scale = values.get("depth_scale")
    if "camera_matrix" in values:
        k = [float(number) for number in values["camera_matrix"]["data"]]
        size, numbers = (values["image_width"], values["image_height"]), (k[0], k[4], k[2], k[5])
        distortion = values.get("distortion_coefficients", {}).get("data", ())
    else:
        size = values["width"], values["height"]
        numbers = float(values["fx"]), float(values["fy"]), float(values["cx"]), float(values["cy"])
        distortion = values.get("distortion", ())
    width, height = map(int, size)
    if min(width, height) < 1:
        raise CalibrationError(f"'{path}' is of a {width}x{height} image; both sides must be positive")
    distortion = tuple(map(float, distortion))
    model = values.get("distortion_model", MODELS[0])
    if any(distortion) and model not in MODELS:
        raise CalibrationError(
            f"'{path}' has the distortion model '{model}'; read are {', '.join(MODELS)}: undistort the images before"
        )
    return Camera(path, width, height, *numbers, distortion, None if scale is None else float(scale))


def read_kitti(path: Path) -> Camera:
    """Return the camera of KITTI's depth selection: K row by row, nine numbers in a line."""
    try:
        k = [float(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise CalibrationError(f"'{path}' cannot be read as nine numbers of K ({error}): replace it") from error
    if len(k) != 9:
        raise CalibrationError(f"'{path}' holds {len(k)} numbers; KITTI's are the nine of K, row by row")
    return Camera(path, None, None, k[0], k[4], k[2], k[5])


def read_middlebury(path: Path) -> StereoRig:
    """Return the pair of a calib.txt of Middlebury 2014: cam0=[f 0 cx; 0 f cy; 0 0 1], doffs, baseline in mm, size."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        values = dict(line.split("=", 1) for line in lines if line.strip())
        k = [float(word) for word in re.sub(r"[\[\];,]", " ", values["cam0"]).split()]
        size = int(values["width"]), int(values["height"])
        left = pinhole.check(Intrinsics(*size, k[0], k[4], k[2], k[5]))
        return StereoRig(left, float(values["baseline"]) / 1e3, float(values.get("doffs", 0.0)))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise CalibrationError(
            f"'{path}': {type(error).__name__} {error}; Middlebury's calib.txt has cam0=[f 0 cx; 0 f cy; 0 0 1], "
            "doffs, baseline, width and height, each in its line"
        ) from error
    except CalibrationError as error:
        raise CalibrationError(f"'{path}': {error}") from error
