"""Depth at the camera's rate: the last keyframe, which the network has looked at, carried to each image by its pose.

Three threads meet here. The executor's brings images together with their poses and hands them on; the inference
thread, which is late by the network's time, leaves keyframes; the carrying thread takes the newest keyframe to the
newest image. NumPy, OpenCV and PyTorch let go of Python's lock while they compute, so that none holds another up.

Depth goes out under stamps that strictly grow. A keyframe's own stamp is mostly older than what has gone out, then it
is not published itself but carried to the images that come after it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from std_msgs.msg import Header

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.propagation import Carried, Carrier, CarrySettings
from depth_pro_ros.records import Intrinsics, Pose
from depth_pro_ros.ros.camera_poses import RESTART_NS, CameraPoses, OdometryPoses, TfPoses
from depth_pro_ros.ros.depth_outputs import IMAGE_RATE
from depth_pro_ros.ros.depth_pipeline import DepthFrame, ImageMessage, Picture
from depth_pro_ros.ros.odometry_messages import mounting
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.posed_images import PosedImages
from depth_pro_ros.ros.stamps import nanoseconds

KEPT_STAMPS = 10_000  # five minutes at 30 Hz: longer than a network takes on any computer

Settings = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class PosedImage:
    """An image to which depth is to be carried, and where its camera was, `T_world_camera` (4, 4)."""

    image: ImageMessage
    T_world_camera: np.ndarray


def camera_poses(node: Node, settings: Settings) -> CameraPoses:
    """Return where the parameters take poses from; raises ConfigurationError for what cannot be used."""
    if settings["propagation.pose_source"] == "tf":
        return TfPoses(node, str(settings["propagation.world_frame"]))
    T_base_camera = mounting(str(settings["mounting.xyz"]), str(settings["mounting.rotation"]))
    return OdometryPoses(T_base_camera, float(settings["propagation.pose_max_gap"]))


class DepthPropagation:
    """Carries keyframes to images and keeps the stamps of what goes out in order; see above for its threads."""

    def __init__(
        self,
        settings: Settings,
        poses: CameraPoses,
        hand_on: Callable[[PosedImage], None],
        warn: Callable[[str], None],
    ) -> None:
        """Hand images with poses to `hand_on`; `warn` is told, with the reason, that there are only keyframes."""
        self.needs_odometry = isinstance(poses, OdometryPoses)
        self._settings, self._hand_on, self._warn = settings, hand_on, warn
        timeout_s = float(settings["propagation.pose_timeout"])
        self._images = PosedImages(poses, timeout_s, self._posed, self._keyframes_only)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget every image, pose and keyframe, as at the start or when time has jumped back."""
        with self._lock:
            self._forget()
        self._images.clear()

    def _forget(self) -> None:
        self._poses: OrderedDict[int, np.ndarray | None] = OrderedDict()  # of each stamp since the last reset
        self._published_ns = self._newest_ns = -1
        self._candidates: list[tuple[int, DepthFrame]] = []  # the last with a pose, and one that may still get its own
        self._keyframe: tuple[Carrier, DepthFrame] | None = None
        self._state = "waiting for a first keyframe"
        self._source = "nothing yet"
        self._last: dict[str, object] = {}

    # On the executor's thread.

    def take_image(self, image: ImageMessage) -> bool:
        """Take an image; False for one that is older than another, which comes too late for everything.

        Time that jumps back by a second or more is a bag that starts again: everything before it is forgotten.
        """
        stamp_ns = nanoseconds(image.header)
        if stamp_ns < self._newest_ns - RESTART_NS:
            self.reset()
            self._count("restarts")
        with self._lock:
            if stamp_ns <= self._newest_ns:
                self._counts["images_out_of_order"] += 1
                return False
            self._newest_ns = stamp_ns
            self._poses[stamp_ns] = None
            while len(self._poses) > KEPT_STAMPS:
                self._poses.popitem(last=False)
        self._images.add(image)
        return True

    def take_odometry(self, message: Odometry) -> None:
        """Take a pose; one that is older than another is of no use."""
        self._images.tell(message)

    def match(self) -> None:
        """Look whether poses have come by TF, or will not come any more."""
        self._images.match()

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _posed(self, image: ImageMessage, T_world_camera: np.ndarray) -> None:
        with self._lock:
            self._poses[nanoseconds(image.header)] = T_world_camera
        self._hand_on(PosedImage(image, T_world_camera))

    def _keyframes_only(self, reason: str) -> None:
        self._state = f"keyframes only: {reason}"
        self._warn(self._state)

    # On the inference thread.

    def take_keyframe(self, frame: DepthFrame, header: Header) -> DepthFrame:
        """Keep what the network made of the image of `header`; return it with a sigma, as all depth then has."""
        if frame.sigma_relative is None:
            sigma = np.float32(self._settings["propagation.keyframe_sigma"])
            finite = np.isfinite(frame.depth.depth_m)
            frame = replace(frame, sigma_relative=np.where(finite, sigma, np.float32(np.nan)))
        stamp_ns = nanoseconds(header)
        with self._lock:
            if stamp_ns in self._poses:
                self._candidates = [*self._posed_candidates()[-1:], (stamp_ns, frame)]
                self._counts["keyframes"] += 1
        return frame

    # On the carrying thread.

    def carry(self, posed: PosedImage, picture: Picture, live: Settings) -> DepthFrame | None:
        """Return the last keyframe's depth as `picture` shows it, None while there is no keyframe near enough."""
        keyframe = self._newest_keyframe()
        if keyframe is None:
            return None
        carrier, frame = keyframe
        pose = Pose(posed.T_world_camera, nanoseconds(posed.image.header))
        try:
            camera = _camera(picture, frame, float(live["output_scale"]))
            carried = carrier.carry(pose, picture.rgb, self._carry_settings(live), camera)
        except TrackingError as error:
            self._keyframes_only(str(error))
            return None
        depth = replace(carried.depth, depth_m=picture.blank(carried.depth.depth_m))
        self._note(carried)
        stages = {**picture.stages_ms, **carried.depth.timings_ms}
        return DepthFrame(picture.rgb, depth, None, stages, picture.blank(carried.sigma_relative))

    def _newest_keyframe(self) -> tuple[Carrier, DepthFrame] | None:
        """Return the newest keyframe whose pose is known, made ready when it is a new one."""
        with self._lock:
            posed = self._posed_candidates()
            if not posed:
                return self._keyframe
            stamp_ns, frame = posed[-1]
            pose = Pose(self._poses[stamp_ns], stamp_ns)
            self._candidates = [later for later in self._candidates if later[0] > stamp_ns]
        made = (Carrier(frame.depth, pose, frame.sigma_relative), frame)
        with self._lock:
            if stamp_ns in self._poses:  # else time has jumped back meanwhile
                self._keyframe = made
            return self._keyframe

    def _posed_candidates(self) -> list[tuple[int, DepthFrame]]:
        return [candidate for candidate in self._candidates if self._poses.get(candidate[0]) is not None]

    def _carry_settings(self, live: Settings) -> CarrySettings:
        return CarrySettings(
            max_age_s=float(live["propagation.max_age"]),
            max_baseline_m=float(live["propagation.max_baseline"]),
            drift=float(self._settings["propagation.drift"]),
            scene_speed_m_s=float(self._settings["propagation.scene_speed"]),
            fill_reach=float(live["propagation.fill_reach"]) if live["propagation.fill"] else 0.0,
        )

    def _note(self, carried: Carried) -> None:
        self._state = "carrying"
        self._last = {
            "keyframe_age_s": round(carried.age_s, 3),
            "keyframe_baseline_m": round(carried.baseline_m, 3),
            "carried_share": round(carried.carried_share, 4),
            "filled_share": round(carried.filled_share, 4),
        }

    # On both threads that publish.

    def in_time(self, header: Header) -> bool:
        """Return whether depth of this stamp would be newer than all that has gone out."""
        with self._lock:
            return self._in_time(nanoseconds(header))

    def _in_time(self, stamp_ns: int) -> bool:
        return stamp_ns > self._published_ns and stamp_ns in self._poses

    def admit(self, header: Header, messages: Mapping[str, Any], source: str) -> dict[str, Any]:
        """Return what of `messages` may go out now: depth only in the order of stamps, and none of before a reset."""
        with self._lock:
            stamp_ns = nanoseconds(header)
            if not self._in_time(stamp_ns):
                return {topic: message for topic, message in messages.items() if topic not in IMAGE_RATE}
            if IMAGE_RATE & messages.keys():
                self._published_ns = stamp_ns
                self._counts[f"published_{source}"] += 1
                self._source = source
            return dict(messages)

    def facts(self) -> dict[str, object]:
        """Return what the diagnostics show: where the last depth came from, and how far it was carried."""
        with self._lock:
            return {"propagation": self._state, "depth_is": self._source, **self._last, **self._counts}


def _camera(picture: Picture, keyframe: DepthFrame, output_scale: float) -> Intrinsics:
    """Return the intrinsics of the depth to carry to: the image's own, or else the keyframe's, of the same size.

    Raises TrackingError for an image of another size whose focal length nobody knows.
    """
    if picture.camera is not None:
        return pinhole.resize(picture.camera, *picture.size(output_scale))
    now, then = picture.rgb.shape, keyframe.rgb.shape
    if now != then:
        raise TrackingError(
            f"the image is {now[1]}x{now[0]}, the last keyframe {then[1]}x{then[0]}, and no camera_info tells the "
            "focal length: depth waits for the next keyframe"
        )
    return keyframe.depth.intrinsics
