"""depth_node: images of one or several cameras in, metric depth, camera_info and point clouds out."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rclpy.timer import Timer
from std_srvs.srv import Trigger

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import ConfigurationError, DepthProError
from depth_pro_ros.inference import IncrementalOptions, Predictor
from depth_pro_ros.records import DepthMap
from depth_pro_ros.ros.camera_names import camera_names, own_values
from depth_pro_ros.ros.channel import Fault, attempt
from depth_pro_ros.ros.depth_camera import DepthCamera, View, infer
from depth_pro_ros.ros.depth_outputs import TYPES
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import ImageMessage
from depth_pro_ros.ros.frame_node import FrameNode, Live, Work
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.saved_frame import save_frame

POLL_S = 0.01  # how often poses are looked for that TF has got meanwhile
UNTRAINED = "THE WEIGHTS ARE UNTRAINED, THE DEPTH MEANS NOTHING: name trained ones in the parameter 'weights'"


class DepthNode(FrameNode):
    """Runs Depth Pro on the images of its cameras; see the README for topics, services and parameters.

    One set of weights serves all cameras: on the inference thread the newest image of each that waits goes through
    the network together with the others'. `load` makes the predictor, for tests.
    """

    def __init__(self, load: Callable[..., Predictor] = Predictor.load):
        super().__init__("depth_node", DEPTH_PARAMETERS, TYPES)
        self._load = load
        self._predictor: Predictor | None = None
        self._cameras: Sequence[DepthCamera] = ()
        self._poll: Timer | None = None
        self.create_service(Trigger, "~/reset_focal", self._on_reset_focal)
        self.create_service(Trigger, "~/recalibrate_scale", self._on_recalibrate_scale)
        self.create_service(Trigger, "~/save_frame", self._on_save_frame)

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Make the cameras, load the weights and warm up."""
        names = camera_names(values["cameras"])
        own = {name: own_values(self, DEPTH_PARAMETERS, values, name, self.configured) for name in names}
        self._cameras = self.channels = [DepthCamera(self, name, own[name], self.live) for name in names]
        self.at_once = int(values["max_batch"])
        self._predictor = self._load(
            values["weights"],
            device=values["device"],
            precision=values["precision"],
            max_range_m=values["max_range"],
            patch_batch=values["patch_batch"],
            compile=values["compile"],
            log=self.get_logger().warning,
            backend=values["backend"],
            quality=values["quality"],
            incremental=_incremental(values, len(names)),
            max_memory_gb=values["max_memory_gb"],
        )
        self._warm_up(self._predictor)

    def _warm_up(self, predictor: Predictor) -> None:
        warm_up_s = predictor.warm_up()
        for camera in self._cameras:
            camera.health.facts.update(predictor.description, warm_up_s=round(warm_up_s, 2))
        self.get_logger().info(f"{predictor.description}, warmed up in {warm_up_s:.1f} s")
        if not predictor.description["trained"]:
            self.get_logger().warning(UNTRAINED)

    def release(self) -> None:
        """Let go of the weights and of all that is known of the cameras."""
        self._predictor, self._cameras = None, ()

    def listen(self) -> None:
        """Subscribe to each camera, to its cues and to its poses."""
        for camera in self._cameras:
            camera.listen(functools.partial(self.offer, channel=camera))
        if self.get_parameter("propagation.enabled").value:
            self._poll = self.create_timer(POLL_S, self._match_poses)

    def close(self) -> bool:
        """Stop carrying, then stop as every such node."""
        if self._poll is not None:
            self.destroy_timer(self._poll)
            self._poll = None
        stopped = [camera.stop_carrying() for camera in self._cameras]
        return super().close() and all(stopped)

    # Callbacks, on the executor's thread.

    def _match_poses(self) -> None:
        for camera in self._cameras:
            camera.match_poses()

    def _on_reset_focal(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._each(DepthCamera.reset_focal, response)

    def _on_recalibrate_scale(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._each(DepthCamera.recalibrate_scale, response)

    def _on_save_frame(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        folder, now_ns = Path(self.get_parameter("save_directory").value), self.get_clock().now().nanoseconds
        return self._each(lambda camera: save_frame(camera.newest, folder / camera.name, now_ns), response)

    def _each(self, act: Callable[[DepthCamera], str], response: Trigger.Response) -> Trigger.Response:
        """Do something with every camera; it is a success when it is one with each, and the answer tells of each."""
        response.success, told = bool(self._cameras), []
        for camera in self._cameras:
            try:
                told.append(camera.of_camera(act(camera)))
            except DepthProError as error:
                response.success = False
                told.append(camera.of_camera(str(error)))
        response.message = "; ".join(told) or "the node has no cameras yet: configure it first"
        return response

    # One image of each of some cameras, on the inference thread.

    def work_on(
        self, batch: Sequence[tuple[DepthCamera, ImageMessage]], live: Live
    ) -> Iterator[tuple[DepthCamera, Work]]:
        """Yield what there is to publish of each camera's image; one that is bad costs no other camera's."""
        looks = (camera.attempt(functools.partial(camera.look, image, live)) for camera, image in batch)
        for view, depth in self._infer([view for view in looks if view is not None], live):
            work = view.camera.attempt(functools.partial(view.camera.finish, view, depth, live))
            if work is not None:
                yield view.camera, work

    def _infer(self, views: Sequence[View], live: Live) -> Iterator[tuple[View, DepthMap]]:
        """Yield each view with its depth; where a batch fails, its views are inferred one by one."""
        if len(views) > 1:
            depths = attempt(functools.partial(infer, self._predictor, views, live))
            if not isinstance(depths, Fault):
                yield from zip(views, depths, strict=True)
                return
            self.get_logger().warning(
                f"{len(views)} images together, which are now tried one by one (see 'max_batch'): {depths.reason}"
            )
        for view in views:
            depths = view.camera.attempt(functools.partial(infer, self._predictor, [view], live))
            if depths is not None:
                yield view, depths[0]


def _incremental(values: Mapping[str, Value], cameras: int) -> IncrementalOptions | None:
    """Return how consecutive images are inferred; raises ConfigurationError for several cameras."""
    if not values["incremental.enabled"]:
        return None
    if cameras > 1:
        raise ConfigurationError(
            f"incremental.enabled is for the images of one camera, and there are {cameras}: turn it off, or run a "
            "depth_node for each camera"
        )
    frames = (int(values[f"incremental.{name}"]) for name in ("refresh_frames", "image_every"))
    return IncrementalOptions(float(values["incremental.threshold"]), *frames)


def main(args: Sequence[str] | None = None, load: Callable[..., Predictor] = Predictor.load) -> int:
    """Run depth_node as a process."""
    keep_frames()
    return run(functools.partial(DepthNode, load), args)


if __name__ == "__main__":
    sys.exit(main())
