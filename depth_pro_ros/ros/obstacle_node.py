"""obstacle_node: depth and an attitude in; scans of obstacles for Nav2 and for MAVROS, and the nearest one, out."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2
from std_msgs.msg import Header

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import DepthProError, ImageError
from depth_pro_ros.outputs.approach import Approach, ApproachFollower
from depth_pro_ros.outputs.layers import separate
from depth_pro_ros.outputs.level_frame import level_from_up
from depth_pro_ros.outputs.obstacles import ObstacleSettings, frd_sectors, ranges, sectors_ahead, view_from_above
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.attitudes import Attitude, attitude_from_parameters
from depth_pro_ros.ros.depth_images import DepthImages
from depth_pro_ros.ros.frame_node import FrameNode, Work
from depth_pro_ros.ros.images import encode_mono
from depth_pro_ros.ros.level_tf import LevelTf
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.obstacle_messages import frd_scan, laser_scan, level_frame_id, level_transform, nearest_cloud
from depth_pro_ros.ros.obstacle_parameters import OBSTACLE_PARAMETERS
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stamps import nanoseconds

SCAN, SCAN_FRD, NEAREST, FOREGROUND, LAYERS = "scan", "scan_frd", "nearest_obstacle", "foreground", "layers"
OUTPUTS = {SCAN: LaserScan, SCAN_FRD: LaserScan, NEAREST: PointCloud2, FOREGROUND: Image, LAYERS: Image}

Live = Mapping[str, Value]


class ObstacleNode(FrameNode):
    """Looks for obstacles in depth images; see the README for topics, frames and parameters.

    An image without an attitude near its stamp is lost, and the diagnostics say so: a scan that leans by an unknown
    angle would take the ground for a wall, or a wall for the ground.
    """

    def __init__(self) -> None:
        super().__init__("obstacle_node", OBSTACLE_PARAMETERS, OUTPUTS)
        self._depths: DepthImages | None = None
        self._attitude: Attitude | None = None
        self._follower: ApproachFollower | None = None
        self._tf: LevelTf | None = None
        self._facts: dict[str, object] = {}

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Choose where the attitude comes from; raises ConfigurationError for parameters that do not go together."""
        obstacle_settings(values)
        self._values = values
        self._attitude = attitude_from_parameters(values)
        self._depths = DepthImages()
        self._tf = LevelTf(self) if values["publish_tf"] else None

    def release(self) -> None:
        """Let go of calibration and attitude."""
        self._depths = self._attitude = self._follower = self._tf = None
        self._facts = {}

    def facts(self) -> Mapping[str, object]:
        """Return the nearest obstacle, and how the camera leans."""
        return self._facts

    def listen(self) -> None:
        """Subscribe to the depth and to the topic of the attitude; scans of before are forgotten."""
        window, speed, sure = (self._values[f"contact.{name}"] for name in ("window", "max_speed", "sure"))
        self._follower = ApproachFollower(window, speed, sure)
        self.subscribe(CameraInfo, "depth/camera_info", self._depths.infos.add, depth=5)
        self.subscribe(Image, "depth/image_rect", self._on_depth, depth=2)
        if self._values["attitude.source"] == "odometry":
            self.subscribe(Odometry, "odometry", self._on_odometry, depth=50)
        elif self._values["attitude.source"] == "imu":
            self.subscribe(Imu, "imu", self._on_imu, depth=50)

    # Callbacks, on the executor's thread.

    def _on_depth(self, depth: Image) -> None:
        self.health.count("received")
        if self.wanted():
            self.offer(depth)

    def _on_odometry(self, message: Odometry) -> None:
        try:
            self._attitude.add_odometry(message)
        except DepthProError as error:
            self.lose("rejected", f"odometry refused: {error}")

    def _on_imu(self, message: Imu) -> None:
        try:
            self._attitude.add_imu(message)
        except DepthProError as error:
            self.lose("rejected", f"imu refused: {error}")

    # One image, on the thread.

    def work(self, depth: Image, live: Live) -> Work:
        """Return the messages that are wanted of a depth image; raises TrackingError without an attitude for it."""
        started = time.perf_counter()
        depth_m, camera = self._depths.read(depth)
        up = self._attitude.find(nanoseconds(depth.header))
        self._facts = lean(up)
        decoded = time.perf_counter()
        messages = self._scans(depth_m, camera, level_from_up(up), depth.header, live)
        scanned = time.perf_counter()
        messages.update(self._layers(depth_m, depth.header, live))
        laps = {"decode": decoded - started, "scan": scanned - decoded, "layers": time.perf_counter() - scanned}
        return depth.header, messages, {stage: 1e3 * seconds for stage, seconds in laps.items()}

    def _scans(
        self, depth_m: np.ndarray, camera: Intrinsics, R_level_camera: np.ndarray, optical: Header, live: Live
    ) -> dict[str, Any]:
        """Return the scans and the nearest obstacle, as far as they are wanted."""
        wanted = self.wanted()
        if not wanted & {SCAN, SCAN_FRD, NEAREST}:
            return {}
        settings = obstacle_settings(live)
        view = view_from_above(depth_m, camera, R_level_camera, settings)
        frame_id = self._values["frame_id"] or level_frame_id(optical.frame_id)
        level = Header(stamp=optical.stamp, frame_id=frame_id)
        if self._tf is not None:
            self._tf.send(level_transform(R_level_camera, optical, frame_id))
        messages: dict[str, Any] = {}
        if wanted & {SCAN, NEAREST}:
            sectors = sectors_ahead(camera, math.radians(live["increment"]))
            found = ranges(view, sectors, settings)
            approach = self._follower.add(nanoseconds(optical), sectors, found)
            self._facts = {**self._facts, **describe(approach)}
            messages[SCAN] = laser_scan(found, sectors, settings, level)
            messages[NEAREST] = nearest_cloud(approach, level)
        if SCAN_FRD in wanted:
            sectors = frd_sectors(camera, math.radians(self._values["heading"]))
            frd = Header(stamp=optical.stamp, frame_id=f"{frame_id}_frd")
            messages[SCAN_FRD] = frd_scan(ranges(view, sectors, settings), sectors, settings, frd)
        return {topic: message for topic, message in messages.items() if topic in wanted}

    def _layers(self, depth_m: np.ndarray, header: Header, live: Live) -> dict[str, Any]:
        """Return foreground and layers; where there is nothing to separate the diagnostics say so, scans go on."""
        wanted = self.wanted() & {FOREGROUND, LAYERS}
        if not wanted:
            return {}
        try:
            layers = separate(depth_m, live["layers.count"], live["layers.foreground"] or None)
        except ImageError as error:
            self._facts = {**self._facts, "layers": f"none: {error}"}
            return {}
        self._facts = {**self._facts, "layers": len(layers.limits_m) + 1, "foreground_m": round(layers.split_m, 2)}
        pixels = {FOREGROUND: layers.foreground.astype(np.uint8) * 255, LAYERS: layers.labels}
        return {topic: encode_mono(pixels[topic], header) for topic in wanted}


def obstacle_settings(values: Live) -> ObstacleSettings:
    """Return what counts as an obstacle; raises ConfigurationError for bounds that leave nothing between them."""
    return ObstacleSettings(
        range_min_m=values["range_min"],
        range_max_m=values["range_max"],
        band_low_m=values["band.low"],
        band_high_m=values["band.high"],
        camera_height_m=values["ground.camera_height"],
        ground_tolerance_m=values["ground.tolerance"],
        ground_slope=values["ground.slope"],
        min_pixels=values["support.pixels"],
        percentile=values["support.percentile"],
        agreement=values["support.agreement"],
        stride=values["stride"],
    )


def lean(up: np.ndarray) -> dict[str, object]:
    """Return how the camera leans, for the diagnostics: degrees, down and to the right positive."""
    pitch, roll = -math.asin(up[2] / np.linalg.norm(up)), math.atan2(-up[0], -up[1])
    return {"camera_pitch_deg": round(math.degrees(pitch), 1), "camera_roll_deg": round(math.degrees(roll), 1)}


def describe(approach: Approach | None) -> dict[str, object]:
    """Return the nearest obstacle for the diagnostics."""
    if approach is None:
        return {"nearest_m": "none"}
    return {
        "nearest_m": round(approach.range_m, 2),
        "nearest_bearing_deg": round(math.degrees(approach.bearing_rad), 1),
        "closing_mps": round(approach.closing_mps, 2),
        "time_to_contact_s": round(approach.contact_s, 2),
    }


def main(args: Sequence[str] | None = None) -> int:
    """Run obstacle_node as a process."""
    keep_frames()
    return run(ObstacleNode, args)


if __name__ == "__main__":
    sys.exit(main())
