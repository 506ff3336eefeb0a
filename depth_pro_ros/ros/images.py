"""Images from messages, and messages from images; what the encodings mean stands in depth_pro_ros.messages.images.

Inside this package an image is (H, W, 3) uint8 in RGB order. Every array returned here is a fresh one that
shares no memory with its message, so it may be kept after the message is gone.
"""

from __future__ import annotations

import array
import functools

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_pro_ros.errors import ImageError
from depth_pro_ros.messages import images as core
from depth_pro_ros.messages.images import DEPTH_ENCODINGS, ENCODINGS, Encoding, decode_compressed, decode_depth
from depth_pro_ros.ros.standins import CvBridge

__all__ = [
    "DEPTH_ENCODINGS",
    "ENCODINGS",
    "decode_compressed",
    "decode_depth",
    "decode_image",
    "encode_depth",
    "encode_mono",
    "encode_rgb",
]


def decode_image(msg: Image) -> np.ndarray:
    """Return the picture of an image message, (H, W, 3) uint8 RGB; see messages.images.decode_image."""
    return core.decode_image(msg, _pixels)


def encode_rgb(rgb: np.ndarray, header: Header) -> Image:
    """Return an rgb8 message of (H, W, 3) uint8 RGB under `header`, which the message refers to."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f"an array of shape {rgb.shape} and type {rgb.dtype}; an rgb8 message takes (H, W, 3) uint8")
    return _message(rgb, "rgb8", header)


def encode_mono(gray: np.ndarray, header: Header) -> Image:
    """Return a mono8 message of (H, W) uint8 under `header`, which the message refers to."""
    if gray.dtype != np.uint8 or gray.ndim != 2:
        raise ImageError(f"an array of shape {gray.shape} and type {gray.dtype}; a mono8 message takes (H, W) uint8")
    return _message(gray, "mono8", header)


def encode_depth(depth_m: np.ndarray, encoding: str, header: Header) -> Image:
    """Return a depth message of (H, W) float32 metres under `header`, which the message refers to.

    `encoding` is "32FC1" or "16UC1"; see messages.images.depth_pixels for what each can say.
    """
    return _message(core.depth_pixels(depth_m, encoding), encoding, header)


@functools.cache
def _bridge() -> CvBridge:
    """Return the one converter of this process; it holds no state but tables."""
    return CvBridge()


def _pixels(msg: Image, encoding: Encoding) -> np.ndarray:
    """Return the stored elements, (rows, W) or (rows, W, C), in native byte order, without colour conversion.

    cv_bridge reads them where it reads them right. It does not know the planar encodings, shears an image
    whose step is no multiple of the pixel, and breaks on is_bigendian under NumPy 2: these are read directly.
    """
    if encoding.in_bridge and not msg.is_bigendian and msg.step % encoding.pixel_bytes == 0:
        return _bridge().imgmsg_to_cv2(msg, "passthrough")
    return core.stored_pixels(msg, encoding)


def _message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """Return a message of the array's bytes as they are, row by row without padding.

    `array.array.frombytes` of a buffer is the fast way into `data`; a list or an ndarray is copied element-wise.
    """
    pixels = np.ascontiguousarray(pixels)
    message = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step = pixels.nbytes // pixels.shape[0]
    message.is_bigendian = 0
    data = array.array("B")
    data.frombytes(memoryview(pixels).cast("B"))
    message.data = data
    return message
