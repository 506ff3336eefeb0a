"""Where camera_node's images come from: one small file per kind, each a `CameraSource`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from depth_pro_ros.errors import ConfigurationError, SourceError
from depth_pro_ros.ros.camera_sources.device import DeviceSource
from depth_pro_ros.ros.camera_sources.folder import FolderSource
from depth_pro_ros.ros.camera_sources.frame import Calibration, CameraFrame, CameraSource, EncodedImage
from depth_pro_ros.ros.camera_sources.scene import SceneSource
from depth_pro_ros.ros.camera_sources.video import VideoSource

__all__ = ["Calibration", "CameraFrame", "CameraSource", "EncodedImage", "open_source"]


def open_source(settings: Mapping[str, Any], warn: Callable[[str], None]) -> CameraSource:
    """Open the source that camera_node's parameters `settings` name.

    Raises SourceError when it yields no images, CalibrationError when its calibration cannot be used, and
    ConfigurationError for a path that is missing.
    """
    kind, path, intrinsics = settings["source"], settings["path"], settings["intrinsics"]
    if kind == "scene":
        size = settings["width"], settings["height"]
        return SceneSource(settings["seed"], *size, settings["fov_deg"], settings["rate"], settings["baseline"])
    if kind == "device":
        return DeviceSource(path, intrinsics, warn)
    if not path:
        raise ConfigurationError(f"source is '{kind}' but 'path' is empty: set it to the {kind}'s path")
    if kind == "bag":
        return _bag(path, settings["topic"], intrinsics, warn)
    return {"folder": FolderSource, "video": VideoSource}[kind](path, intrinsics, warn)


def _bag(path: str, topic: str, intrinsics: str, warn: Callable[[str], None]) -> CameraSource:
    """Open a bag; rosbags is imported only here, since robots that play none need not have it."""
    try:
        from depth_pro_ros.ros.camera_sources.bag import BagSource
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("rosbags"):
            raise
        raise SourceError("reading bags needs the Python package rosbags: pip install rosbags") from error
    return BagSource(path, topic, intrinsics, warn)
