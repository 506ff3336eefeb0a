"""A camera device (V4L2 index or path, or a stream's address), through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from depth_pro_ros.errors import SourceError
from depth_pro_ros.ros.camera_sources.calibration_file import read_calibration
from depth_pro_ros.ros.camera_sources.frame import CameraFrame

READ_TIMEOUT_MS = 2000


class DeviceSource:
    """The frames of a device as they come, stamped with the system's clock when they are read."""

    live = True
    has_depth = has_pose = has_right = False
    skipped = 0

    def __init__(self, path: str, intrinsics: str = "", warn: Callable[[str], None] = print) -> None:
        """Open device `path` (an index, a path; empty is 0) and read one frame, or raise SourceError."""
        self._name = path or "0"
        self._warn = warn
        self._capture = cv2.VideoCapture(int(self._name) if self._name.isdigit() else self._name)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture.set(cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS)
        got, bgr = self._capture.read() if self._capture.isOpened() else (False, None)
        if not got:
            self._capture.release()
            raise SourceError(f"camera device '{self._name}' gives no image: check the cable, the index and the rights")
        self._calibration = read_calibration(Path(intrinsics).expanduser()) if intrinsics else None
        if self._calibration is not None:
            self._calibration.check_size(bgr.shape[1], bgr.shape[0], f"device '{self._name}'")
        self.description = f"device '{self._name}', {bgr.shape[1]}x{bgr.shape[0]}"

    def frames(self) -> Iterator[CameraFrame]:
        """Yield frames until the device is gone, which raises SourceError."""
        while True:
            got, bgr = self._capture.read()
            if not got:
                raise SourceError(f"camera device '{self._name}' stopped: check the cable, then configure again")
            yield CameraFrame(time.time_ns(), cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), self._calibration)

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()
