"""landmark_node: images of a camera whose poses are known in; landmarks with metric depth and its sigma out."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import DepthProError, TrackingError
from depth_pro_ros.matching.landmarks import LandmarkSettings, Triangulator
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.calibrated_images import CalibratedImages
from depth_pro_ros.ros.camera_poses import CameraPoses, OdometryPoses, TfPoses
from depth_pro_ros.ros.frame_node import FrameNode
from depth_pro_ros.ros.landmark_messages import cloud_from_landmarks
from depth_pro_ros.ros.landmark_parameters import LANDMARK_PARAMETERS
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.odometry_messages import mounting
from depth_pro_ros.ros.parameters import Value

LANDMARKS = "landmarks"
WAITING = 30  # images that wait for their pose
POLL_S = 0.02


class LandmarkNode(FrameNode):
    """Triangulates corners of images whose poses come as odometry or by TF; see the README."""

    def __init__(self) -> None:
        super().__init__("landmark_node", LANDMARK_PARAMETERS, {LANDMARKS: PointCloud2})
        self._images: CalibratedImages | None = None
        self._poses: CameraPoses | None = None
        self._triangulator: Triangulator | None = None
        self._intrinsics: Intrinsics | None = None
        self._facts: Mapping[str, object] = {}
        self._waiting: deque[tuple[float, Image]] = deque()
        self.create_timer(POLL_S, self._match)

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Choose where the poses come from."""
        T_base_camera = mounting(values["mounting.xyz"], values["mounting.rotation"])
        if values["pose_source"] == "tf":
            self._poses = TfPoses(self, values["world_frame"])
        else:
            self._poses = OdometryPoses(T_base_camera, values["pose_max_gap"])
        self._images = CalibratedImages(values["rectify"])
        self._pose_timeout_s = values["pose_timeout"]
        self._settings = _settings(values)
        self._mounted = not np.array_equal(T_base_camera, np.eye(4))

    def release(self) -> None:
        """Let go of poses, calibration and landmarks."""
        self._images = self._poses = self._triangulator = self._intrinsics = None
        self._facts = {}
        self._waiting.clear()

    def facts(self) -> Mapping[str, object]:
        """Return the figures of the newest image."""
        return self._facts

    def listen(self) -> None:
        """Subscribe, and begin without landmarks."""
        self._triangulator = None
        self._waiting.clear()
        self.subscribe(CameraInfo, "camera_info", self._images.infos.add, depth=5)
        self.subscribe(Image, "image", self._on_image, depth=5)
        if isinstance(self._poses, OdometryPoses):
            self.subscribe(Odometry, "odometry", self._on_odometry, depth=100)

    def close(self) -> bool:
        """Forget the images that wait, and stop as every such node."""
        self._waiting.clear()
        return super().close()

    def _on_odometry(self, message: Odometry) -> None:
        try:
            self._poses.add(message)
        except DepthProError as error:
            self.lose("rejected", f"odometry refused: {error}")
        self._match()

    def _on_image(self, image: Image) -> None:
        self.health.count("received")
        if not self.wanted():
            return
        self._waiting.append((time.monotonic(), image))
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self.lose("rejected", f"more than {WAITING} images wait for their poses: {self._poses.missing}")
        self._match()

    def _match(self) -> None:
        """Hand on the images whose poses are there, and give up those that have waited too long."""
        while self._waiting and self._poses is not None:
            arrived, image = self._waiting[0]
            try:
                T_world_camera = self._poses.find(image)
            except DepthProError as error:
                self._waiting.popleft()
                self.lose("rejected", f"frame lost: {error}")
                continue
            if T_world_camera is None and time.monotonic() - arrived < self._pose_timeout_s:
                return
            self._waiting.popleft()
            if T_world_camera is None:
                self.lose("rejected", f"an image waited {self._pose_timeout_s:g} s for its pose: {self._poses.missing}")
            else:
                self.offer((image, T_world_camera))

    def work(
        self, frame: tuple[Image, np.ndarray], live: Mapping[str, Value]
    ) -> tuple[Header, dict[str, Any], Mapping[str, float]]:
        """Return the cloud of one image; raises TrackingError with the reason when there is no landmark in it."""
        image, T_world_camera = frame
        started = time.perf_counter()
        gray, intrinsics = self._images.gray(image)
        decoded = time.perf_counter()
        if self._triangulator is None or intrinsics != self._intrinsics:
            self._triangulator, self._intrinsics = Triangulator(intrinsics, self._settings), intrinsics
            self._warn_of_mounting(image)
        landmarks = self._triangulator.add(gray, T_world_camera)
        noise = self._triangulator.noise
        self._facts = {
            "tracks": landmarks.tracks,
            "landmarks": len(landmarks.ids),
            "track_noise_px": round(noise.track_px, 2),
            "pose_noise_mm": round(1e3 * noise.position_m, 2),
            "pose_noise_mrad": round(1e3 * noise.rotation_rad, 2),
        }
        if landmarks.state:
            raise TrackingError(f"no landmarks: {landmarks.state}")
        done = time.perf_counter()
        laps = {"decode": 1e3 * (decoded - started), "landmarks": 1e3 * (done - decoded)}
        return image.header, {LANDMARKS: cloud_from_landmarks(landmarks, gray, image.header)}, laps

    def _warn_of_mounting(self, image: Image) -> None:
        """Say that a base's odometry was taken for the camera's, which turns every landmark wrong."""
        child = getattr(self._poses, "child_frame", "")
        if child and child != image.header.frame_id and not self._mounted:
            self.get_logger().warning(
                f"the odometry is of {child!r}, the image of {image.header.frame_id!r}, and no mounting is set: they "
                "are taken for one frame; set mounting.xyz and mounting.rotation if they are not"
            )


def _settings(values: Mapping[str, Value]) -> LandmarkSettings:
    """Return the triangulator's settings from the node's parameters."""
    return LandmarkSettings(
        max_tracks=values["max_tracks"],
        cell_px=values["cell"],
        keyframes=values["keyframes"],
        keyframe_px=values["keyframe_parallax"],
        min_parallax_deg=values["min_parallax"],
        min_views=values["min_views"],
        max_reprojection_px=values["max_reprojection"],
        relative_sigma=values["relative_sigma"],
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run landmark_node as a process."""
    keep_frames()
    return run(LandmarkNode, args)


if __name__ == "__main__":
    sys.exit(main())
