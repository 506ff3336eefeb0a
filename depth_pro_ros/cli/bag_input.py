"""Reading a ROS 2 bag (sqlite3 or mcap) without ROS: its topics, the raw messages, and what each header says."""

from __future__ import annotations

import functools
import struct
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_pro_ros.errors import ConfigurationError, ImageError, SourceError

try:
    import apsw
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader, ReaderError
    from rosbags.serde import SerdeError
    from rosbags.typesys import Stores, get_typestore
    from rosbags.typesys.store import Typestore

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd  # what rosbags itself brings
except ModuleNotFoundError as error:
    raise ConfigurationError("reading bags needs the Python package rosbags: pip install rosbags") from error

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
DISPARITY = "stereo_msgs/msg/DisparityImage"

# What rosbags was seen to raise on bags that were cut short or changed in places: its own error, and those of the
# parsers and decompressors beneath it. The last ones come of lengths and ids that damage made absurd.
_DAMAGE = (ReaderError, OSError, apsw.Error, zstd.ZstdError, struct.error, EOFError, RuntimeError)
_DAMAGE += (ValueError, TypeError, KeyError, IndexError, AssertionError, MemoryError)


class Bag:
    """An open bag; make one with `open_bag`. One pass over its messages at a time."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader
        self.connections: tuple[Connection, ...] = tuple(reader.connections)
        custom = getattr(reader.storage.metadata, "custom", None)
        self.custom_data: dict[str, str] = {str(key): str(value) for key, value in (custom or {}).items()}

    @property
    def storage(self) -> str:
        """Return "mcap" or "sqlite3"."""
        names = [self.path.name] if self.path.is_file() else [file.name for file in self.path.iterdir()]
        return "mcap" if any(".mcap" in name for name in names) else "sqlite3"

    def types(self) -> dict[str, str]:
        """Return topic → message type of the topics that hold messages."""
        return {c.topic: c.msgtype for c in self.connections if c.msgcount}

    def count(self, topics: Collection[str] | None = None) -> int:
        """Return the number of messages of `topics`, of all without."""
        return sum(c.msgcount for c in self.connections if topics is None or c.topic in topics)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield (connection, receive time in ns, CDR) of `topics`, of all without, in the order of their times.

        Raises SourceError where the bag is damaged.
        """
        chosen = [c for c in self.connections if topics is None or c.topic in topics]
        return self._checked(chosen, None, None) if chosen else iter(())

    def at(self, topic: str, received_ns: int) -> Iterator[bytes]:
        """Yield the messages of `topic` that were received at that very time."""
        chosen = [c for c in self.connections if c.topic == topic]
        return (raw for _, _, raw in self._checked(chosen, received_ns, received_ns + 1))

    def _checked(
        self, connections: Sequence[Connection], start: int | None, stop: int | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield what the reader yields; its errors, and no others, become SourceError."""
        passing = self._reader.messages(connections, start, stop)
        while True:
            try:
                message = next(passing)
            except StopIteration:
                return
            except _DAMAGE as error:
                raise _unreadable(self.path, error) from error
            yield message


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag's folder, or one .mcap or .db3 file; raises SourceError for what is none or is damaged."""
    try:
        reader = Reader(path)
        reader.open()
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    try:
        yield Bag(path, reader)
    finally:
        reader.close()


def _unreadable(path: Path, error: BaseException) -> SourceError:
    """Return the error that names the bag, what is wrong, and what to do."""
    if path.suffix == ".bag" and path.exists():
        return SourceError(f"{path} is a bag of ROS 1: convert it with 'rosbags-convert --src {path} --dst FOLDER'")
    found = "it does not exist" if not path.exists() else " ".join(str(error).split()) or type(error).__name__
    return SourceError(
        f"cannot read the bag {path} ({found}): give a bag's folder with its metadata.yaml, or a .mcap or .db3 file; "
        "a damaged one may be repaired by 'ros2 bag reindex' or 'mcap recover'"
    )


@functools.cache
def typestore() -> Typestore:
    """Return the types of ROS 2's own messages; those used here have not changed since Foxy."""
    return get_typestore(Stores.ROS2_HUMBLE)


def deserialize(raw: bytes, msgtype: str) -> Any:
    """Return a message of its CDR; raises ImageError when it is cut short or of another type."""
    try:
        return typestore().deserialize_cdr(raw, msgtype)
    except (SerdeError, AssertionError) as error:
        raise ImageError(f"a {msgtype} message of {len(raw)} bytes is damaged ({error}): record it again") from error


@dataclass(frozen=True)
class Stamped:
    """A message's receive time and what its header says; `raw` is empty where only that was asked."""

    received_ns: int
    stamp_ns: int
    frame_id: str
    raw: bytes = b""

    @property
    def time_ns(self) -> int:
        """Return the stamp, or for one of zero, which says nothing, when the message was received."""
        return self.stamp_ns or self.received_ns


def stamped(raw: bytes, received_ns: int, keep: bool = False) -> Stamped:
    """Return the header that CDR of a stamped message begins with; raises ImageError when it is cut short.

    After the four bytes of encapsulation (the second tells the byte order) come sec int32, nanosec uint32, and
    frame_id as a uint32 of its length with the final zero, and the characters (OMG DDSI-RTPS 2.5, 10.2; XTYPES 7.4).
    """
    order = "<" if raw[1:2] == b"\1" else ">"
    try:
        sec, nanosec, length = struct.unpack_from(f"{order}iII", raw, 4)
        frame_id = raw[16 : 16 + max(length - 1, 0)].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise ImageError(f"a message of {len(raw)} bytes has no readable header ({error}): record it again") from error
    return Stamped(received_ns, sec * 1_000_000_000 + nanosec, frame_id, raw if keep else b"")
