"""Scans of obstacles, for laser consumers (REP 103, 117) and for MAVROS and PX4, and the nearest obstacle."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import LaserScan, PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.geometry import motion
from depth_pro_ros.outputs.approach import Approach
from depth_pro_ros.outputs.obstacles import FRD_STEP_DEG, ObstacleSettings, Sectors
from depth_pro_ros.ros.standins import point_cloud2

NEAREST_FIELDS = (
    "x",
    "y",
    "z",
    "range",
    "bearing",
    "closing_speed",
    "closing_speed_sigma",
    "time_to_contact",
    "time_to_contact_sigma",
)


def level_frame_id(optical_frame_id: str) -> str:
    """Return the name of a camera's level frame: camera_optical_frame has camera_level."""
    for ending in ("_optical_frame", "_optical"):
        optical_frame_id = optical_frame_id.removesuffix(ending)
    return f"{optical_frame_id}_level"


def laser_scan(ranges_m: np.ndarray, sectors: Sectors, settings: ObstacleSettings, header: Header) -> LaserScan:
    """Return counter-clockwise sectors as a scan under `header`: +Inf is clear, NaN unknown (REP 117)."""
    return LaserScan(
        header=header,
        angle_min=sectors.first_rad,
        angle_max=sectors.first_rad + sectors.step_rad * (sectors.count - 1),
        angle_increment=sectors.step_rad,
        range_min=settings.range_min_m,
        range_max=settings.range_max_m,
        ranges=ranges_m.tolist(),
    )


def frd_scan(ranges_m: np.ndarray, sectors: Sectors, settings: ObstacleSettings, header: Header) -> LaserScan:
    """Return clockwise sectors as a scan for MAVROS: clear is `range_max` + 1 cm, unknown NaN.

    MAVROS (plugin obstacle_distance) cuts metres off to centimetres and turns angles into degrees; PX4 divides those by
    5 and rounds up. So lengths are the least float32 that is not cut below its centimetre, and angles those that
    become whole degrees; the first one may go round the circle for that.
    """
    first_rad = whole_degrees(round(math.degrees(sectors.first_rad)))
    farthest_cm = round(100 * settings.range_max_m)
    clear_m = not_below_cm(farthest_cm + 1)
    return LaserScan(
        header=header,
        angle_min=first_rad,
        angle_max=first_rad + sectors.step_rad * (sectors.count - 1),
        angle_increment=whole_degrees(FRD_STEP_DEG),
        range_min=not_below_cm(round(100 * settings.range_min_m)),
        range_max=not_below_cm(farthest_cm),
        ranges=np.where(np.isposinf(ranges_m), np.float32(clear_m), ranges_m).tolist(),
    )


def not_below_cm(centimetres: int) -> float:
    """Return metres that, as float32 times 100 and cut off, are this many centimetres."""
    metres = np.float32(centimetres / 100)
    while int(float(metres) * 100) < centimetres:
        metres = np.nextafter(metres, np.float32(np.inf))
    return float(metres)


def whole_degrees(degrees: int) -> float:
    """Return radians, up to a turn, that as float32 times 180 / pi and rounded to float32 are whole degrees.

    Not every angle has such a float32, 115 degrees has none, but -245 has.
    """
    for turned in (degrees, degrees - 360, degrees + 360):
        nearest = np.float32(math.radians(turned))
        for value in (nearest, np.nextafter(nearest, np.float32(9)), np.nextafter(nearest, np.float32(-9))):
            if np.float32(float(value) * (180.0 / math.pi)) == turned:
                return float(value)
    return math.radians(degrees)


def nearest_cloud(approach: Approach | None, header: Header) -> PointCloud2:
    """Return one point, or none, with NEAREST_FIELDS float32: metres, radians left positive, m/s, s; NaN unknown."""
    rows = np.zeros(0 if approach is None else 1, np.dtype([(name, np.float32) for name in NEAREST_FIELDS]))
    if approach is not None:
        x, y = approach.range_m * math.cos(approach.bearing_rad), approach.range_m * math.sin(approach.bearing_rad)
        rows[0] = (
            *(x, y, 0.0, approach.range_m, approach.bearing_rad),
            *(approach.closing_mps, approach.closing_sigma_mps, approach.contact_s, approach.contact_sigma_s),
        )
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(NEAREST_FIELDS)
    ]
    return point_cloud2.create_cloud(header, fields, rows)


def level_transform(R_level_camera: np.ndarray, optical: Header, level_frame: str) -> TransformStamped:
    """Return the level frame (child) in the depth's optical frame, at the depth's stamp."""
    message = TransformStamped(header=optical, child_frame_id=level_frame)
    q = message.transform.rotation
    q.x, q.y, q.z, q.w = motion.quaternion_from_rotation(R_level_camera.T).tolist()
    return message
