"""Image messages as pixels, and depth as the pixels of a message: every encoding's meaning stands once, in a table.

A message is whatever has the fields of sensor_msgs/Image or CompressedImage. Inside this package an image is
(H, W, 3) uint8 in RGB order. Every array returned here is a fresh one that shares no memory with its message,
so it may be kept after the message is gone. Depth is as REP 118 has it: 32FC1 in metres, or 16UC1 in millimetres
where 0 means unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.errors import ImageError


@dataclass(frozen=True)
class Encoding:
    """How one sensor_msgs encoding lies in memory and which cv2 conversion makes RGB of it.

    `rows_per_line` is 1.5 for planar 4:2:0, where half as many rows of chroma follow the luma; `multiple` is
    what width and height must be divisible by (and are at least); `in_bridge`: every cv_bridge knows it.
    """

    dtype: type[np.generic]
    channels: int
    to_rgb: int | None
    rows_per_line: float = 1.0
    multiple: tuple[int, int] = (1, 1)
    in_bridge: bool = True

    @property
    def pixel_bytes(self) -> int:
        """Return the bytes from one pixel of a row to the next."""
        return np.dtype(self.dtype).itemsize * self.channels


_UYVY = Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY, multiple=(2, 1))
_YUYV = Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2, multiple=(2, 1))

# YUV is BT.601 in studio range, as OpenCV converts it. 16-bit images are taken as full scale: the high byte
# is the picture, so a camera that delivers 10 or 12 bits must shift them up (GenICam: "Msb aligned").
# OpenCV names a Bayer pattern by the 2x2 cell at (1, 1), ROS by the one at (0, 0): hence RGGB against BG.
# 8UC1 and 8UC3 carry no colour meaning; they are read as OpenCV's own order, mono and BGR, as cv_bridge does.
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding(np.uint8, 3, None),
    "bgr8": Encoding(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding(np.uint8, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    "mono16": Encoding(np.uint16, 1, cv2.COLOR_GRAY2RGB),
    "8UC1": Encoding(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "bayer_rggb8": Encoding(np.uint8, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": Encoding(np.uint8, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": Encoding(np.uint8, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": Encoding(np.uint8, 1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": Encoding(np.uint16, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr16": Encoding(np.uint16, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg16": Encoding(np.uint16, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg16": Encoding(np.uint16, 1, cv2.COLOR_BayerGB2RGB),
    "yuv422": _UYVY,
    "yuv422_yuy2": _YUYV,
    "uyvy": replace(_UYVY, in_bridge=False),
    "yuyv": replace(_YUYV, in_bridge=False),
    "nv12": Encoding(np.uint8, 1, cv2.COLOR_YUV2RGB_NV12, 1.5, (2, 2), in_bridge=False),
    "nv21": Encoding(np.uint8, 1, cv2.COLOR_YUV2RGB_NV21, 1.5, (2, 2), in_bridge=False),
}

MAX_16UC1_M = 65.535

DEPTH_ENCODINGS: dict[str, Encoding] = {
    "32FC1": Encoding(np.float32, 1, None),
    "16UC1": Encoding(np.uint16, 1, None),
    "mono16": Encoding(np.uint16, 1, None),  # so older depth drivers label millimetres
}


def stored_pixels(msg: Any, encoding: Encoding) -> np.ndarray:
    """Return a view of a checked message's data, (rows, W) or (rows, W, C), or a native copy of foreign byte order."""
    wire = np.dtype(encoding.dtype).newbyteorder(">" if msg.is_bigendian else "<")
    shape = (_rows(msg, encoding), msg.width, encoding.channels)
    pixels = np.ndarray(shape, wire, msg.data, 0, (msg.step, encoding.pixel_bytes, wire.itemsize))
    return pixels.astype(encoding.dtype, copy=False)[:, :, 0] if encoding.channels == 1 else pixels


def decode_image(msg: Any, pixels_of: Callable[[Any, Encoding], np.ndarray] = stored_pixels) -> np.ndarray:
    """Return the picture of an image message, (H, W, 3) uint8 RGB, sharing no memory with the message.

    Rows may be padded (step larger than the pixels need) and data may go on after the last row. 16-bit
    images keep their high byte, in either byte order. `pixels_of` reads the stored elements of a checked message.
    Raises ImageError for an encoding outside `ENCODINGS` and for a size, step and data that do not belong together.
    """
    encoding = _find(msg, ENCODINGS)
    pixels = pixels_of(msg, encoding)
    if encoding.to_rgb is None:
        return np.array(pixels)
    rgb: np.ndarray = cv2.cvtColor(pixels, encoding.to_rgb)
    return (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb


def decode_compressed(msg: Any) -> np.ndarray:
    """Return the picture of a JPEG or PNG message, (H, W, 3) uint8 RGB.

    Alpha is dropped, 16 bits keep their high byte, and EXIF's orientation is ignored, so that pixels stay
    where camera_info says. OpenCV decodes directly, for cv_bridge's flags differ between distributions and
    some of them rotate. Raises ImageError for data that is empty, damaged or cut off.
    """
    if "compressedDepth" in msg.format:
        raise ImageError(f"format {msg.format!r} is a depth image; subscribe to the colour image's compressed topic")
    if len(msg.data) == 0:
        raise ImageError(f"a compressed image ({msg.format!r}) holds no data; check the camera driver and the link")
    try:
        bgr = cv2.imdecode(np.frombuffer(msg.data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ImageError(
            f"a compressed image ({msg.format!r}, {len(msg.data)} bytes) is unreadable: {error.err}; check the driver"
        ) from error
    if bgr is None:
        raise ImageError(
            f"a compressed image ({msg.format!r}, {len(msg.data)} bytes) is neither a whole JPEG nor a whole PNG; "
            "check for a lossy link or a driver that sends another codec"
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def decode_depth(msg: Any) -> np.ndarray:
    """Return the depth of a 32FC1 (m) or 16UC1 (mm, also labelled mono16) message, (H, W) float32 metres.

    0 in 16UC1 becomes NaN; 32FC1 keeps NaN and infinity. The array shares no memory with the message.
    Raises ImageError for another encoding and for a size, step and data that do not belong together.
    """
    pixels = stored_pixels(msg, _find(msg, DEPTH_ENCODINGS))
    if pixels.dtype == np.float32:
        return np.array(pixels)
    depth_m = pixels.astype(np.float32) * np.float32(0.001)
    depth_m[pixels == 0] = np.nan
    return depth_m


def depth_pixels(depth_m: np.ndarray, encoding: str) -> np.ndarray:
    """Return what a depth message in `encoding` holds of (H, W) float32 metres.

    "32FC1" keeps NaN (unknown) and +Inf (beyond the range). "16UC1" is rounded to millimetres and has one
    word for everything it cannot say: 0 for NaN, infinity, and depth outside 0.0005 to 65.535 m (REP 118).
    """
    if depth_m.ndim != 2 or depth_m.dtype != np.float32 or depth_m.size == 0:
        raise ImageError(f"depth of shape {depth_m.shape} and type {depth_m.dtype}; a message takes (H, W) float32")
    if encoding == "32FC1":
        return depth_m
    if encoding == "16UC1":
        return _millimetres(depth_m)
    raise ImageError(f"depth encoding {encoding!r} is not allowed; choose '32FC1' (metres) or '16UC1' (millimetres)")


def _find(msg: Any, allowed: dict[str, Encoding]) -> Encoding:
    """Return the row of `allowed` for a message whose size, step and data agree, else raise ImageError."""
    if msg.encoding not in allowed:
        raise ImageError(
            f"encoding {msg.encoding!r} is not supported here; allowed are {', '.join(allowed)}: set the camera "
            "driver's pixel format to one of them, or convert with image_proc"
        )
    encoding = allowed[msg.encoding]
    for name, length, multiple in zip(("width", "height"), (msg.width, msg.height), encoding.multiple, strict=True):
        if length < 1 or length % multiple:
            raise ImageError(
                f"{name} {length} of a {msg.width}x{msg.height} {msg.encoding} image must be positive and divisible "
                f"by {multiple}; check the driver's image size"
            )
    _check_memory(msg, encoding)
    return encoding


def _check_memory(msg: Any, encoding: Encoding) -> None:
    """Raise ImageError unless `step` holds a row of whole elements and `data` all rows."""
    row_bytes = msg.width * encoding.pixel_bytes
    item = np.dtype(encoding.dtype).itemsize
    what = f"a {msg.width}x{msg.height} {msg.encoding} image"
    if msg.step < row_bytes or msg.step % item:
        raise ImageError(
            f"step {msg.step} of {what} must be at least {row_bytes} bytes and divisible by {item}; the driver fills "
            "in step or encoding wrongly"
        )
    needed = msg.step * _rows(msg, encoding)
    if len(msg.data) < needed:
        raise ImageError(
            f"{what} with step {msg.step} needs {needed} bytes of data and has {len(msg.data)}; the message was cut "
            "off or the driver fills in height, step or encoding wrongly"
        )


def _rows(msg: Any, encoding: Encoding) -> int:
    """Return the number of rows in memory, which is 1.5 times the height for planar YUV."""
    return int(msg.height * encoding.rows_per_line)


def _millimetres(depth_m: np.ndarray) -> np.ndarray:
    """Return (H, W) uint16 millimetres, 0 where the depth is unknown or does not fit."""
    fits = (depth_m > 0) & (depth_m <= np.float32(MAX_16UC1_M))
    return np.rint(np.where(fits, depth_m, 0) * np.float32(1000)).astype(np.uint16)
