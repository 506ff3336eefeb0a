"""odometry_node: images with depth in; where the camera, or the robot that carries it, has moved to out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import ConfigurationError, TrackingError
from depth_pro_ros.matching.odometry import OdometrySettings, VisualOdometry
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.calibrated_images import CalibratedImages
from depth_pro_ros.ros.frame_node import FrameNode
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.odometry_messages import mounting, odometry_message
from depth_pro_ros.ros.odometry_parameters import ODOMETRY_PARAMETERS
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stamp_pairing import StampPairer
from depth_pro_ros.ros.stamps import nanoseconds

ODOMETRY = "odometry"
PATIENCE_S = 2.0  # images without depth for this long are reported


@dataclass(frozen=True)
class RgbdPair:
    """An image and the depth that was measured with it."""

    image: Image
    depth: Image


class OdometryNode(FrameNode):
    """Tells where the camera is by its images with depth; see the README for topics and parameters.

    While the node is lost it publishes nothing and the diagnostics say so. A camera of another size, or another
    calibration, begins a new odometry.
    """

    def __init__(self) -> None:
        super().__init__("odometry_node", ODOMETRY_PARAMETERS, {ODOMETRY: Odometry})
        self._images: CalibratedImages | None = None
        self._pairer: StampPairer[Image, Image] | None = None
        self._odometry: VisualOdometry | None = None
        self._intrinsics: Intrinsics | None = None
        self._facts: Mapping[str, object] = {}
        self._paired_at = 0.0

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Read where the camera is mounted; raises ConfigurationError for a mounting on nothing."""
        self._T_base_camera = mounting(values["mounting.xyz"], values["mounting.rotation"])
        self._frames = (values["odom_frame"], values["base_frame"])
        if not values["base_frame"] and not np.array_equal(self._T_base_camera, np.eye(4)):
            raise ConfigurationError("a mounting is set, but 'base_frame' is empty: name the frame it is mounted on")
        self._images = CalibratedImages(values["rectify"])
        self._tolerance_ns = round(values["sync.tolerance"] * 1e9)
        self._settings = _settings(values)

    def release(self) -> None:
        """Let go of calibration and odometry."""
        self._images = self._pairer = self._odometry = self._intrinsics = None
        self._facts = {}

    def facts(self) -> Mapping[str, object]:
        """Return the figures of the newest pair, and how many messages had no partner."""
        unpaired = 0 if self._pairer is None else self._pairer.unpaired
        return {**self._facts, "unpaired": unpaired}

    def listen(self) -> None:
        """Subscribe, and begin at the origin."""
        self._odometry = None
        self._pairer = StampPairer(self._tolerance_ns)
        self._paired_at = time.monotonic()
        self.subscribe(CameraInfo, "camera_info", self._images.infos.add, depth=5)
        self.subscribe(Image, "image", self._on_image, depth=5)
        self.subscribe(Image, "depth", self._on_depth, depth=5)

    def _on_image(self, image: Image) -> None:
        self.health.count("received")
        self._take(self._pairer.add_left(nanoseconds(image.header), image))

    def _on_depth(self, depth: Image) -> None:
        self._take(self._pairer.add_right(nanoseconds(depth.header), depth))

    def _take(self, pair: tuple[Image, Image] | None) -> None:
        now = time.monotonic()
        if pair is not None:
            self._paired_at = now
            self.offer(RgbdPair(*pair))
        elif now - self._paired_at > PATIENCE_S:
            self._paired_at = now
            self.lose(
                "rejected",
                f"no image and depth within {self._tolerance_ns / 1e6:g} ms of each other for {PATIENCE_S:g} s: check "
                "both topics, and raise sync.tolerance if the cameras are not synchronised",
            )

    def work(self, pair: RgbdPair, live: Mapping[str, Value]) -> tuple[Header, dict[str, Any], Mapping[str, float]]:
        """Return the odometry of one image; raises TrackingError while lost."""
        header = pair.image.header
        started = time.perf_counter()
        gray, intrinsics = self._images.gray(pair.image)
        depth_m = self._images.depth(pair.depth)
        decoded = time.perf_counter()
        if self._odometry is None or intrinsics != self._intrinsics:
            self._odometry, self._intrinsics = VisualOdometry(intrinsics, self._settings), intrinsics
        try:
            estimate = self._odometry.update(gray, depth_m)
        except TrackingError as error:
            self._facts = {"tracking": "lost", "inliers": 0}
            raise TrackingError(f"lost: {error}") from error
        self._facts = {"tracking": "good", "inliers": estimate.inliers, "points": estimate.points}
        odom_frame, base_frame = self._frames
        message = odometry_message(estimate, self._T_base_camera, header, odom_frame, base_frame or header.frame_id)
        laps = {"decode": 1e3 * (decoded - started), "odometry": 1e3 * (time.perf_counter() - decoded)}
        return header, {ODOMETRY: message}, laps


def _settings(values: Mapping[str, Value]) -> OdometrySettings:
    """Return the odometry's settings from the node's parameters."""
    return OdometrySettings(
        max_tracks=values["max_tracks"],
        cell_px=values["cell"],
        keyframe_px=values["keyframe_parallax"],
        keyframe_share=values["keyframe_share"],
        min_depth_m=values["min_depth"],
        max_depth_m=values["max_depth"],
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run odometry_node as a process."""
    keep_frames()
    return run(OdometryNode, args)


if __name__ == "__main__":
    sys.exit(main())
