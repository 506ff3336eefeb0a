"""Calibration files: this package's JSON, and the camera_info YAML of ROS (camera_calibration_parsers)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry.pinhole import check
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.camera_sources.frame import Calibration

NAMES = ("intrinsics.json", "camera_info.yaml")

_COUNTS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
_MM_PER_M = 1000.0


def read_calibration(path: Path) -> Calibration:
    """Return the calibration in a .json or .yaml file, or raise CalibrationError that names the file and the fault.

    JSON: width, height, fx, fy, cx, cy and, optionally, distortion (OpenCV's order) and distortion_model.
    YAML: image_width, image_height, camera_matrix, distortion_model, distortion_coefficients,
    rectification_matrix, projection_matrix, as camera_calibration writes them.
    """
    data = _load(path)
    try:
        return _from_yaml(data) if "camera_matrix" in data else _from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(
            f"{path}: {type(error).__name__} {error}; it needs width, height, fx, fy, cx, cy (JSON) or image_width, "
            "image_height, camera_matrix.data (camera_info YAML)"
        ) from error
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def read_depth_scale(path: Path) -> float:
    """Return how many units of a uint16 depth image make a metre: `depth_scale` of the JSON, else 1000 (REP 118)."""
    scale = _load(path).get("depth_scale", _MM_PER_M)
    if not isinstance(scale, (int, float)) or not math.isfinite(scale) or scale <= 0:
        raise CalibrationError(f"{path}: depth_scale is {scale!r}; it must be a positive number of units per metre")
    return float(scale)


def _load(path: Path) -> Mapping[str, Any]:
    """Return the mapping in a JSON or YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CalibrationError(f"cannot read the calibration {path}: {error}") from error
    if not isinstance(data, Mapping):
        raise CalibrationError(f"{path} holds a {type(data).__name__}; a calibration is a mapping of names to numbers")
    return data


def _from_json(data: Mapping[str, Any]) -> Calibration:
    numbers = (float(data[name]) for name in ("fx", "fy", "cx", "cy"))
    intrinsics = check(Intrinsics(int(data["width"]), int(data["height"]), *numbers))
    model, distortion = _distortion(data.get("distortion_model"), data.get("distortion", ()))
    return Calibration(intrinsics, model, distortion)


def _from_yaml(data: Mapping[str, Any]) -> Calibration:
    def matrix(name: str, count: int) -> tuple[float, ...] | None:
        if name not in data:
            return None
        values = tuple(float(value) for value in data[name]["data"])
        if len(values) != count:
            raise CalibrationError(f"{name} has {len(values)} numbers; it must have {count}")
        return values

    k = matrix("camera_matrix", 9)
    intrinsics = check(Intrinsics(int(data["image_width"]), int(data["image_height"]), k[0], k[4], k[2], k[5]))
    coefficients = data.get("distortion_coefficients", {"data": ()})["data"]
    model, distortion = _distortion(data.get("distortion_model"), coefficients)
    rectification, projection = matrix("rectification_matrix", 9), matrix("projection_matrix", 12)
    return Calibration(intrinsics, model, distortion, rectification, projection)


def _distortion(model: str | None, values: Any) -> tuple[str, tuple[float, ...]]:
    """Return (model, coefficients) with as many coefficients as the model has; four of plumb_bob imply k3 = 0."""
    coefficients = tuple(float(value) for value in values)
    if model is None:
        model = "rational_polynomial" if len(coefficients) == 8 else "plumb_bob"
    if model == "plumb_bob" and len(coefficients) == 4:
        coefficients += (0.0,)
    if coefficients and len(coefficients) != _COUNTS.get(model, len(coefficients)):
        raise CalibrationError(f"{len(coefficients)} coefficients for {model}, which has {_COUNTS[model]}")
    return model, coefficients
