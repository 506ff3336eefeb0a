"""Metric cues as they come over topics: kept by stamp, read only when a frame takes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.fusion import samples_from_depth, samples_from_disparity, samples_from_points
from depth_pro_ros.records import Intrinsics, MetricSamples
from depth_pro_ros.ros.disparity_messages import decode_disparity
from depth_pro_ros.ros.images import decode_depth
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stamps import nanoseconds
from depth_pro_ros.ros.standins import point_cloud2

KEPT = 4  # cues of each topic, and frames in hand: a disparity image of a large camera has 8 MB

Settings = Mapping[str, Value]


def disparity_samples(msg: DisparityImage, camera: Intrinsics, settings: Settings) -> MetricSamples:
    """Return a disparity image as samples of the image of `camera`, which shows the same view at any size."""
    disparity_px, focal_px, baseline_m = decode_disparity(msg)
    sigma_px, size = settings["fusion.disparity_sigma"], {"width": camera.width, "height": camera.height}
    return samples_from_disparity(disparity_px, focal_px, baseline_m, sigma_px=sigma_px, source="disparity", **size)


def depth_samples(msg: Image, camera: Intrinsics, settings: Settings) -> MetricSamples:
    """Return a depth image (lidar, ToF, stereo) as samples of the image of `camera`, the same view at any size."""
    sigma, size = settings["fusion.depth_sigma"], {"width": camera.width, "height": camera.height}
    return samples_from_depth(decode_depth(msg), sigma_relative=sigma, source="depth", **size)


def landmark_samples(msg: PointCloud2, camera: Intrinsics, settings: Settings) -> MetricSamples:
    """Return points x y z (and sigma, where the cloud has it) in the optical frame as samples of `camera`'s image."""
    names = {field.name for field in msg.fields}
    if not {"x", "y", "z"} <= names:
        raise ImageError(f"cues/landmarks has the fields {', '.join(sorted(names)) or 'none'}; it needs x, y and z")
    read = point_cloud2.read_points(msg, field_names=["x", "y", "z", *sorted(names & {"sigma"})]).reshape(-1)
    points = np.stack([read[name] for name in "xyz"], axis=1).astype(np.float64)
    sigma = read["sigma"] if "sigma" in names else points[:, 2] * settings["fusion.landmark_sigma"]
    return samples_from_points(points, sigma.astype(np.float64), camera, source="landmarks")


CUES: dict[str, tuple[type, Callable[[Any, Intrinsics, Settings], MetricSamples]]] = {
    "cues/disparity": (DisparityImage, disparity_samples),
    "cues/depth": (Image, depth_samples),
    "cues/landmarks": (PointCloud2, landmark_samples),
}


class CueBuffer:
    """The last cues of each topic, and those of the frames that are being worked on, however many come meanwhile."""

    def __init__(self, tolerance_s: float):
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._lock = threading.Lock()
        self._recent: dict[str, deque[Any]] = {topic: deque(maxlen=KEPT) for topic in CUES}
        self._pinned: dict[int, dict[str, Any]] = {}

    def add(self, topic: str, msg: Any) -> None:
        """Take a cue."""
        with self._lock:
            self._recent[topic].append(msg)
            for stamp_ns, found in self._pinned.items():
                self._offer(found, stamp_ns, topic, msg)

    def pin(self, header: Header) -> None:
        """Keep what belongs to the image of `header` from now on until `take`; of images never taken, the last few."""
        stamp_ns = nanoseconds(header)
        with self._lock:
            found = self._pinned.setdefault(stamp_ns, {})
            while len(self._pinned) > KEPT:
                self._pinned.pop(next(iter(self._pinned)))
            for topic, messages in self._recent.items():
                for msg in messages:
                    self._offer(found, stamp_ns, topic, msg)

    def _offer(self, found: dict[str, Any], stamp_ns: int, topic: str, msg: Any) -> None:
        """Put `msg` in `found` when it is within the tolerance and nearer than what is there."""
        distance = abs(nanoseconds(msg.header) - stamp_ns)
        if distance <= self._tolerance_ns and (
            topic not in found or distance <= abs(nanoseconds(found[topic].header) - stamp_ns)
        ):
            found[topic] = msg

    def peek(self, header: Header) -> dict[str, Any]:
        """Return topic → cue of the image of `header`, so far."""
        with self._lock:
            return dict(self._pinned.get(nanoseconds(header), {}))

    def take(self, header: Header) -> dict[str, Any]:
        """Return topic → cue of the image of `header`, and keep nothing for it any more."""
        with self._lock:
            return self._pinned.pop(nanoseconds(header), {})


def check_frame(msg: Any, header: Header) -> None:
    """Raise CalibrationError for a cue in another frame than the image's; empty frames are taken as the image's."""
    theirs, ours = msg.header.frame_id, header.frame_id
    if theirs and ours and theirs != ours:
        raise CalibrationError(
            f"a cue is in the frame '{theirs}', but the image in '{ours}': give cues in the camera's optical frame"
        )
