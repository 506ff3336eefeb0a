"""Landmarks as a point cloud: x y z sigma intensity, in the layout that `cues/landmarks` of depth_node reads."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.matching.landmarks import Landmarks
from depth_pro_ros.ros.standins import point_cloud2

FIELDS = ("x", "y", "z", "sigma", "intensity")


def cloud_from_landmarks(landmarks: Landmarks, gray: np.ndarray, header: Header) -> PointCloud2:
    """Return one point for each landmark, optical frame, metres, float32; every number is finite.

    `sigma` is the standard deviation of z in metres, `intensity` the grey (0 to 255) of `gray` (H, W) uint8 at it.
    """
    u, v = np.rint(landmarks.uv).astype(int).T
    intensity = gray[np.clip(v, 0, gray.shape[0] - 1), np.clip(u, 0, gray.shape[1] - 1)]
    points = np.empty(len(landmarks.ids), np.dtype([(name, np.float32) for name in FIELDS]))
    columns = (*landmarks.points_camera.T, landmarks.sigma_m, intensity)
    for name, column in zip(FIELDS, columns, strict=True):
        points[name] = column
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(FIELDS)
    ]
    cloud = point_cloud2.create_cloud(header, fields, points)
    cloud.is_dense = True
    return cloud
