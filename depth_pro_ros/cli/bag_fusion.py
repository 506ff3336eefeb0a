"""The depth of one camera of a bag at its final scale: one focal length for all images, then the cues of the bag."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from depth_pro_ros.cli.bag_cameras import Index
from depth_pro_ros.cli.bag_input import DISPARITY, Bag, Stamped, deserialize, stamped
from depth_pro_ros.cli.bag_spool import Prediction, Spool
from depth_pro_ros.errors import AlignmentError, CalibrationError, ImageError
from depth_pro_ros.fusion import Fuser, FusionSettings, samples_from_depth, samples_from_disparity
from depth_pro_ros.fusion.scale_filter import TRACKING, UNFUSED
from depth_pro_ros.messages.disparity import decode_disparity
from depth_pro_ros.messages.images import decode_depth
from depth_pro_ros.records import DepthMap, MetricSamples


@dataclass(frozen=True)
class CueSettings:
    """Which cues belong to a camera, how near in time they must be, and how well they know."""

    topics: Sequence[str] = ()
    tolerance_s: float = 0.02
    disparity_sigma_px: float = 0.5
    depth_sigma: float = 0.02


def common_focals(spool: Spool, topic: str, numbers: Sequence[int]) -> dict[tuple[int, int], float]:
    """Return (w, h) of the depth → the median of the network's focal lengths for that size, as a share of the width.

    A camera has one focal length; with all images at hand, their median is it. Empty where camera_info told it.
    """
    shares: dict[tuple[int, int], list[float]] = defaultdict(list)
    for number in numbers:
        if found := spool.estimate(topic, number):
            share, size = found
            shares[size].append(share)
    return {size: median(found) for size, found in shares.items()}


def at_focal(prediction: Prediction, shares: dict[tuple[int, int], float]) -> DepthMap:
    """Return a prediction at the common focal length of its size: depth is proportional to the focal length.

    Depth is f / (w C) of the network's C (arXiv:2410.02073, section 3.1), and not yet bounded by a range.
    """
    camera, depth_m = prediction.intrinsics, prediction.depth_m
    share = shares.get((camera.width, camera.height)) if prediction.estimated else None
    if share is None:
        return DepthMap(depth_m, camera, camera.fx)
    ratio = share * camera.width / camera.fx
    camera = replace(camera, fx=camera.fx * ratio, fy=camera.fy * ratio)
    return DepthMap(depth_m * np.float32(ratio), camera, camera.fx)


class CameraFusion:
    """Ties one camera's depth to its cues; `states` counts what became of the images, `problems` the reasons."""

    def __init__(self, bag: Bag, index: Index, cues: CueSettings, max_range_m: float = math.inf) -> None:
        self._bag = bag
        self._index = index
        self._cues = cues
        self._max_range_m = max_range_m
        self._fuser = Fuser(FusionSettings(max_range_m=max_range_m))
        self._types = bag.types()
        self.states: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def finish(self, depth: DepthMap, image: Stamped) -> tuple[DepthMap, np.ndarray | None]:
        """Return the depth of an image, fused and bounded by the range, and its relative sigma (None: not fused)."""
        if not self._cues.topics:
            return self._bounded(depth), None
        samples = [found for topic in self._cues.topics if (found := self._samples(topic, image, depth)) is not None]
        fused = self._fuser.fuse(depth, samples, image.time_ns)
        self.states[fused.factor.state] += 1
        if fused.factor.state != TRACKING:
            self.problems[fused.factor.reason] += 1
        return self._bounded(fused.depth), fused.sigma_relative

    def check(self, topic: str) -> None:
        """Raise AlignmentError when there were cues, and not one image got its scale from them."""
        if set(self.states) == {UNFUSED}:
            reason = self.problems.most_common(1)[0][0]
            raise AlignmentError(
                f"no image of {topic} could be tied to {', '.join(self._cues.topics)} ({reason}): give another --cue, "
                "or a larger --cue-tolerance, or leave it away; the predictions are kept for that"
            )

    def _samples(self, topic: str, image: Stamped, depth: DepthMap) -> MetricSamples | None:
        """Return what the cue on `topic` knows of an image, None when there is none or it cannot be read."""
        near = self._index.nearest_cue(topic, image, round(self._cues.tolerance_s * 1e9))
        if near is None:
            return None
        raw = next(raw for raw in self._bag.at(topic, near.received_ns) if _is(raw, near))
        size = {"width": depth.intrinsics.width, "height": depth.intrinsics.height}
        try:
            message = deserialize(raw, self._types[topic])
            if self._types[topic] == DISPARITY:
                disparity_px, focal_px, baseline_m = decode_disparity(message)
                sigma_px = self._cues.disparity_sigma_px
                return samples_from_disparity(
                    disparity_px, focal_px, baseline_m, sigma_px=sigma_px, source=topic, **size
                )
            return samples_from_depth(
                decode_depth(message), sigma_relative=self._cues.depth_sigma, source=topic, **size
            )
        except (ImageError, CalibrationError) as error:
            self.problems[f"{topic}: {error}"] += 1
            return None

    def _bounded(self, depth: DepthMap) -> DepthMap:
        """Return the depth with +Inf beyond the range."""
        beyond = depth.depth_m > self._max_range_m
        return replace(depth, depth_m=np.where(beyond, np.float32(np.inf), depth.depth_m)) if beyond.any() else depth


def _is(raw: bytes, wanted: Stamped) -> bool:
    """Return whether a message, whose header is readable, is the one that the index means."""
    try:
        return stamped(raw, wanted.received_ns) == wanted
    except ImageError:
        return False
