"""The camera_infos that have come, from which each image takes its own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from sensor_msgs.msg import CameraInfo

KEPT_INFOS = 30


class CameraInfos:
    """The last camera_infos; an image takes the one of its own stamp, or else the newest."""

    def __init__(self) -> None:
        self._by_stamp: OrderedDict[tuple[int, int], CameraInfo] = OrderedDict()

    def add(self, info: CameraInfo) -> None:
        """Remember `info`, forgetting the oldest."""
        stamp = (info.header.stamp.sec, info.header.stamp.nanosec)
        self._by_stamp[stamp] = info
        self._by_stamp.move_to_end(stamp)
        while len(self._by_stamp) > KEPT_INFOS:
            self._by_stamp.popitem(last=False)

    def find(self, image: Any) -> CameraInfo | None:
        """Return the camera_info for a message with a header, None when none has come."""
        infos = self._by_stamp.copy()
        exact = infos.get((image.header.stamp.sec, image.header.stamp.nanosec))
        return exact or next(reversed(infos.values()), None)
