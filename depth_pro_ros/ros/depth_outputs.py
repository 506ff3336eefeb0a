"""What depth_node publishes of a frame, each only when somebody listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from geometry_msgs.msg import Vector3, Vector3Stamped
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs.pictures import colour_depth
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.clouds import cloud_from_depth
from depth_pro_ros.ros.depth_pipeline import DepthFrame
from depth_pro_ros.ros.images import encode_depth, encode_rgb
from depth_pro_ros.ros.parameters import Value

DEPTH, DEPTH_INFO, POINTS = "depth/image_rect", "depth/camera_info", "points"
COLOR, FOCAL = "depth/image_color", "focal/camera_info"
SIGMA, SCALE, UNFUSED = "depth/sigma", "scale", "depth/unfused"

TYPES = {
    DEPTH: Image,
    DEPTH_INFO: CameraInfo,
    POINTS: PointCloud2,
    COLOR: Image,
    FOCAL: CameraInfo,
    SIGMA: Image,
    SCALE: Vector3Stamped,
    UNFUSED: Image,
}

# What each image can have when depth is carried; the rest belongs to keyframes, which the network has looked at.
IMAGE_RATE = frozenset({DEPTH, DEPTH_INFO, POINTS, COLOR, SIGMA})

Live = Mapping[str, Value]


def depth_info(frame: DepthFrame, live: Live, header: Header) -> CameraInfo:
    """Return the camera_info that belongs to the depth image."""
    return info_from_intrinsics(frame.depth.intrinsics, header)


def depth_image(frame: DepthFrame, live: Live, header: Header) -> Image:
    """Return the depth image in `depth_encoding`."""
    return encode_depth(frame.depth.depth_m, str(live["depth_encoding"]), header)


def points(frame: DepthFrame, live: Live, header: Header) -> PointCloud2:
    """Return the coloured, organised cloud."""
    depth = frame.depth
    stride, reach = int(live["cloud.stride"]), float(live["cloud.max_range"])
    return cloud_from_depth(depth.depth_m, frame.rgb, depth.intrinsics, header, stride, reach)


def color_image(frame: DepthFrame, live: Live, header: Header) -> Image:
    """Return the depth as a picture for people."""
    return encode_rgb(colour_depth(frame.depth.depth_m, live["color.near"] or None, live["color.far"] or None), header)


def believed_info(frame: DepthFrame, live: Live, header: Header) -> CameraInfo | None:
    """Return the input's camera_info as the network believes it, None when it was not asked."""
    if frame.believed_focal_px is None:
        return None
    height, width = frame.rgb.shape[:2]
    return info_from_intrinsics(pinhole.centred(width, height, frame.believed_focal_px), header)


def sigma_image(frame: DepthFrame, live: Live, header: Header) -> Image | None:
    """Return the relative standard deviation of the depth, None when it was not fused."""
    return None if frame.sigma_relative is None else encode_depth(frame.sigma_relative, "32FC1", header)


def scale_vector(frame: DepthFrame, live: Live, header: Header) -> Vector3Stamped | None:
    """Return x: the factor on the network's inverse depth, y: its relative standard deviation, z: its age in s."""
    scale = frame.scale
    if scale is None or not scale.known:
        return None
    return Vector3Stamped(header=header, vector=Vector3(x=scale.scale, y=scale.sigma_log, z=scale.age_s))


def unfused_image(frame: DepthFrame, live: Live, header: Header) -> Image:
    """Return the depth as the network gave it, before any cue, to judge the fusion by."""
    return encode_depth((frame.unfused or frame.depth).depth_m, str(live["depth_encoding"]), header)


# camera_info goes out first: who pairs the two by stamp then has it when the image comes.
MAKERS: dict[str, Callable[[DepthFrame, Live, Header], object]] = {
    DEPTH_INFO: depth_info,
    DEPTH: depth_image,
    POINTS: points,
    COLOR: color_image,
    FOCAL: believed_info,
    SIGMA: sigma_image,
    SCALE: scale_vector,
    UNFUSED: unfused_image,
}


def messages(frame: DepthFrame, live: Live, header: Header, topics: set[str]) -> dict[str, object]:
    """Return topic → message of `topics`, under the input's own header."""
    made = {topic: make(frame, live, header) for topic, make in MAKERS.items() if topic in topics}
    return {topic: message for topic, message in made.items() if message is not None}
