"""Where the camera was when an image was taken: odometry between whose stamps it falls, or TF."""

from __future__ import annotations

import importlib
from collections import deque
from typing import Protocol

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image

from depth_pro_ros.errors import ConfigurationError, TrackingError
from depth_pro_ros.geometry import motion
from depth_pro_ros.ros.odometry_messages import pose_from_message
from depth_pro_ros.ros.stamps import nanoseconds

KEPT_POSES = 1000
RESTART_NS = 1_000_000_000  # a stamp this far back is a bag that starts again


class CameraPoses(Protocol):
    """Gives the pose of an image; `missing` says in words what is waited for."""

    missing: str

    def find(self, image: Image) -> np.ndarray | None:
        """Return `T_world_camera` (4, 4), or None while it may still come; raises TrackingError when it cannot."""


class OdometryPoses:
    """The last poses of an odometry, interpolated: position linearly, rotation along the shortest arc."""

    def __init__(self, T_base_camera: np.ndarray, max_gap_s: float) -> None:
        """Take the camera's `T_base_camera` (4, 4) in the odometry's child frame; longer gaps are not bridged."""
        self._T_base_camera = T_base_camera
        self._max_gap_ns = round(max_gap_s * 1e9)
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=KEPT_POSES)
        self.child_frame = ""
        self.missing = "no odometry has come: check the topic's name and its publisher"

    def add(self, message: Odometry) -> None:
        """Take a pose; raises CalibrationError for an orientation that is none."""
        stamp, T_world_base = nanoseconds(message.header), pose_from_message(message.pose.pose)
        if self._poses and stamp < self._poses[-1][0] - RESTART_NS:
            self._poses.clear()
        if not self._poses or stamp > self._poses[-1][0]:
            self._poses.append((stamp, T_world_base))
        self.child_frame = message.child_frame_id
        self.missing = "the odometry has stopped, or is later than 'pose_timeout': check its publisher"

    def find(self, image: Image) -> np.ndarray | None:
        """Return the pose at the image's stamp; None while the odometry has not got there."""
        stamp = nanoseconds(image.header)
        if not self._poses or stamp > self._poses[-1][0]:
            return None
        later = next(index for index, (time, _) in enumerate(self._poses) if time >= stamp)
        time, T_world_base = self._poses[later]
        if time != stamp:
            T_world_base = self._between(later, stamp)
        return motion.compose(T_world_base, self._T_base_camera)

    def _between(self, later: int, stamp: int) -> np.ndarray:
        after_ns, after = self._poses[later]
        if later == 0:
            raise TrackingError(
                f"the image is {(after_ns - stamp) / 1e6:.0f} ms older than any odometry: start the odometry first, "
                "and check that both use the same clock"
            )
        before_ns, before = self._poses[later - 1]
        if after_ns - before_ns > self._max_gap_ns:
            raise TrackingError(
                f"the odometry has a gap of {(after_ns - before_ns) / 1e9:.2f} s about the image, 'pose_max_gap' "
                f"allows {self._max_gap_ns / 1e9:g}: check its rate"
            )
        return interpolate(before, after, (stamp - before_ns) / (after_ns - before_ns))


def interpolate(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Return the pose (4, 4) at `share` of the way: position linear, rotation at constant speed (slerp)."""
    turn = motion.vector_from_rotation(before[:3, :3].T @ after[:3, :3])
    R = before[:3, :3] @ motion.rotation_from_vector(share * turn)
    return motion.rigid(R, (1 - share) * before[:3, 3] + share * after[:3, 3])


class TfPoses:
    """The image's own frame in `world_frame`, from TF, which interpolates by itself. Needs tf2_ros."""

    def __init__(self, node: Node, world_frame: str) -> None:
        """Listen to TF; raises ConfigurationError where tf2_ros is not installed."""
        try:
            self._tf2_ros = importlib.import_module("tf2_ros")
        except ImportError as error:
            raise ConfigurationError(
                f"parameter 'pose_source' is tf, but tf2_ros cannot be imported ({error}): install the distribution's "
                "tf2_ros_py, or set pose_source to odometry"
            ) from error
        self._buffer = self._tf2_ros.Buffer()
        self._listener = self._tf2_ros.TransformListener(self._buffer, node)
        self._world_frame = world_frame
        self.missing = "TF has not been asked yet"

    def find(self, image: Image) -> np.ndarray | None:
        """Return the pose at the image's stamp; None while TF does not have it, for the reason in `missing`."""
        try:
            found = self._buffer.lookup_transform(
                self._world_frame, image.header.frame_id, Time.from_msg(image.header.stamp)
            )
        except self._tf2_ros.TransformException as error:
            self.missing = f"TF from {image.header.frame_id!r} to {self._world_frame!r}: {error}"
            return None
        t, q = found.transform.translation, found.transform.rotation
        return motion.rigid(motion.rotation_from_quaternion([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z]))
