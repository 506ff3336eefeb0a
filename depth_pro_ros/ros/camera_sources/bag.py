"""The images of a rosbag (ROS 2 sqlite3 or mcap, ROS 1), read with rosbags, so that no rosbag2_py is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag1 import ReaderError as Ros1ReaderError
from rosbags.rosbag2 import ReaderError as Ros2ReaderError
from rosbags.typesys import Stores, get_typestore

from depth_pro_ros.errors import ImageError, SourceError
from depth_pro_ros.messages.camera_info import info_topic
from depth_pro_ros.messages.images import DEPTH_ENCODINGS
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.camera_sources.calibration_file import read_calibration
from depth_pro_ros.ros.camera_sources.frame import Calibration, CameraFrame, EncodedImage
from depth_pro_ros.ros.images import decode_compressed, decode_image

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"

_READER_ERRORS = (AnyReaderError, Ros1ReaderError, Ros2ReaderError, OSError)


class BagSource:
    """One image topic of a bag and the camera_info beside it, stamped by the messages' headers."""

    live = False
    has_depth = has_pose = has_right = False

    def __init__(
        self, path: str, topic: str = "", intrinsics: str = "", warn: Callable[[str], None] = print
    ) -> None:
        """Open the bag and choose the topic; raises SourceError without a readable image on it."""
        self._path = Path(path).expanduser()
        self._warn = warn
        self.skipped = 0
        self._fixed = read_calibration(Path(intrinsics).expanduser()) if intrinsics else None
        with self._open() as reader:
            self._topic = self._choose(reader, topic)
            count = sum(c.msgcount for c in reader.connections if c.topic == self._topic)
        self._info_topic = info_topic(self._topic)
        self.description = f"{count} images of {self._topic} in {self._path}"
        if next(self.frames(), None) is None:
            raise SourceError(f"none of the {count} images of {self._topic} in {self._path} can be read")
        self.skipped = 0

    def frames(self) -> Iterator[CameraFrame]:
        """Yield the readable images with the camera_info that came last before them (at first: the bag's first)."""
        with self._open() as reader:
            calibration = self._fixed or self._first_calibration(reader)
            topics = [c for c in reader.connections if c.topic in (self._topic, self._info_topic)]
            for connection, stamp_ns, raw in reader.messages(topics):
                message = reader.deserialize(raw, connection.msgtype)
                if connection.msgtype == INFO:
                    calibration = self._fixed or calibration_of(message)
                    continue
                try:
                    yield self._frame(message, stamp_ns, calibration)
                except ImageError as error:
                    self.skipped += 1
                    self._warn(f"skipped an image of {self._topic}: {error} ({self.skipped} so far)")

    def close(self) -> None:
        """Do nothing: each pass over the bag closes it."""

    @contextmanager
    def _open(self) -> Iterator[AnyReader]:
        """Open the bag, and name it in whatever its reader finds wrong."""
        try:
            with AnyReader([self._path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
                yield reader
        except _READER_ERRORS as error:
            raise SourceError(
                f"cannot read the bag {self._path}: {error}; set 'path' to a bag's folder (with its metadata.yaml), "
                "or repair it with 'ros2 bag reindex'"
            ) from error

    def _choose(self, reader: AnyReader, topic: str) -> str:
        """Return `topic` when it holds images, or for an empty one the first topic of colour images."""
        images = [c for c in reader.connections if c.msgtype in (IMAGE, COMPRESSED) and c.msgcount]
        names = sorted({c.topic for c in images})
        if topic and topic not in names:
            raise SourceError(f"{self._path} has no images on '{topic}'; image topics: {', '.join(names) or 'none'}")
        chosen = topic or next((c.topic for c in images if _is_colour(reader, c)), "")
        if not chosen:
            raise SourceError(f"{self._path} has no colour images; image topics: {', '.join(names) or 'none'}")
        return chosen

    def _first_calibration(self, reader: AnyReader) -> Calibration | None:
        infos = [c for c in reader.connections if c.topic == self._info_topic and c.msgtype == INFO]
        if not infos:
            return None
        _, _, raw = next(reader.messages(infos))
        return calibration_of(reader.deserialize(raw, INFO))

    def _frame(self, message: Any, bag_stamp_ns: int, calibration: Calibration | None) -> CameraFrame:
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec or bag_stamp_ns
        compressed = message.__msgtype__ == COMPRESSED
        rgb = decode_compressed(message) if compressed else decode_image(message)
        if self._fixed is not None:
            self._fixed.check_size(rgb.shape[1], rgb.shape[0], f"an image of {self._topic}")
        encoded = None if compressed else _encoded(message)
        return CameraFrame(stamp_ns, rgb, calibration, encoded=encoded, frame_id=message.header.frame_id)


def calibration_of(message: Any) -> Calibration | None:
    """Return what a CameraInfo message says, nothing changed; None when K is zero, that is, unknown."""
    k = _numbers(message, "k")
    if k[0] == 0:
        return None
    roi = message.roi
    return Calibration(
        Intrinsics(message.width, message.height, k[0], k[4], k[2], k[5]),
        message.distortion_model,
        _numbers(message, "d"),
        _numbers(message, "r"),
        _numbers(message, "p"),
        (message.binning_x, message.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height, bool(roi.do_rectify)),
    )


def _numbers(message: Any, name: str) -> tuple[float, ...]:
    """Return a matrix of CameraInfo, whose name is upper-case in ROS 1."""
    values: Sequence[float] = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return tuple(float(value) for value in values)


def _is_colour(reader: AnyReader, connection: Connection) -> bool:
    _, _, raw = next(reader.messages([connection]))
    message = reader.deserialize(raw, connection.msgtype)
    if connection.msgtype == COMPRESSED:
        return "compressedDepth" not in message.format
    return message.encoding not in DEPTH_ENCODINGS


def _encoded(message: Any) -> EncodedImage:
    data = np.asarray(message.data, np.uint8)
    return EncodedImage(message.width, message.height, message.encoding, message.is_bigendian, message.step, data)
