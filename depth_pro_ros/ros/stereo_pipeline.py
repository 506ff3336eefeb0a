"""One stereo pair to disparity and metric depth: decode, calibrate, rectify, match, measure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from sensor_msgs.msg import Image

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry.stereo import StereoCalibration, StereoRig, depth_from_disparity
from depth_pro_ros.matching.disparity import Disparity, StereoMatcher
from depth_pro_ros.ros.camera_infos import CameraInfos
from depth_pro_ros.ros.images import decode_image
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stereo_calibration import StereoCalibrator

SPARSE_SHARE = 0.15  # what noise, or a pair that is none, matches by chance


@dataclass(frozen=True)
class StereoPair:
    """A left and a right image that were taken together."""

    left: Image
    right: Image


@dataclass(frozen=True)
class StereoFrame:
    """What came of a pair: the match, the window in which there can be one, depth (H, W) float32 m, and the rig."""

    disparity: Disparity
    window: tuple[int, int, int, int]
    depth_m: np.ndarray
    rig: StereoRig
    stages_ms: Mapping[str, float]

    @property
    def doubt(self) -> str | None:
        """Return a sentence when hardly a pixel was matched, else None."""
        if self.disparity.share >= SPARSE_SHARE:
            return None
        return (
            f"only {100 * self.disparity.share:.1f} % of the pixels were matched: too little texture, a covered lens, "
            "a range of disparities that does not fit, or a calibration that is not this pair's"
        )


class StereoPipeline:
    """The steps from two messages to depth; `parameters` are stereo_node's. Raises ConfigurationError for bad ones."""

    def __init__(self, parameters: Mapping[str, Value]) -> None:
        self.left_infos, self.right_infos = CameraInfos(), CameraInfos()
        self._calibrator = StereoCalibrator(raw=bool(parameters["rectify"]))
        self._matcher = StereoMatcher(
            min_disparity=int(parameters["min_disparity"]),
            num_disparities=int(parameters["num_disparities"]),
            block=int(parameters["block"]),
            max_disagreement_px=float(parameters["max_disagreement"]),
            speckle_px=int(parameters["speckle_size"]),
            uniqueness=int(parameters["uniqueness"]),
        )

    def process(self, pair: StereoPair, max_range_m: float) -> StereoFrame:
        """Return disparity and depth of the left image.

        Raises ImageError or CalibrationError: this pair is lost, the next may work.
        """
        started = time.perf_counter()
        left, right = decode_image(pair.left), decode_image(pair.right)
        if left.shape != right.shape:
            raise ImageError(
                f"left is {left.shape[1]}x{left.shape[0]}, right {right.shape[1]}x{right.shape[0]}: set them alike"
            )
        decoded = time.perf_counter()
        calibration = self._calibration(pair, left.shape[1], left.shape[0])
        left, right = calibration.rectify(left, right)
        rectified = time.perf_counter()
        frame = self._measure(left, right, calibration, max_range_m)
        laps = {"decode": decoded - started, "rectify": rectified - decoded, "match": time.perf_counter() - rectified}
        return replace(frame, stages_ms={stage: 1e3 * seconds for stage, seconds in laps.items()})

    def _calibration(self, pair: StereoPair, width: int, height: int) -> StereoCalibration:
        left, right = self.left_infos.find(pair.left), self.right_infos.find(pair.right)
        missing = [side for side, info in (("left", left), ("right", right)) if info is None]
        if missing:
            topics = " and ".join(f"{side}/camera_info" for side in missing)
            raise CalibrationError(f"no message of {topics} has come: check the topics' names and their publishers")
        return self._calibrator.calibrate(left, right, width, height)

    def _measure(
        self, left: np.ndarray, right: np.ndarray, calibration: StereoCalibration, max_range_m: float
    ) -> StereoFrame:
        disparity, rig = self._matcher.match(left, right), calibration.rig
        if self._matcher.looks_swapped(left, right, disparity.share):
            raise CalibrationError(
                f"left and right look swapped: {100 * disparity.share:.0f} % of the pixels match as they come and far "
                "more the other way round (negative disparities): exchange the topics, images and camera_infos"
            )
        window = disparity.window
        if calibration.left is not None:
            disparity = _within(disparity, calibration.left.valid_mask)
            window = _overlap(window, calibration.left.valid_mask)
        depth_m = depth_from_disparity(disparity.disparity_px, rig.left.fx, rig.baseline_m, rig.doffs_px)
        depth_m[depth_m > max_range_m] = np.inf
        return StereoFrame(disparity, window, depth_m, rig, {})


def _within(disparity: Disparity, valid: np.ndarray) -> Disparity:
    """Return the match without the pixels that the raw image does not hold."""
    nothing = np.float32(np.nan)
    return replace(
        disparity,
        disparity_px=np.where(valid, disparity.disparity_px, nothing),
        sigma_px=np.where(valid, disparity.sigma_px, nothing),
    )


def _overlap(window: tuple[int, int, int, int], valid: np.ndarray) -> tuple[int, int, int, int]:
    """Return the smallest window (x, y, width, height) that holds all valid pixels of `window`."""
    x, y, width, height = window
    seen = valid[y : y + height, x : x + width]
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if columns.size == 0:
        return x, y, 0, 0
    return x + int(columns[0]), y + int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
