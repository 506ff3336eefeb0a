"""A recorded flight through a scene in a folder: made once, and played to depth_node by the process that this file is.

Each frame carries its number twice: in its frame_id, and in the picture as a row of black and white pixels, so that
a stand-in for the network can tell what it is shown.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.benchmarks.sender import SETTLE_S, wait_for_subscribers
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.child import end_with_parent
from depth_pro_ros.ros.images import encode_rgb
from depth_pro_ros.ros.odometry_messages import message_from_pose
from depth_pro_ros.scenes import World

FOV_DEG, TEXEL_M = 75.0, 0.01
NUMBER_BITS = 16


@dataclass(frozen=True, eq=False)
class Flight:
    """N frames: rgb (N, H, W, 3) uint8, depth_m (N, H, W) float32, T_world_camera (N, 4, 4), and their camera."""

    rgb: np.ndarray
    depth_m: np.ndarray
    T_world_camera: np.ndarray
    camera: Intrinsics


def make(folder: Path, width: int, height: int, rate_hz: float, frames: int) -> None:
    """Render a flight of `frames` at `rate_hz` into `folder`."""
    room = World("aisle", 0, texel_m=TEXEL_M)
    camera = pinhole.centred(width, height, pinhole.focal_from_fov(FOV_DEG, width))
    poses = room.flight(round(room.flight_period_s * rate_hz), rate_hz)
    views = [poses[number % len(poses)].T_world_camera for number in range(frames)]
    seen = [room.render(camera, T) for T in views]
    pictures, depths = [view.rgb for view in seen], [view.depth_m for view in seen]
    pictures = [numbered(rgb, number) for number, rgb in enumerate(pictures)]
    for name, values in (("rgb", pictures), ("depth_m", depths), ("T_world_camera", views)):
        np.save(folder / f"{name}.npy", np.stack(values))


def load(folder: Path) -> Flight:
    """Return the flight in `folder`, mapped from the files."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("rgb", "depth_m", "T_world_camera")}
    height, width = arrays["depth_m"].shape[1:]
    return Flight(**arrays, camera=pinhole.centred(width, height, pinhole.focal_from_fov(FOV_DEG, width)))


def numbered(rgb: np.ndarray, number: int) -> np.ndarray:
    """Return a copy of the picture with `number` in the first pixels of its first row, the lowest bit first."""
    marked = rgb.copy()
    marked[0, :NUMBER_BITS] = 255 * (number >> np.arange(NUMBER_BITS) & 1)[:, None]
    return marked


def number_of(rgb: np.ndarray) -> int:
    """Return the number in a picture."""
    return int((rgb[0, :NUMBER_BITS, 0] > 127) @ (1 << np.arange(NUMBER_BITS)))


def play(node: Node, flight: Flight, rate_hz: float) -> None:
    """Publish calibration, pose and image of each frame at an even pace, under the stamp of its turn."""
    reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    infos = node.create_publisher(CameraInfo, "camera_info", reliable)
    poses = node.create_publisher(Odometry, "odometry", reliable)
    images = node.create_publisher(Image, "image", qos_profile_sensor_data)
    messages = [encode_rgb(np.asarray(rgb), Header(frame_id=str(number))) for number, rgb in enumerate(flight.rgb)]
    wait_for_subscribers(images)
    due = time.monotonic()
    for message, T_world_camera in zip(messages, flight.T_world_camera, strict=True):
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due, time.monotonic() - 0.5 / rate_hz) + 1.0 / rate_hz
        message.header.stamp = node.get_clock().now().to_msg()
        pose = Odometry(child_frame_id="camera")
        pose.header.stamp, pose.header.frame_id = message.header.stamp, "odom"
        pose.pose.pose = message_from_pose(T_world_camera)
        infos.publish(info_from_intrinsics(flight.camera, message.header))
        poses.publish(pose)
        images.publish(message)
    time.sleep(SETTLE_S)


def main(args: Sequence[str] | None = None) -> int:
    """Play the flight in the folder FOLDER at RATE Hz, and print {"sent"}."""
    folder, rate_hz = sys.argv[1:] if args is None else args
    end_with_parent()
    rclpy.init(args=[])
    node, flight = rclpy.create_node("flight"), load(Path(folder))
    try:
        play(node, flight, float(rate_hz))
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print(json.dumps({"sent": len(flight.rgb)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
