"""A video file or a camera device, through OpenCV."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from depth_pro_ros.errors import SourceError
from depth_pro_ros.ros.camera_sources.calibration_file import read_calibration
from depth_pro_ros.ros.camera_sources.frame import Calibration, CameraFrame

_FALLBACK_FPS = 30.0


def _calibration(path: str, capture: cv2.VideoCapture, origin: str) -> Calibration | None:
    """Return the calibration in the file `path`, checked against the capture's size; None for an empty path."""
    if not path:
        return None
    calibration = read_calibration(Path(path).expanduser())
    size = (int(capture.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    calibration.check_size(*size, origin)
    return calibration


class VideoSource:
    """The frames of a video file at its own rate, stamped from 0."""

    live = False
    has_depth = has_pose = has_right = False
    skipped = 0

    def __init__(self, path: str, intrinsics: str = "", warn: Callable[[str], None] = print) -> None:
        """Open the file; raises SourceError when it is missing or yields no frame."""
        self._path = Path(path).expanduser()
        if not self._path.is_file():
            raise SourceError(f"there is no video {self._path}: set 'path' to a video file")
        self._warn = warn
        capture = self._open()
        try:
            fps = capture.get(cv2.CAP_PROP_FPS)
            self._fps = fps if math.isfinite(fps) and fps > 0 else _FALLBACK_FPS
            if self._fps != fps:
                warn(f"{self._path} does not say its frame rate; played at {_FALLBACK_FPS:g} Hz unless 'rate' is set")
            self._calibration = _calibration(intrinsics, capture, str(self._path))
            if not capture.grab():
                raise SourceError(f"{self._path} holds no frame that OpenCV can decode: convert it, say to MJPEG")
        finally:
            capture.release()
        self.description = f"{self._path} at {self._fps:g} Hz"

    def frames(self) -> Iterator[CameraFrame]:
        """Yield every frame up to the file's end, or up to where it is damaged."""
        capture = self._open()
        try:
            index = 0
            while True:
                got, bgr = capture.read()
                if not got:
                    return
                rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                yield CameraFrame(round(index * 1e9 / self._fps), rgb, self._calibration)
                index += 1
        finally:
            capture.release()

    def close(self) -> None:
        """Do nothing: each pass over the file closes it."""

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise SourceError(f"OpenCV cannot open {self._path} as a video: convert it, to H.264 or MJPEG say")
        return capture
