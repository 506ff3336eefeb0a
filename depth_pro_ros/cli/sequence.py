"""A folder of images of one camera, with its calibration and, where there are any, its poses.

    FOLDER/*.png or FOLDER/rgb/*.png   images, in natural order of their names
    intrinsics.json                    width, height, fx, fy, cx, cy; distortion (OpenCV's order) and
                                       distortion_model; or a camera_info YAML
    poses.txt                          NAME tx ty tz qx qy qz qw: camera-to-world, optical axes, metres (TUM RGB-D)

Calibration and poses are named on their own; they may lie anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from depth_pro_ros.cli import photos
from depth_pro_ros.errors import CalibrationError, ImageError, SourceError
from depth_pro_ros.geometry import motion, pinhole
from depth_pro_ros.geometry.distortion import COEFFICIENTS, Distortion, Rectifier
from depth_pro_ros.records import Intrinsics

ASSOCIATION_S = 0.02  # between stamps of images and poses whose names differ, as TUM's associate.py


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera: `raw` intrinsics of the images, and what undistorts them (None: they are undistorted)."""

    raw: Intrinsics
    rectifier: Rectifier | None

    @property
    def intrinsics(self) -> Intrinsics:
        """Return the intrinsics of the undistorted images."""
        return self.raw if self.rectifier is None else self.rectifier.intrinsics


def read_camera(path: Path) -> Camera:
    """Return the camera of a calibration file; raises CalibrationError, which names the file and the fault."""
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
        return _camera(data)
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CalibrationError(
            f"{path}: {type(error).__name__} {error}; it needs width, height, fx, fy, cx, cy (JSON), or is a "
            "camera_info YAML"
        ) from error
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def _camera(data: Mapping[str, Any]) -> Camera:
    """Return the camera of a parsed file."""
    if "camera_matrix" in data:
        k = [float(value) for value in data["camera_matrix"]["data"]]
        size, entries = (int(data["image_width"]), int(data["image_height"])), (k[0], k[4], k[2], k[5])
        coefficients = data.get("distortion_coefficients", {"data": ()})["data"]
    else:
        size = (int(data["width"]), int(data["height"]))
        entries = tuple(float(data[name]) for name in ("fx", "fy", "cx", "cy"))
        coefficients = data.get("distortion", ())
    raw = pinhole.check(Intrinsics(*size, *entries))
    coefficients = np.array(coefficients, np.float64)
    if not coefficients.any():
        return Camera(raw, None)
    by_count = "rational_polynomial" if len(coefficients) in COEFFICIENTS["rational_polynomial"] else "plumb_bob"
    model = data.get("distortion_model") or by_count
    return Camera(raw, Rectifier(Distortion(model, coefficients, raw.matrix, np.eye(3)), *size))


def find_images(folder: Path) -> list[Path]:
    """Return the images of `folder`, or of its subfolder rgb; raises SourceError when there are none."""
    return photos.find([folder / "rgb" if (folder / "rgb").is_dir() else folder])


def read_images(paths: list[Path], camera: Camera) -> Iterator[np.ndarray]:
    """Yield undistorted images (H, W, 3) uint8 RGB; EXIF's orientation is ignored, the calibration is of the pixels.

    Raises ImageError for a file that is no image, CalibrationError for one of another size.
    """
    for path in paths:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is None:
            raise ImageError(f"{path} cannot be read as an image: remove it from the sequence, or convert it to PNG")
        if bgr.shape[:2] != (camera.raw.height, camera.raw.width):
            raise CalibrationError(
                f"{path} is {bgr.shape[1]}x{bgr.shape[0]}, the calibration is for {camera.raw.width}x"
                f"{camera.raw.height}: calibrate at the images' size, or resize them"
            )
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        yield rgb if camera.rectifier is None else camera.rectifier.rectify(rgb)


def read_poses(path: Path) -> dict[str, np.ndarray]:
    """Return name → `T_world_camera` (4, 4) of a TUM file; raises SourceError that names the line at fault."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}): give a file of poses") from error
    poses = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *words = line.split()
        try:
            tx, ty, tz, *quaternion = (float(word) for word in words)
            R = motion.rotation_from_quaternion(np.reshape(quaternion, (4,)))
        except (ValueError, CalibrationError) as error:
            raise SourceError(f"{path}, line {number}: {line!r} is not 'NAME tx ty tz qx qy qz qw'") from error
        poses[name] = motion.rigid(R, np.array([tx, ty, tz]))
    return poses


def match_poses(paths: list[Path], poses: Mapping[str, np.ndarray]) -> list[np.ndarray | None]:
    """Return the pose of each image: its name's, else the one nearest in time within ASSOCIATION_S, else None."""
    stamps = {name: stamp for name in poses if (stamp := _number(name)) is not None}
    found = []
    for path in paths:
        name, stamp = path.stem, _number(path.stem)
        if name not in poses and stamp is not None and "." in path.stem and stamps:
            nearest = min(stamps, key=lambda other: abs(stamps[other] - stamp))
            name = nearest if abs(stamps[nearest] - stamp) <= ASSOCIATION_S else name
        found.append(poses.get(name))
    return found


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
