"""Calibration files of a stereo pair: one JSON, or a camera_info YAML of each camera.

JSON of a rectified pair: width, height, fx, fy, cx, cy, baseline_m, doffs_px (0 where the principal points agree).
JSON of a raw pair: width, height, model, and under left and right K, D, R_rect, P (OpenCV's stereoRectify).
YAML: image_width, image_height, camera_matrix, distortion_model, distortion_coefficients, rectification_matrix,
projection_matrix, as ROS's camera_calibration writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.geometry.distortion import Distortion
from depth_pro_ros.geometry.stereo import StereoCalibration, StereoRig, rectifier, rig_from_projections
from depth_pro_ros.records import Intrinsics


@dataclass(frozen=True)
class _Camera:
    """One raw camera of a pair: its lens, and P (3, 4) of its rectified image."""

    width: int
    height: int
    lens: Distortion
    P: np.ndarray


def read(paths: Sequence[Path]) -> StereoCalibration:
    """Return the calibration in one JSON file, or in the YAML files of the left and the right camera, in this order.

    Raises CalibrationError, which names the file and the fault.
    """
    names = ", ".join(map(str, paths))
    try:
        if len(paths) == 2:
            return _from_cameras([_from_yaml(_load(path)) for path in paths])
        data = _load(paths[0])
        if "left" in data and "right" in data:
            return _from_cameras([_from_json(data, side) for side in ("left", "right")])
        return _rectified(data)
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(
            f"{names}: {type(error).__name__} {error}; give one JSON (width, height, fx, fy, cx, cy, baseline_m, "
            "doffs_px; or left and right with K, D, R_rect, P), or the camera_info YAML of left and right camera"
        ) from error
    except CalibrationError as error:
        raise CalibrationError(f"{names}: {error}") from error


def _load(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CalibrationError(f"it cannot be read ({error})") from error
    if not isinstance(data, Mapping):
        raise CalibrationError(f"it holds a {type(data).__name__}; a calibration is a mapping of names to numbers")
    return data


def _rectified(data: Mapping[str, Any]) -> StereoCalibration:
    numbers = (float(data[name]) for name in ("fx", "fy", "cx", "cy"))
    left = pinhole.check(Intrinsics(int(data["width"]), int(data["height"]), *numbers))
    return StereoCalibration(StereoRig(left, float(data["baseline_m"]), float(data["doffs_px"])))


def _from_json(data: Mapping[str, Any], side: str) -> _Camera:
    camera = data[side]
    K, R, P = (np.array(camera[name], np.float64) for name in ("K", "R_rect", "P"))
    return _camera((data["width"], data["height"]), data["model"], camera["D"], (K, R, P))


def _from_yaml(data: Mapping[str, Any]) -> _Camera:
    names = ("camera_matrix", "rectification_matrix", "projection_matrix")
    matrices = tuple(np.array(data[name]["data"], np.float64).reshape(3, -1) for name in names)
    size = (data["image_width"], data["image_height"])
    return _camera(size, data["distortion_model"], data["distortion_coefficients"]["data"], matrices)


def _camera(size: tuple[Any, Any], model: str, D: Sequence[float], matrices: tuple[np.ndarray, ...]) -> _Camera:
    K, R, P = matrices
    if (K.shape, R.shape, P.shape) != ((3, 3), (3, 3), (3, 4)):
        raise CalibrationError(f"K, R, P are {K.shape}, {R.shape}, {P.shape}; they must be 3x3, 3x3 and 3x4")
    lens = Distortion(str(model), np.array(D, np.float64).ravel(), K, R, P[:, :3])
    return _Camera(int(size[0]), int(size[1]), lens, P)


def _from_cameras(cameras: Sequence[_Camera]) -> StereoCalibration:
    intrinsics = [
        pinhole.check(Intrinsics(c.width, c.height, *map(float, (c.P[0, 0], c.P[1, 1], c.P[0, 2], c.P[1, 2]))))
        for c in cameras
    ]
    rig = rig_from_projections(*intrinsics, *(float(camera.P[0, 3]) for camera in cameras))
    return StereoCalibration(rig, *(rectifier(camera.lens, camera.width, camera.height) for camera in cameras))
