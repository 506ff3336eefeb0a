"""depth_node: camera images in, metric depth, camera_info and point clouds out."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.inference import Predictor
from depth_pro_ros.ros.cues import CUES
from depth_pro_ros.ros.depth_fusion import DepthFusion
from depth_pro_ros.ros.depth_outputs import FOCAL, TYPES, messages
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame, DepthPipeline, ImageMessage
from depth_pro_ros.ros.frame_node import FrameNode, Work
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.saved_frame import save_frame

UNTRAINED = "THE WEIGHTS ARE UNTRAINED, THE DEPTH MEANS NOTHING: name trained ones in the parameter 'weights'"


class DepthNode(FrameNode):
    """Runs Depth Pro on a camera's images; see the README for topics, services and parameters.

    `load` makes the predictor, for tests.
    """

    def __init__(self, load: Callable[..., Predictor] = Predictor.load):
        super().__init__("depth_node", DEPTH_PARAMETERS, TYPES)
        self._load = load
        self._pipeline: DepthPipeline | None = None
        self._fusion: DepthFusion | None = None
        self._newest: DepthFrame | None = None
        self.create_service(Trigger, "~/reset_focal", self._on_reset_focal)
        self.create_service(Trigger, "~/recalibrate_scale", self._on_recalibrate_scale)
        self.create_service(Trigger, "~/save_frame", self._on_save_frame)

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Load the weights and warm up."""
        predictor = self._load(
            values["weights"],
            device=values["device"],
            precision=values["precision"],
            max_range_m=values["max_range"],
            patch_batch=values["patch_batch"],
            compile=values["compile"],
            log=self.get_logger().warning,
        )
        warm_up_s = predictor.warm_up()
        self.health.facts.update(predictor.description, warm_up_s=round(warm_up_s, 2))
        self.get_logger().info(f"{predictor.description}, warmed up in {warm_up_s:.1f} s")
        if not predictor.description["trained"]:
            self.get_logger().warning(UNTRAINED)
        self._pipeline = DepthPipeline(predictor, values)
        self._fusion = DepthFusion(values) if values["fusion.enabled"] else None

    def release(self) -> None:
        """Let go of the weights."""
        self._pipeline = self._fusion = self._newest = None

    def listen(self) -> None:
        """Subscribe to the camera and to the cues."""
        self._pipeline.start()
        compressed = self.get_parameter("image_transport").value == "compressed"
        topic, kind = ("image/compressed", CompressedImage) if compressed else ("image", Image)
        self.subscribe(CameraInfo, "camera_info", self._pipeline.infos.add, depth=5)
        self.subscribe(kind, topic, self._on_image, depth=1)
        if self._fusion is not None:
            for cue, (cue_kind, _) in CUES.items():
                self.subscribe(cue_kind, cue, functools.partial(self._fusion.add, cue), depth=5)

    def facts(self) -> Mapping[str, object]:
        """Return the scale and its health."""
        return self._fusion.facts() if self._fusion is not None else {}

    # Callbacks, on the executor's thread.

    def _on_image(self, image: ImageMessage) -> None:
        self.health.count("received")
        if self.wanted() and not self._pipeline.must_wait(image):
            self.offer(image)

    def _on_reset_focal(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        act = self._pipeline and self._pipeline.reset_focal
        return self._reset(act, "the focal length is estimated anew", response)

    def _on_recalibrate_scale(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        act = self._fusion and self._fusion.reset
        return self._reset(act, "the next good cue sets the scale anew", response)

    def _reset(self, act: Callable[[], None] | None, done: str, response: Trigger.Response) -> Trigger.Response:
        response.success = act is not None
        response.message = done if act is not None else "there is nothing to reset: configure the node first"
        if act is not None:
            act()
        return response

    def _on_save_frame(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        folder = self.get_parameter("save_directory").value
        try:
            response.message = save_frame(self._newest, folder, self.get_clock().now().nanoseconds)
            response.success = True
        except DepthProError as error:
            response.message = str(error)
        return response

    # One frame, on the inference thread.

    def work(self, image: ImageMessage, live: Mapping[str, Value]) -> Work:
        """Infer, fuse, and make the messages that somebody listens to."""
        topics, header = self.wanted(), image.header
        fusion = self._fusion
        if fusion is not None:
            fusion.expect(header)
        frame = self._pipeline.process(image, live, believe=FOCAL in topics)
        if fusion is not None:
            frame = fusion.apply(frame, header)
        start = time.perf_counter()
        made = messages(frame, live, header, topics)
        self._newest = frame
        return header, made, {**frame.stages_ms, "messages": (time.perf_counter() - start) * 1e3}


def main(args: Sequence[str] | None = None, load: Callable[..., Predictor] = Predictor.load) -> int:
    """Run depth_node as a process."""
    return run(functools.partial(DepthNode, load), args)


if __name__ == "__main__":
    sys.exit(main())
