"""Images brought together with the poses of their stamps, which may come later than the images."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from nav_msgs.msg import Odometry

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.ros.camera_poses import CameraPoses

if TYPE_CHECKING:  # map_node uses this without the network, and so without PyTorch
    from depth_pro_ros.ros.depth_pipeline import ImageMessage

WAITING = 30  # images that wait for their pose


class PosedImages:
    """Images that wait for their poses, handed on in the order in which they came. All calls are on one thread.

    `hand_on` gets an image and its `T_world_camera` (4, 4), `give_up` the reason why an image will have none.
    """

    def __init__(
        self,
        poses: CameraPoses,
        timeout_s: float,
        hand_on: Callable[[ImageMessage, np.ndarray], None],
        give_up: Callable[[str], None],
    ) -> None:
        self._poses, self._timeout_s = poses, timeout_s
        self._hand_on, self._give_up = hand_on, give_up
        self._waiting: deque[tuple[float, ImageMessage]] = deque()

    def add(self, image: ImageMessage) -> None:
        """Take an image."""
        self._waiting.append((time.monotonic(), image))
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._give_up(f"more than {WAITING} images wait for their poses: {self._poses.missing}")
        self.match()

    def tell(self, message: Odometry) -> None:
        """Take a pose of the odometry."""
        try:
            self._poses.add(message)
        except DepthProError as error:
            self._give_up(f"odometry refused: {error}")
        self.match()

    def match(self) -> None:
        """Hand on the images whose poses are there, and give up those that have waited too long."""
        while self._waiting:
            arrived, image = self._waiting[0]
            try:
                T_world_camera = self._poses.find(image)
            except DepthProError as error:
                self._waiting.popleft()
                self._give_up(str(error))
                continue
            if T_world_camera is None and time.monotonic() - arrived < self._timeout_s:
                return
            self._waiting.popleft()
            if T_world_camera is None:
                self._give_up(f"an image waited {self._timeout_s:g} s for its pose: {self._poses.missing}")
            else:
                self._hand_on(image, T_world_camera)

    def clear(self) -> None:
        """Forget the images that wait."""
        self._waiting.clear()
