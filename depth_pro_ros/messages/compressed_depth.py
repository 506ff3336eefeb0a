"""Depth in a sensor_msgs/CompressedImage, as image_transport's plugin compressed_depth writes and reads it.

`format` is "ENCODING; compressedDepth png". `data` is a header of 12 bytes and a PNG of 16 bits a pixel. The header is
the plugin's C struct: int32 0 (INV_DEPTH), float32 A, float32 B, little-endian on every machine that ROS runs on.

32FC1: a pixel q of the PNG is inverse depth, Z = A / (q - B) metres, and 0 is unknown (NaN). A = d (d + 1) for the
parameter `depth_quantization` d, and B = 1 - A / `depth_max`, so that q = 1 is the farthest. With no farthest depth B
is 1, and q = 1 is A / 0 = +Inf to the same decoder: sky stays sky. What is nearer than A / (65535 - B), 15 cm for
d = 100, is written as that: a near thing stays an obstacle. A step of q is Z^2 / A metres, at 10 m 1 cm for d = 100.

16UC1: the PNG holds the millimetres as they are, A and B are 0, and 0 is all that cannot be said (messages.images).
"""

from __future__ import annotations

import math
import struct
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.messages.images import DEPTH_ENCODINGS, depth_pixels

TRANSPORT = "compressedDepth"
"""The plugin's name: what an image topic's name ends with, and the word in `format`."""
HEADER = struct.Struct("<iff")
INV_DEPTH = 0
UNKNOWN = 0
NEAREST = np.float32(65535)
BAND_ROWS = 64  # bands that stay in the processor's cache


def format_of(encoding: str) -> str:
    """Return the message's `format` for depth in `encoding`."""
    return f"{encoding}; {TRANSPORT} png"


def compressed_depth(
    depth_m: np.ndarray,
    encoding: str = "32FC1",
    depth_max_m: float = math.inf,
    depth_quantization: float = 100.0,
    png_level: int = 1,
) -> bytes:
    """Return the message's `data` for depth (H, W) float32 in metres, in `encoding` "32FC1" or "16UC1".

    What is as far as `depth_max_m` or farther is unknown to the reader; without it 32FC1 keeps +Inf. NaN and what
    is not positive is unknown. `png_level` is 0 (large) to 9 (slow). Raises ImageError for another array or encoding,
    ConfigurationError for a range, quantization or level that cannot be.
    """
    _check(depth_max_m, depth_quantization, png_level)
    pixels, a, b = depth_pixels(depth_m, encoding), 0.0, 0.0
    if encoding == "32FC1":
        a = depth_quantization * (depth_quantization + 1)
        b = 1 - a / depth_max_m
        pixels = _quantised(pixels, np.float32(a), np.float32(b), np.float32(depth_max_m))
    elif depth_max_m < math.inf:
        pixels = np.where(pixels <= depth_max_m * 1000, pixels, np.uint16(UNKNOWN))
    png = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, png_level))[1]
    return HEADER.pack(INV_DEPTH, a, b) + png.tobytes()


def decode_compressed_depth(msg: Any) -> np.ndarray:
    """Return the depth of such a message, (H, W) float32 metres, NaN where it is unknown, +Inf where it says so.

    Raises ImageError for another transport or encoding, RVL instead of PNG, and data that is damaged or cut off.
    """
    encoding, _, transport = (part.strip() for part in msg.format.partition(";"))
    # The plugin's first versions named no codec; it was PNG.
    if encoding not in DEPTH_ENCODINGS or transport not in ("", TRANSPORT, f"{TRANSPORT} png"):
        raise ImageError(
            f"format {msg.format!r} cannot be read as depth; allowed are '{format_of('32FC1')}' and "
            f"'{format_of('16UC1')}': set the publisher's parameter compressedDepth.format to png"
        )
    data = np.frombuffer(msg.data, np.uint8)
    pixels = cv2.imdecode(data[HEADER.size :], cv2.IMREAD_UNCHANGED) if len(data) > HEADER.size else None
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise ImageError(
            f"compressed depth ({msg.format!r}, {len(data)} bytes) holds no whole 16-bit PNG after its "
            f"{HEADER.size} bytes of header; check for a lossy link"
        )
    if encoding != "32FC1":
        return np.where(pixels == UNKNOWN, np.float32(np.nan), pixels * np.float32(0.001))
    _, a, b = HEADER.unpack(data[: HEADER.size].tobytes())
    with np.errstate(divide="ignore"):
        depth_m = np.float32(a) / (pixels.astype(np.float32) - np.float32(b))
    depth_m[pixels == UNKNOWN] = np.nan
    return depth_m


def _quantised(depth_m: np.ndarray, a: np.float32, b: np.float32, depth_max_m: np.float32) -> np.ndarray:
    """Return A / Z + B (H, W) uint16; rounded (the plugin cuts off), so that a reader is half a step off at most."""
    steps = np.empty(depth_m.shape, np.uint16)
    for top in range(0, len(depth_m), BAND_ROWS):
        z = depth_m[top : top + BAND_ROWS]
        known = z > 0
        if depth_max_m < np.inf:
            known &= z < depth_max_m
        with np.errstate(divide="ignore", invalid="ignore"):
            step = a / z
        step += b
        np.minimum(np.rint(step, out=step), NEAREST, out=step)
        steps[top : top + BAND_ROWS] = np.where(known, step, np.float32(UNKNOWN))
    return steps


def _check(depth_max_m: float, depth_quantization: float, png_level: int) -> None:
    """Raise ConfigurationError for settings that say nothing."""
    if not depth_max_m > 0 or not 1 <= depth_quantization <= 1000 or not 0 <= png_level <= 9:
        raise ConfigurationError(
            f"compressed depth up to {depth_max_m} m with quantization {depth_quantization} and PNG level {png_level}: "
            "the range must be positive, the quantization 1 to 1000, the level 0 to 9"
        )
