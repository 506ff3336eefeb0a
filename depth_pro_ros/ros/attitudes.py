"""Which way is up in a camera's optical frame: from fixed angles, or from the messages of an odometry or an IMU."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu

from depth_pro_ros.errors import CalibrationError, TrackingError
from depth_pro_ros.geometry import motion
from depth_pro_ros.outputs.level_frame import up_from_angles
from depth_pro_ros.ros.camera_poses import RESTART_NS
from depth_pro_ros.ros.odometry_messages import mounting
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stamps import nanoseconds

KEPT = 2000  # attitudes: ten seconds of a fast IMU, longer than any network takes

WORLD_UP = {"z": np.array([0.0, 0.0, 1.0]), "-y": np.array([0.0, -1.0, 0.0])}
"""Up in the world of the attitude: z by REP 103; -y where the world began as a level camera's optical frame."""


class Attitude(Protocol):
    """Tells which way is up."""

    def find(self, stamp_ns: int) -> np.ndarray:
        """Return up (3,) in the optical frame at this time; raises TrackingError where that is not known."""


class FixedAttitude:
    """A camera that keeps its roll and pitch."""

    def __init__(self, roll_deg: float, pitch_deg: float) -> None:
        self._up = up_from_angles(math.radians(roll_deg), math.radians(pitch_deg))

    def find(self, stamp_ns: int) -> np.ndarray:
        """Return the same up at any time."""
        return self._up


class MessageAttitude:
    """The last attitudes that a topic told, for the body that carries the camera.

    Between two of them up is interpolated; before the first or after the last one, up to `max_age_s` away, the
    nearest holds. `add` and `find` may be called on different threads.
    """

    def __init__(self, R_body_camera: np.ndarray, world_up: np.ndarray, max_age_s: float) -> None:
        """Take the camera's `R_body_camera` (3, 3) in the messages' child frame, and up (3,) in their world."""
        self._R_body_camera = R_body_camera
        self._world_up = world_up
        self._max_age_ns = round(max_age_s * 1e9)
        self._known: deque[tuple[int, np.ndarray]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add_odometry(self, message: Odometry) -> None:
        """Take an odometry's orientation; raises CalibrationError for one that is none."""
        self._add(nanoseconds(message.header), message.pose.pose.orientation)

    def add_imu(self, message: Imu) -> None:
        """Take an IMU's orientation; raises CalibrationError when it has none (REP 145: covariance[0] is -1)."""
        if message.orientation_covariance[0] == -1:
            raise CalibrationError(
                "the IMU estimates no orientation (orientation_covariance[0] is -1): put a filter such as "
                "imu_filter_madgwick behind it, or set attitude.source to odometry or fixed"
            )
        self._add(nanoseconds(message.header), message.orientation)

    def _add(self, stamp_ns: int, q: Quaternion) -> None:
        R_world_body = motion.rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w]))
        up = (R_world_body @ self._R_body_camera).T @ self._world_up
        with self._lock:
            if self._known and stamp_ns < self._known[-1][0] - RESTART_NS:
                self._known.clear()
            if not self._known or stamp_ns > self._known[-1][0]:
                self._known.append((stamp_ns, up))

    def find(self, stamp_ns: int) -> np.ndarray:
        """Return up (3,) in the optical frame at this time; raises TrackingError when no attitude is near enough."""
        with self._lock:
            before = next((known for known in reversed(self._known) if known[0] <= stamp_ns), None)
            after = next((known for known in self._known if known[0] >= stamp_ns), None)
        near = [known for known in (before, after) if known and abs(known[0] - stamp_ns) <= self._max_age_ns]
        if not near:
            raise TrackingError(self._why_none(stamp_ns, before, after))
        if len(near) == 1 or before[0] == after[0]:
            return near[0][1]
        share = (stamp_ns - before[0]) / (after[0] - before[0])
        return (1 - share) * before[1] + share * after[1]

    def _why_none(self, stamp_ns: int, *known: tuple[int, np.ndarray] | None) -> str:
        away = min((abs(one[0] - stamp_ns) for one in known if one), default=None)
        if away is None:
            return "no attitude has come: check the topic of attitude.source and its publisher"
        return (
            f"the nearest attitude is {away / 1e9:.2f} s from the image, 'attitude.max_age' allows "
            f"{self._max_age_ns / 1e9:g}: check its rate, and that both use the same clock"
        )


def attitude_from_parameters(values: Mapping[str, Value]) -> Attitude:
    """Return the attitude that the parameters `attitude.*` and `mounting.rotation` ask for."""
    if values["attitude.source"] == "fixed":
        return FixedAttitude(values["attitude.roll"], values["attitude.pitch"])
    R_body_camera = mounting("0 0 0", values["mounting.rotation"])[:3, :3]
    return MessageAttitude(R_body_camera, WORLD_UP[values["attitude.world_up"]], values["attitude.max_age"])
