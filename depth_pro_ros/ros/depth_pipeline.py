"""One camera's image messages to what the network takes: decode, find the camera, rectify, follow the focal length."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Union

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.fusion import ScaleEstimate
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.geometry.distortion import Rectifier
from depth_pro_ros.inference import FocalFilter
from depth_pro_ros.records import DepthMap, Intrinsics
from depth_pro_ros.ros.camera_info import check_matches, distortion_from_info, intrinsics_from_info
from depth_pro_ros.ros.camera_infos import CameraInfos
from depth_pro_ros.ros.images import decode_compressed, decode_image
from depth_pro_ros.ros.parameters import Value

ImageMessage = Union[Image, CompressedImage]


@dataclass(frozen=True)
class Picture:
    """An image message, decoded and rectified.

    `camera` is None where the focal length is to be estimated; `valid` (H, W) bool tells where the rectified image
    shows what the camera saw, None for everywhere.
    """

    rgb: np.ndarray
    camera: Intrinsics | None
    valid: np.ndarray | None
    stages_ms: Mapping[str, float]

    def size(self, scale: float) -> tuple[int, int]:
        """Return (w, h) of the depth image at `output_scale`."""
        height, width = self.rgb.shape[:2]
        return max(1, round(width * scale)), max(1, round(height * scale))

    def blank(self, plane: np.ndarray) -> np.ndarray:
        """Return a plane (h, w) float32 of the depth's size with NaN where the image shows nothing."""
        return plane if self.valid is None else _without(plane, self.valid)


@dataclass(frozen=True)
class DepthFrame:
    """What came of one image: the (rectified) picture, its depth, the filtered focal estimate, and what fusion says."""

    rgb: np.ndarray
    depth: DepthMap
    believed_focal_px: float | None
    stages_ms: Mapping[str, float]
    sigma_relative: np.ndarray | None = None  # of `depth`, where it was fused
    scale: ScaleEstimate | None = None
    unfused: DepthMap | None = None


class DepthPipeline:
    """The steps before and after the network for one camera; `parameters` are depth_node's."""

    def __init__(self, parameters: Mapping[str, Value]):
        self._parameters = parameters
        self.infos = CameraInfos()
        self._rectifier: tuple[bytes, Rectifier] | None = None
        self.used_focal = self._focal_filter()
        self.believed_focal = self._focal_filter()
        self._since = time.monotonic()

    def _focal_filter(self) -> FocalFilter:
        return FocalFilter(int(self._parameters["focal.window"]), bool(self._parameters["focal.latch"]))

    def start(self) -> None:
        """Begin to wait for a first camera_info."""
        self._since = time.monotonic()

    def reset_focal(self) -> None:
        """Forget the estimated focal length, so that it is estimated anew."""
        self.used_focal, self.believed_focal = self._focal_filter(), self._focal_filter()

    def must_wait(self, image: ImageMessage) -> bool:
        """Return whether a first camera_info may still come, for which frames are held back."""
        if self._parameters["focal.source"] != "auto" or self.infos.find(image) is not None:
            return False
        return time.monotonic() - self._since < self._parameters["focal.camera_info_timeout"]

    def picture(self, image: ImageMessage) -> Picture:
        """Return `image` as the network sees it, with its camera; raises ImageError or CalibrationError."""
        laps: dict[str, float] = {}
        decode = decode_image if isinstance(image, Image) else decode_compressed
        rgb = _timed(laps, "decode", lambda: decode(image))
        camera, rectifier = self._camera(rgb, self.infos.find(image))
        if rectifier is None:
            return Picture(rgb, camera, None, laps)
        rgb = _timed(laps, "rectify", lambda: rectifier.rectify(rgb))
        return Picture(rgb, camera, rectifier.valid_mask, laps)

    def frame(self, picture: Picture, depth: DepthMap) -> DepthFrame:
        """Return what the network made of `picture`, NaN where the rectified image shows nothing."""
        depth = replace(depth, depth_m=picture.blank(depth.depth_m))
        believed = self._believed(depth, (picture.rgb.shape[1], picture.rgb.shape[0]))
        return DepthFrame(picture.rgb, depth, believed, {**picture.stages_ms, **depth.timings_ms})

    def _camera(self, rgb: np.ndarray, info: CameraInfo | None) -> tuple[Intrinsics | None, Rectifier | None]:
        """Return the intrinsics of the image after rectification (None: to be estimated) and what rectifies it."""
        source = self._parameters["focal.source"]
        height, width = rgb.shape[:2]
        if source == "estimate":
            return None, None
        if source == "fixed":
            return pinhole.centred(width, height, self._parameters["focal.fixed_px"]), None
        raw = bool(self._parameters["rectify"])
        camera = intrinsics_from_info(info, rectified=not raw) if info is not None else None
        if camera is None:
            if source == "camera_info":
                found = "none has come" if info is None else "its K is all zeros (uncalibrated)"
                raise CalibrationError(
                    f"focal.source is camera_info, but {found}: check the camera_info topic, calibrate the camera, "
                    "or set focal.source to auto"
                )
            return None, None
        check_matches(camera, width, height)
        rectifier = self._rectifier_for(info, width, height) if raw else None
        return (rectifier.intrinsics if rectifier else camera), rectifier

    def _rectifier_for(self, info: CameraInfo, width: int, height: int) -> Rectifier | None:
        """Return the rectifier of this calibration, kept from frame to frame; None without distortion."""
        key = b"".join(np.asarray(values, np.float64).tobytes() for values in (info.k, info.d, info.r, info.p))
        key += f"{info.distortion_model} {width}x{height}".encode()
        if self._rectifier is not None and self._rectifier[0] == key:
            return self._rectifier[1]
        distortion = distortion_from_info(info)
        if distortion is None:
            return None
        self._rectifier = (key, Rectifier(distortion, width, height))
        return self._rectifier[1]

    def _believed(self, depth: DepthMap, size: tuple[int, int]) -> float | None:
        if depth.focal_estimated_px is None:
            return None
        return self.believed_focal.update(depth.focal_estimated_px, size)


def _timed(laps: dict[str, float], stage: str, step: Callable[[], np.ndarray]) -> np.ndarray:
    start = time.perf_counter()
    result = step()
    laps[stage] = (time.perf_counter() - start) * 1e3
    return result


def _without(depth_m: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the depth with NaN where the rectified image shows nothing that the camera saw."""
    if valid.shape != depth_m.shape:
        size = (depth_m.shape[1], depth_m.shape[0])
        valid = cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return np.where(valid, depth_m, np.float32(np.nan))
