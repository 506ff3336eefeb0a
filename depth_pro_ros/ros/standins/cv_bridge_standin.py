"""Stand-in for `cv_bridge`: the three conversions between messages and OpenCV arrays, without changing encodings.

Signatures and results are those of the ROS package for `passthrough`; a conversion to another encoding is
refused, since this package converts colours itself (depth_pro_ros.ros.images).
"""

from __future__ import annotations

import array
import re
import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

_NAMED = {"mono": 1, "rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "bayer_rggb": 1, "bayer_bggr": 1}
_NAMED |= {"bayer_gbrg": 1, "bayer_grbg": 1}
_CHANNELS_8BIT = {"yuv422": 2, "yuv422_yuy2": 2, "uyvy": 2, "yuyv": 2}
_KINDS = {"U": "u", "S": "i", "F": "f"}
_TYPES = {"8U", "8S", "16U", "16S", "32S", "32F", "64F"}


class CvBridgeError(TypeError):
    """A conversion that is not possible; a TypeError, as in the ROS package."""


def _dtype_and_channels(encoding: str) -> tuple[np.dtype, int]:
    """Return the element type and channel count of a sensor_msgs encoding, named ("rgb8") or OpenCV's ("32FC1")."""
    if encoding in _CHANNELS_8BIT:
        return np.dtype(np.uint8), _CHANNELS_8BIT[encoding]
    named = re.fullmatch(r"([a-z_]+)(8|16)", encoding)
    if named and named[1] in _NAMED:
        return np.dtype(f"u{int(named[2]) // 8}"), _NAMED[named[1]]
    typed = re.fullmatch(r"((8|16|32|64)([USF]))(?:C(\d+))?", encoding)
    if typed and typed[1] in _TYPES:
        return np.dtype(f"{_KINDS[typed[3]]}{int(typed[2]) // 8}"), int(typed[4] or 1)
    raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")


def _type_name(dtype: np.dtype, channels: int) -> str:
    """Return OpenCV's name of an array's type, such as "8UC3"."""
    name = f"{dtype.itemsize * 8}{ {'u': 'U', 'i': 'S', 'f': 'F'}.get(dtype.kind, '?') }"
    if name not in _TYPES:
        raise CvBridgeError(f"arrays of {dtype} have no OpenCV type; allowed are {', '.join(sorted(_TYPES))}")
    return f"{name}C{channels}"


class CvBridge:
    """Convert between sensor_msgs images and NumPy arrays as OpenCV uses them."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """Return the message's pixels, (H, W) or (H, W, C), in native byte order; a view of its data where possible."""
        _refuse_conversion(img_msg.encoding, desired_encoding)
        dtype, channels = _dtype_and_channels(img_msg.encoding)
        wire = dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        strides = (img_msg.step, dtype.itemsize * channels, dtype.itemsize)
        data = np.asarray(img_msg.data, np.uint8) if isinstance(img_msg.data, list) else img_msg.data
        pixels = np.ndarray((img_msg.height, img_msg.width, channels), wire, data, 0, strides)
        if channels == 1:
            pixels = pixels[:, :, 0]
        return np.ascontiguousarray(pixels, dtype)

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str = "passthrough", header: Header | None = None) -> Image:
        """Return a message of the array (H, W) or (H, W, C); `encoding` must fit its type."""
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        own_type = _type_name(cvim.dtype, 1 if cvim.ndim < 3 else cvim.shape[2])
        if encoding == "passthrough":
            encoding = own_type
        elif _type_name(*_dtype_and_channels(encoding)) != own_type:
            raise CvBridgeError(f"encoding specified as {encoding}, but image has incompatible type {own_type}")
        message = Image(height=cvim.shape[0], width=cvim.shape[1], encoding=encoding)
        if header is not None:
            message.header = header
        big = cvim.dtype.byteorder == ">" or (cvim.dtype.byteorder == "=" and sys.byteorder == "big")
        message.is_bigendian = int(big and cvim.dtype.itemsize > 1)
        data = array.array("B")
        data.frombytes(np.ascontiguousarray(cvim).tobytes())
        message.data = data
        message.step = len(data) // message.height
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray | None:
        """Return the decoded picture as stored in the file, BGR for colour; None when OpenCV cannot read it."""
        _refuse_conversion("passthrough", desired_encoding)
        return cv2.imdecode(np.frombuffer(cmprs_img_msg.data, np.uint8), cv2.IMREAD_UNCHANGED)


def _refuse_conversion(found: str, desired: str) -> None:
    """Raise CvBridgeError when another encoding is asked for than the message has."""
    if desired not in ("passthrough", found):
        raise CvBridgeError(
            f"this stand-in of cv_bridge converts no encodings ({found} to {desired}): ask for 'passthrough', "
            "or install the ROS package cv_bridge"
        )
