"""What a depth image needs to go into the map: its pose, and the colours and sigmas of its own stamp."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from depth_pro_ros.ros.camera_poses import CameraPoses
from depth_pro_ros.ros.stamps import nanoseconds

KEPT_BYTES = 256 << 20  # a slow network's depth comes a second after its image, as 1080p that is 190 MB


class StampCache:
    """The last messages of a topic by stamp, the oldest forgotten beyond `kept_bytes` of data."""

    def __init__(self, topic: str, kept_bytes: int = KEPT_BYTES) -> None:
        self.topic, self._kept_bytes = topic, kept_bytes
        self._messages: OrderedDict[int, Image] = OrderedDict()
        self._bytes = 0

    def add(self, message: Image) -> None:
        """Take a message."""
        self._drop(nanoseconds(message.header))
        self._messages[nanoseconds(message.header)] = message
        self._bytes += len(message.data)
        while self._bytes > self._kept_bytes and len(self._messages) > 1:
            self._drop(next(iter(self._messages)))

    def _drop(self, stamp_ns: int) -> None:
        if (gone := self._messages.pop(stamp_ns, None)) is not None:
            self._bytes -= len(gone.data)

    def find(self, image: Image) -> Image | None:
        """Return the message with the stamp of `image`, None while there is none."""
        return self._messages.get(nanoseconds(image.header))

    def clear(self) -> None:
        """Forget all."""
        self._messages.clear()
        self._bytes = 0


class PosesWithCompanions:
    """The poses of depth images, each held back until the messages of its stamp are there in all `caches`."""

    def __init__(self, poses: CameraPoses, caches: tuple[StampCache, ...]) -> None:
        self._poses, self._caches = poses, caches
        self.world_frame = ""
        self._missing = ""

    @property
    def missing(self) -> str:
        """Return in words what is waited for."""
        return self._missing or self._poses.missing

    def add(self, message: Odometry) -> None:
        """Take a pose of the odometry; raises CalibrationError for an orientation that is none."""
        self._poses.add(message)
        self.world_frame = message.header.frame_id

    def find(self, image: Image) -> np.ndarray | None:
        """Return `T_world_camera` (4, 4), None while something may still come; raises TrackingError when none can."""
        T_world_camera = self._poses.find(image)
        lacking = [cache.topic for cache in self._caches if cache.find(image) is None]
        self._missing = f"no message with its stamp on {' and '.join(lacking)}" if lacking else ""
        return None if lacking else T_world_camera
