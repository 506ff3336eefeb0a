"""Camera frames to messages; every message refers to the header it is given."""

from __future__ import annotations

import array

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from depth_pro_ros.errors import ImageError
from depth_pro_ros.records import Pose
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.camera_sources.frame import CameraFrame
from depth_pro_ros.ros.images import encode_rgb
from depth_pro_ros.ros.standins import tf_transformations

WORLD = "world"


def image_message(frame: CameraFrame, header: Header) -> Image:
    """Return the image in its source's own encoding, else as rgb8."""
    own = frame.encoded
    if own is None:
        return encode_rgb(frame.rgb, header)
    message = Image(header=header, height=own.height, width=own.width, encoding=own.encoding)
    message.is_bigendian, message.step = own.is_bigendian, own.step
    message.data = _bytes(own.data)
    return message


def compressed_message(frame: CameraFrame, quality: int, header: Header) -> CompressedImage:
    """Return the image as JPEG of `quality` 1 to 100, its format as compressed_image_transport writes it."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ImageError(f"OpenCV cannot write an image of shape {frame.rgb.shape} as JPEG; 65535 is its limit")
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=_bytes(data))


def info_message(frame: CameraFrame, header: Header) -> CameraInfo:
    """Return the calibration; with K zero, which means unknown (sensor_msgs/CameraInfo), when there is none."""
    calibration = frame.calibration
    if calibration is None:
        return CameraInfo(header=header, height=frame.rgb.shape[0], width=frame.rgb.shape[1])
    message = info_from_intrinsics(calibration.intrinsics, header)
    if calibration.distortion or calibration.projection:
        message.distortion_model = calibration.distortion_model
        message.d = list(calibration.distortion)
    if calibration.rectification:
        message.r = list(calibration.rectification)
    if calibration.projection:
        message.p = list(calibration.projection)
    message.binning_x, message.binning_y = calibration.binning
    roi = message.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify = calibration.roi
    return message


def odometry_message(pose: Pose, header: Header) -> Odometry:
    """Return the camera's optical frame (`header.frame_id`) in the frame `world`."""
    message = Odometry(child_frame_id=header.frame_id)
    message.header.stamp, message.header.frame_id = header.stamp, WORLD
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    position.x, position.y, position.z = (float(value) for value in pose.T_world_camera[:3, 3])
    quaternion = tf_transformations.quaternion_from_matrix(pose.T_world_camera)
    orientation.x, orientation.y, orientation.z, orientation.w = (float(value) for value in quaternion)
    return message


def _bytes(data: np.ndarray) -> array.array:
    filled = array.array("B")
    filled.frombytes(memoryview(np.ascontiguousarray(data)).cast("B"))
    return filled
