"""What depth_node publishes of a frame, each only when somebody listens."""

from __future__ import annotations

import array
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from geometry_msgs.msg import Vector3, Vector3Stamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.messages.compressed_depth import TRANSPORT, compressed_depth, format_of
from depth_pro_ros.outputs.pictures import colour_depth
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.clouds import CloudSettings, filtered_cloud
from depth_pro_ros.ros.depth_pipeline import DepthFrame
from depth_pro_ros.ros.images import encode_depth, encode_rgb
from depth_pro_ros.ros.parameters import Value

DEPTH, DEPTH_INFO = "depth/image_rect", "depth/camera_info"
COMPRESSED = f"{DEPTH}/{TRANSPORT}"  # image_transport's name for it
POINTS, POINTS_NAV = "points", "depth/points_nav"
COLOR, FOCAL = "depth/image_color", "focal/camera_info"
SIGMA, SCALE, UNFUSED = "depth/sigma", "scale", "depth/unfused"

TYPES = {
    DEPTH: Image,
    DEPTH_INFO: CameraInfo,
    COMPRESSED: CompressedImage,
    POINTS: PointCloud2,
    POINTS_NAV: PointCloud2,
    COLOR: Image,
    FOCAL: CameraInfo,
    SIGMA: Image,
    SCALE: Vector3Stamped,
    UNFUSED: Image,
}

# What each image can have when depth is carried; the rest belongs to keyframes, which the network has looked at.
IMAGE_RATE = frozenset({DEPTH, DEPTH_INFO, COMPRESSED, POINTS, POINTS_NAV, COLOR, SIGMA})

Live = Mapping[str, Value]


def depth_info(frame: DepthFrame, live: Live, header: Header) -> CameraInfo:
    """Return the camera_info that belongs to the depth image."""
    return info_from_intrinsics(frame.depth.intrinsics, header)


def depth_image(frame: DepthFrame, live: Live, header: Header) -> Image:
    """Return the depth image in `depth_encoding`."""
    return encode_depth(frame.depth.depth_m, str(live["depth_encoding"]), header)


def compressed_image(frame: DepthFrame, live: Live, header: Header) -> CompressedImage:
    """Return the depth image as image_transport's compressed_depth writes it, in `depth_encoding`."""
    encoding, depth_max_m = str(live["depth_encoding"]), float(live["compressed_depth.depth_max"]) or math.inf
    quantization, level = float(live["compressed_depth.depth_quantization"]), int(live["compressed_depth.png_level"])
    data = compressed_depth(frame.depth.depth_m, encoding, depth_max_m, quantization, level)
    return CompressedImage(header=header, format=format_of(encoding), data=array.array("B", data))


def points(frame: DepthFrame, live: Live, header: Header) -> PointCloud2:
    """Return the cloud that `cloud.*` ask for, organised unless they ask for voxels."""
    depth, rgb = frame.depth, frame.rgb if live["cloud.color"] else None
    return filtered_cloud(depth.depth_m, rgb, depth.intrinsics, header, cloud_settings("cloud", live))


def points_nav(frame: DepthFrame, live: Live, header: Header) -> PointCloud2:
    """Return the small cloud for costmaps: x y z, at most `cloud_nav.max_points` of them, the nearest."""
    settings = replace(cloud_settings("cloud_nav", live), most_points=int(live["cloud_nav.max_points"]))
    return filtered_cloud(frame.depth.depth_m, None, frame.depth.intrinsics, header, settings)


def cloud_settings(cloud: str, live: Live) -> CloudSettings:
    """Return what the parameters of one `cloud` ("cloud", "cloud_nav") say, and those of both."""
    return CloudSettings(
        stride=int(live[f"{cloud}.stride"]),
        min_range_m=float(live["cloud.min_range"]),
        max_range_m=float(live[f"{cloud}.max_range"]),
        edge_share=float(live[f"{cloud}.edge_share"]),
        edge_width=float(live["cloud.edge_width"]),
        voxel_m=float(live[f"{cloud}.voxel"]),
    )


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
    COMPRESSED: compressed_image,
    POINTS: points,
    POINTS_NAV: points_nav,
    COLOR: color_image,
    FOCAL: believed_info,
    SIGMA: sigma_image,
    SCALE: scale_vector,
    UNFUSED: unfused_image,
}


def makers(frame: DepthFrame, live: Live, header: Header, topics: set[str]) -> dict[str, Callable[[], object]]:
    """Return topic → what makes its message under the input's own header, None where the frame has none.

    So depth can go out before its cloud is made, which takes longer than all the rest.
    """
    return {topic: functools.partial(make, frame, live, header) for topic, make in MAKERS.items() if topic in topics}
