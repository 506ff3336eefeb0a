"""One image message of a bag to its prediction: decode, find the camera, rectify, infer, keep."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.cli.bag_input import COMPRESSED, INFO, deserialize
from depth_pro_ros.errors import CalibrationError, ImageError, InferenceError
from depth_pro_ros.geometry.distortion import Rectifier
from depth_pro_ros.messages.camera_info import check_matches, distortion_from_info, intrinsics_from_info
from depth_pro_ros.messages.images import decode_compressed, decode_image
from depth_pro_ros.outputs import files
from depth_pro_ros.records import Intrinsics

Focal = str | float
"""Where the focal length comes from: "auto" (camera_info, else the network), "estimate", or a number of pixels."""


@dataclass(frozen=True)
class Job:
    """An image message (CDR) with its camera_info (CDR, None: there is none), and the file for its prediction."""

    topic: str
    number: int
    msgtype: str
    raw: bytes
    info: bytes | None
    rectified: bool
    target: Path


@dataclass(frozen=True)
class Picture:
    """An image as the network sees it: (H, W, 3) uint8 RGB, undistorted.

    `camera` is None where the focal length is not known, `valid` (H, W) bool tells where undistortion found pixels,
    None for everywhere.
    """

    rgb: np.ndarray
    camera: Intrinsics | None
    valid: np.ndarray | None


class Pictures:
    """Reads image messages; the rectifier of each calibration and size is made once."""

    def __init__(self, focal: Focal) -> None:
        self._focal = focal
        self._rectifiers: dict[bytes, Rectifier | None] = {}

    def read(self, msgtype: str, raw: bytes, info: bytes | None, rectified: bool) -> Picture:
        """Return the picture of a message; raises ImageError, or CalibrationError when camera_info does not fit."""
        message = deserialize(raw, msgtype)
        rgb = decode_compressed(message) if msgtype == COMPRESSED else decode_image(message)
        if self._focal != "auto" or info is None:
            return Picture(rgb, None, None)
        height, width = rgb.shape[:2]
        calibration = deserialize(info, INFO)
        camera = intrinsics_from_info(calibration, rectified)
        if camera is None:
            return Picture(rgb, None, None)
        check_matches(camera, width, height)
        rectifier = None if rectified else self._rectifier(calibration, width, height)
        if rectifier is None:
            return Picture(rgb, camera, None)
        return Picture(rectifier.rectify(rgb), rectifier.intrinsics, rectifier.valid_mask)

    def _rectifier(self, info: Any, width: int, height: int) -> Rectifier | None:
        """Return what undistorts the images of a camera_info, None where there is nothing to do."""
        key = b"".join(np.asarray(values, np.float64).tobytes() for values in (info.k, info.d, info.r, info.p))
        key += f"{info.distortion_model} {width}x{height} {info.binning_x} {info.binning_y} {info.roi}".encode()
        if key not in self._rectifiers:
            distortion = distortion_from_info(info)
            self._rectifiers[key] = None if distortion is None else Rectifier(distortion, width, height)
        return self._rectifiers[key]


class FramePredictor:
    """Works off jobs with one predictor; `scale` is the depth's size as a share of the image's."""

    def __init__(self, predictor: Any, focal: Focal, scale: float = 1.0) -> None:
        self._predictor = predictor
        self._fixed = float(focal) if isinstance(focal, float) else None
        self._scale = scale
        self._pictures = Pictures(focal)

    @property
    def description(self) -> dict[str, Any]:
        """Return the predictor's description."""
        return dict(self._predictor.description)

    def __call__(self, job: Job) -> str | None:
        """Predict one image and write its file; return why this image cannot be done, None when it is.

        Raises OutputError when the file cannot be written, which every other image would meet as well.
        """
        try:
            picture = self._pictures.read(job.msgtype, job.raw, job.info, job.rectified)
            height, width = picture.rgb.shape[:2]
            size = (max(1, round(width * self._scale)), max(1, round(height * self._scale)))
            depth = self._predictor.predict(picture.rgb, picture.camera, self._fixed, size)
        except (ImageError, CalibrationError, InferenceError) as error:
            return str(error)
        files.make_folder(job.target.parent)
        files.write_npz(job.target, replace(depth, depth_m=blank(depth.depth_m, picture.valid)))
        return None


def blank(depth_m: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Return the depth with NaN where the undistorted image shows nothing that the camera saw."""
    if valid is None:
        return depth_m
    if valid.shape != depth_m.shape:
        size = (depth_m.shape[1], depth_m.shape[0])
        valid = cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return np.where(valid, depth_m, np.float32(np.nan))


@dataclass(frozen=True)
class Network:
    """What runs: its arguments as Predictor.load explains them."""

    weights: str
    device: str = "auto"
    precision: str = "auto"
    backend: str = "torch"
    quality: str = "full"


def load_predictor(load: Any, network: Network, log: Any) -> Any:
    """Return the predictor without a range's end, which comes when the scale is known."""
    options = asdict(network)
    return load(options.pop("weights"), **options, max_range_m=math.inf, log=log)
