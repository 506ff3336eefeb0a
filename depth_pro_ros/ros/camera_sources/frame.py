"""What every camera source yields, and what a camera source is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.records import Intrinsics, Pose


@dataclass(frozen=True)
class Calibration:
    """A camera as sensor_msgs/CameraInfo describes it: `intrinsics` are K, of the raw image.

    `rectification` is R (9 numbers, row by row) and `projection` P (12); None means an uncalibrated
    rectification, that is, the identity and K. `binning` and `roi` (x, y, width, height, do_rectify) are as in
    CameraInfo.
    """

    intrinsics: Intrinsics
    distortion_model: str = "plumb_bob"
    distortion: tuple[float, ...] = ()
    rectification: tuple[float, ...] | None = None
    projection: tuple[float, ...] | None = None
    binning: tuple[int, int] = (0, 0)
    roi: tuple[int, int, int, int, bool] = (0, 0, 0, 0, False)

    def check_size(self, width: int, height: int, origin: str) -> None:
        """Raise CalibrationError when an image of `width` x `height`, called `origin`, is of another size."""
        own = (self.intrinsics.width, self.intrinsics.height)
        if own != (width, height):
            raise CalibrationError(
                f"{origin} is {width}x{height} but the calibration is for {own[0]}x{own[1]}: "
                "calibrate at the image's size, or resize the images to the calibration's"
            )


@dataclass(frozen=True)
class EncodedImage:
    """The pixels as a sensor_msgs/Image carries them, to be published unchanged."""

    width: int
    height: int
    encoding: str
    is_bigendian: int
    step: int
    data: np.ndarray


@dataclass(frozen=True)
class CameraFrame:
    """One image: `rgb` (H, W, 3) uint8, and what its source knows about it.

    `stamp_ns` is the source's own time, of any epoch; `depth_m` (H, W) float32 metres along optical Z
    (NaN unknown); `encoded` the pixels as a bag's message has them; `right` the other image of a rectified
    stereo pair, whose projection carries the baseline.
    """

    stamp_ns: int
    rgb: np.ndarray
    calibration: Calibration | None = None
    depth_m: np.ndarray | None = None
    pose: Pose | None = None
    encoded: EncodedImage | None = None
    frame_id: str = ""
    right: CameraFrame | None = None

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Return K of the image, or None when it is unknown."""
        return None if self.calibration is None else self.calibration.intrinsics


class CameraSource(Protocol):
    """Images in order; opened and checked by its constructor, which raises SourceError or CalibrationError."""

    live: bool
    """True when the source gives frames at its own pace and each is new (a device)."""
    description: str
    """What is played, in words for the log."""
    has_depth: bool
    has_pose: bool
    has_right: bool
    skipped: int
    """How many images could not be read so far."""

    def frames(self) -> Iterator[CameraFrame]:
        """Yield the frames from the first one; may be called again after it ended."""

    def close(self) -> None:
        """Give back files and devices; no frames can be had afterwards."""
