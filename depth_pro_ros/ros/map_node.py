"""map_node: depth images with poses in; a coloured voxel map of bounded size out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import DepthProError, OutputError
from depth_pro_ros.outputs.mapping import Added, DepthMapper, Keyframes, MapSettings
from depth_pro_ros.ros.calibrated_images import CalibratedImages
from depth_pro_ros.ros.camera_poses import RESTART_NS, OdometryPoses, TfPoses
from depth_pro_ros.ros.depth_images import DepthImages
from depth_pro_ros.ros.frame_node import FrameNode, Work
from depth_pro_ros.ros.images import decode_depth
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.map_inputs import PosesWithCompanions, StampCache
from depth_pro_ros.ros.map_messages import cloud_from_voxels, save_map
from depth_pro_ros.ros.map_parameters import MAP_PARAMETERS
from depth_pro_ros.ros.odometry_messages import mounting
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.posed_images import PosedImages
from depth_pro_ros.ros.stamps import nanoseconds

MAP = "map_points"
POLL_S = 0.02  # how often the depth images that wait are looked at, for poses from TF and for their time-out

Live = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A depth image that goes into the map, where it was taken, and what came with its stamp."""

    depth: Image
    T_world_camera: np.ndarray
    world_frame: str
    color: Image | None
    sigma: Image | None
    map_number: int


class MapNode(FrameNode):
    """Fuses depth images into voxels in the odometry's frame; see the README for topics and parameters.

    Every keyframe is fused whether or not anybody subscribes, since the map may be saved. A stamp that goes back by
    more than a second (a bag that starts again) and an odometry of another frame begin a new map.
    """

    def __init__(self) -> None:
        super().__init__("map_node", MAP_PARAMETERS, {MAP: PointCloud2})
        self._mapper: DepthMapper | None = None
        self._posed: PosedImages | None = None
        self._lock = threading.Lock()
        self._map_number = 0
        self._facts: Mapping[str, object] = {}
        self.create_timer(POLL_S, self._match)
        self.create_service(Trigger, "~/save_map", self._on_save)
        self.create_service(Trigger, "~/clear_map", self._on_clear)

    def prepare(self, values: Live) -> None:
        """Choose where the poses come from; begin an empty map."""
        self._values = values
        T_base_camera = mounting(values["mounting.xyz"], values["mounting.rotation"])
        tf = values["pose_source"] == "tf"
        poses = TfPoses(self, values["world_frame"]) if tf else OdometryPoses(T_base_camera, values["pose_max_gap"])
        self._depths, self._images = DepthImages(), CalibratedImages(values["rectify"])
        self._colors, self._sigmas = StampCache("image"), StampCache("depth/sigma")
        self._caches = (self._colors,) * values["color"] + (self._sigmas,) * values["sigma.topic"]
        self._poses = PosesWithCompanions(poses, self._caches)
        self._poses.world_frame = values["world_frame"] if tf else ""
        self._posed = PosedImages(self._poses, values["pose_timeout"], self._hand_on, self._give_up)
        self._mapper = DepthMapper(map_settings(values))
        self._begin("")

    def release(self) -> None:
        """Let go of the map and of all that waits."""
        self._mapper = self._posed = None
        self._facts = {}

    def facts(self) -> Mapping[str, object]:
        """Return the size of the map and what the newest keyframe did to it."""
        return self._facts

    def listen(self) -> None:
        """Subscribe; the map goes on from where it was."""
        self._newest_ns = 0
        self.subscribe(CameraInfo, "depth/camera_info", self._depths.infos.add, depth=5)
        self.subscribe(Image, "depth/image_rect", self._on_depth, depth=5)
        if self._values["color"]:
            self.subscribe(CameraInfo, "camera_info", self._images.infos.add, depth=5)
            self.subscribe(Image, "image", self._colors.add, depth=5)
        if self._values["sigma.topic"]:
            self.subscribe(Image, "depth/sigma", self._sigmas.add, depth=5)
        if self._values["pose_source"] == "odometry":
            self.subscribe(Odometry, "odometry", self._on_odometry, depth=100)

    def close(self) -> bool:
        """Forget the images that wait, and stop as every such node."""
        if self._posed is not None:
            self._posed.clear()
        return super().close()

    def _begin(self, world_frame: str) -> None:
        """Begin an empty map in a frame; what is under way for the one before will be dropped."""
        with self._lock:
            self._map_number += 1
            self._world_frame, self._stamp = world_frame, None
            self._mapper.voxels.clear()
        values = self._values
        self._keyframes = Keyframes(values["keyframe.distance"], values["keyframe.angle"], values["keyframe.period"])
        self._published_at = -float("inf")
        self._facts = {"voxels": 0, "keyframes": 0}

    # Callbacks, on the executor's thread.

    def _on_depth(self, depth: Image) -> None:
        self.health.count("received")
        stamp_ns = nanoseconds(depth.header)
        if stamp_ns < self._newest_ns - RESTART_NS:
            self.get_logger().warning("the time has jumped back: a new map begins")
            self._posed.clear()
            self._newest_ns = 0
            self._begin(self._poses.world_frame)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        self._posed.add(depth)

    def _on_odometry(self, message: Odometry) -> None:
        self._posed.tell(message)

    def _match(self) -> None:
        if self._posed is not None:
            self._posed.match()

    def _give_up(self, reason: str) -> None:
        self.lose("rejected", f"frame lost: {reason}")

    def _hand_on(self, depth: Image, T_world_camera: np.ndarray) -> None:
        """Offer a depth image with all that it needs, if it is a keyframe."""
        world_frame = self._poses.world_frame
        if world_frame != self._world_frame:
            self._begin(world_frame)
        if self._keyframes.take(nanoseconds(depth.header), T_world_camera):
            color, sigma = (cache.find(depth) for cache in (self._colors, self._sigmas))
            self.offer(Keyframe(depth, T_world_camera, world_frame, color, sigma, self._map_number))

    def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = self._save()
            response.success = True
        except DepthProError as error:
            response.message = str(error)
        return response

    def _on_clear(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._mapper is not None
        response.message = "a new map begins" if response.success else "there is no map: configure the node first"
        if response.success:
            self._begin(self._world_frame)
        return response

    def _save(self) -> str:
        """Write the map; raises OutputError with the reason why not."""
        if self._mapper is None:
            raise OutputError("there is no map: configure the node first")
        with self._lock:
            points, rgb = self._mapper.voxels.solid(self.get_parameter("least_evidence").value)
            frame_id = self._world_frame
        folder, now = self.get_parameter("save_directory").value, self.get_clock().now()
        return save_map(points, rgb if self._values["color"] else None, folder, frame_id, now.nanoseconds)

    # One keyframe, on the thread.

    def work(self, frame: Keyframe, live: Live) -> Work:
        """Return the map, if it is time for one, after a keyframe has gone into it."""
        started = time.perf_counter()
        depth_m, camera = self._depths.read(frame.depth)
        rgb = None if frame.color is None else self._color(frame.color, depth_m.shape)
        sigma = None if frame.sigma is None else decode_depth(frame.sigma)
        decoded = time.perf_counter()
        with self._lock:
            if frame.map_number != self._map_number:
                return frame.depth.header, {}, {}
            added = self._mapper.add(depth_m, camera, frame.T_world_camera, rgb, sigma)
            self._note(added)
            fused = time.perf_counter()
            messages = self._cloud(frame, live)
        laps = {"decode": decoded - started, "fuse": fused - decoded, "cloud": time.perf_counter() - fused}
        return frame.depth.header, messages, {stage: 1e3 * seconds for stage, seconds in laps.items()}

    def _color(self, image: Image, shape: tuple[int, int]) -> np.ndarray:
        """Return the undistorted picture on the depth's pixels."""
        rgb, _ = self._images.rgb(image)
        return rgb if rgb.shape[:2] == shape else cv2.resize(rgb, shape[::-1], interpolation=cv2.INTER_AREA)

    def _note(self, added: Added) -> None:
        self._facts = {
            "voxels": added.voxels,
            "keyframes": self._facts["keyframes"] + 1,
            "carved": added.carved,
            "dropped_voxels": added.dropped,
            "map_mb": round(self._mapper.voxels.nbytes / 1e6, 1),
        }

    def _cloud(self, frame: Keyframe, live: Live) -> dict[str, PointCloud2]:
        """Return the map where it is wanted and due."""
        due = time.monotonic() - self._published_at >= live["publish_period"]
        if not due or MAP not in self.wanted():
            return {}
        self._published_at = time.monotonic()
        points, rgb = self._mapper.voxels.solid(live["least_evidence"])
        header = Header(stamp=frame.depth.header.stamp, frame_id=frame.world_frame)
        return {MAP: cloud_from_voxels(points, rgb if frame.color is not None else None, header)}


def map_settings(values: Live) -> MapSettings:
    """Return the map's settings; raises ConfigurationError for depths the wrong way round."""
    return MapSettings(
        voxel_m=values["voxel"],
        max_voxels=values["max_voxels"],
        window_m=values["window"],
        min_depth_m=values["min_depth"],
        max_depth_m=values["max_depth"],
        stride=values["stride"],
        sigma_relative=values["sigma.relative"],
        edge_share=values["edge_share"],
        most_evidence=values["most_evidence"],
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run map_node as a process."""
    keep_frames()
    return run(MapNode, args)


if __name__ == "__main__":
    sys.exit(main())
