"""One recorded frame as plain arrays, all on the pixel grid of the depth's own camera."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, PointCloud2

from depth_pro_ros.geometry.distortion import Rectifier
from depth_pro_ros.ros.camera_info import distortion_from_info
from depth_pro_ros.ros.depth_outputs import DEPTH, DEPTH_INFO, FOCAL, POINTS, UNFUSED
from depth_pro_ros.ros.images import decode_depth, decode_image
from depth_pro_ros.ros.stamp_matcher import Arrival
from depth_pro_ros.ros.standins import point_cloud2

IMAGE, IMAGE_INFO, TRUTH = "image", "camera_info", "ground_truth/depth"


class Undistorter:
    """Undistorts pictures and true depth as depth_node does its images; the pixel maps of one camera are kept."""

    def __init__(self) -> None:
        self._rectifiers: dict[str, Rectifier] = {}

    def photo(self, rgb: np.ndarray, info: CameraInfo | None) -> np.ndarray:
        """Return the raw image (H, W, 3) uint8 as the depth shows it."""
        rectifier = self._rectifier(info, rgb.shape[1], rgb.shape[0])
        return rgb if rectifier is None else rectifier.rectify(rgb)

    def truth(self, depth_m: np.ndarray, info: CameraInfo | None) -> np.ndarray:
        """Return true depth (H, W) of the raw image as the depth shows it.

        Depths are never mixed: each pixel takes the raw one that it comes from, NaN where there is none.
        """
        height, width = depth_m.shape
        rectifier = self._rectifier(info, width, height)
        if rectifier is None:
            return depth_m
        raw = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
        u, v = np.moveaxis(np.rint(rectifier.rectify(raw)).astype(np.intp), -1, 0)
        return np.where(rectifier.valid_mask, depth_m[v, u], np.float32(np.nan))

    def _rectifier(self, info: CameraInfo | None, width: int, height: int) -> Rectifier | None:
        """Return the rectifier of images of this size, None where nothing is distorted."""
        distortion = None if info is None else distortion_from_info(info)
        if distortion is None:
            return None
        values = (np.asarray(v).tolist() for v in (info.d, info.k, info.r, info.p))
        key = str((width, height, info.distortion_model, *values))
        if key not in self._rectifiers:
            self._rectifiers = {key: Rectifier(distortion, width, height)}
        return self._rectifiers[key]


def frame_arrays(arrivals: Mapping[str, Arrival], undistorter: Undistorter) -> dict[str, np.ndarray]:
    """Return what a frame's messages hold, as arrays by name.

    depth_m (H, W) float32 m; points (h, w, 3) float32 m and colours (h, w, 3) uint8 RGB of the organised cloud;
    photo (H', W', 3) uint8 RGB, undistorted (the cloud's colours when the image came too early to be kept);
    truth_m (H, W) float32 m, undistorted, only where it is known; unfused_m (H, W) where recorded; focal_px, and
    believed_focal_px as the network estimates it, both of the depth's grid; calibrated: camera_info
    came with a focal length; age_ms of the depth image at its arrival, and arrived_s.
    """
    depth, depth_info, focal, cloud = (arrivals[topic].message for topic in (DEPTH, DEPTH_INFO, FOCAL, POINTS))
    image, info, truth = (
        arrivals[topic].message if topic in arrivals else None for topic in (IMAGE, IMAGE_INFO, TRUTH)
    )
    points, colours = cloud_arrays(cloud)
    arrays = {
        "depth_m": decode_depth(depth),
        "points": points,
        "colours": colours,
        "photo": colours if image is None else undistorter.photo(decode_image(image), info),
        "focal_px": np.float64(depth_info.k[0]),
        "believed_focal_px": np.float64(focal.k[0] * depth.width / focal.width),
        "calibrated": np.bool_(info is not None and info.k[0] > 0),
        "age_ms": np.float64(arrivals[DEPTH].age_ms),
        "arrived_s": np.float64(arrivals[DEPTH].arrived_s),
    }
    if UNFUSED in arrivals:
        arrays["unfused_m"] = decode_depth(arrivals[UNFUSED].message)
    if truth is not None:
        arrays["truth_m"] = cv2.resize(
            undistorter.truth(decode_depth(truth), info), (depth.width, depth.height), interpolation=cv2.INTER_NEAREST
        )
    return arrays


def cloud_arrays(cloud: PointCloud2) -> tuple[np.ndarray, np.ndarray]:
    """Return points (h, w, 3) float32 and colours (h, w, 3) uint8 RGB of an organised cloud with x y z rgb."""
    read = point_cloud2.read_points(cloud, field_names=["x", "y", "z", "rgb"]).reshape(cloud.height, cloud.width)
    points = np.stack([read[axis] for axis in "xyz"], axis=-1)
    packed = np.ascontiguousarray(read["rgb"]).view(np.uint32)
    return points, np.stack([packed >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8)
