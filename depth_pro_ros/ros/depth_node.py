"""depth_node: camera images in, metric depth, camera_info and point clouds out."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.inference import Predictor
from depth_pro_ros.ros.cues import CUES
from depth_pro_ros.ros.depth_fusion import DepthFusion
from depth_pro_ros.ros.depth_outputs import FOCAL, IMAGE_RATE, TYPES, messages
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame, DepthPipeline, ImageMessage
from depth_pro_ros.ros.depth_propagation import DepthPropagation, PosedImage, camera_poses
from depth_pro_ros.ros.frame_node import LOG_PERIOD_S, STOP_TIMEOUT_S, FrameNode, Work
from depth_pro_ros.ros.frame_slot import FrameThread
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.saved_frame import save_frame

POLL_S = 0.01  # how often poses are looked for that TF has got meanwhile
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
        self._propagation: DepthPropagation | None = None
        self._carrying: FrameThread[PosedImage] | None = None
        self._poll: Timer | None = None
        self._publishing = threading.Lock()
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
            backend=values["backend"],
        )
        warm_up_s = predictor.warm_up()
        self.health.facts.update(predictor.description, warm_up_s=round(warm_up_s, 2))
        self.get_logger().info(f"{predictor.description}, warmed up in {warm_up_s:.1f} s")
        if not predictor.description["trained"]:
            self.get_logger().warning(UNTRAINED)
        self._pipeline = DepthPipeline(predictor, values)
        self._fusion = DepthFusion(values) if values["fusion.enabled"] else None
        if values["propagation.enabled"]:
            self._propagation = DepthPropagation(values, camera_poses(self, values), self._hand_on, self._warn)

    def release(self) -> None:
        """Let go of the weights."""
        self._pipeline = self._fusion = self._propagation = self._newest = None

    def listen(self) -> None:
        """Subscribe to the camera, to the cues and to the poses."""
        self._pipeline.start()
        compressed = self.get_parameter("image_transport").value == "compressed"
        topic, kind = ("image/compressed", CompressedImage) if compressed else ("image", Image)
        self.subscribe(CameraInfo, "camera_info", self._pipeline.infos.add, depth=5)
        self.subscribe(kind, topic, self._on_image, depth=1)
        if self._fusion is not None:
            for cue, (cue_kind, _) in CUES.items():
                self.subscribe(cue_kind, cue, functools.partial(self._fusion.add, cue), depth=5)
        if self._propagation is not None:
            self._listen_to_poses(self._propagation)

    def _listen_to_poses(self, propagation: DepthPropagation) -> None:
        propagation.reset()
        self._carrying = FrameThread(self._handle)
        self._poll = self.create_timer(POLL_S, propagation.match)
        if propagation.needs_odometry:
            self.subscribe(Odometry, "odometry", propagation.take_odometry, depth=100)

    def close(self) -> bool:
        """Stop carrying, then stop as every such node."""
        if self._poll is not None:
            self.destroy_timer(self._poll)
        stopped = self._carrying is None or self._carrying.stop(STOP_TIMEOUT_S)
        self._poll = self._carrying = None
        return super().close() and stopped

    def facts(self) -> Mapping[str, object]:
        """Return the scale and its health, and where the depth comes from."""
        facts = dict(self._fusion.facts()) if self._fusion is not None else {}
        if self._propagation is not None:
            facts.update(self._propagation.facts())
        return facts

    # Callbacks, on the executor's thread.

    def _on_image(self, image: ImageMessage) -> None:
        self.health.count("received")
        if not self.wanted() or self._pipeline.must_wait(image):
            return
        if self._propagation is None or self._propagation.take_image(image):
            self.offer(image)

    def _hand_on(self, posed: PosedImage) -> None:
        if self._carrying is not None:
            self._carrying.slot.put(posed)

    def _warn(self, reason: str) -> None:
        self.health.problem("uncarried", reason)
        self.get_logger().warning(reason, throttle_duration_sec=LOG_PERIOD_S)

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

    # One frame, on the inference thread or, with its pose, on the carrying thread.

    def work(self, frame: ImageMessage | PosedImage, live: Mapping[str, Value]) -> Work:
        """Make the messages that somebody listens to, of an image's own depth or of depth that is carried to it."""
        return self._carry(frame, live) if isinstance(frame, PosedImage) else self._infer(frame, live)

    def _infer(self, image: ImageMessage, live: Mapping[str, Value]) -> Work:
        """Infer and fuse; depth that comes too late to be published is left for later images to be carried to them."""
        topics, header = self.wanted(), image.header
        fusion, propagation = self._fusion, self._propagation
        if fusion is not None:
            fusion.expect(header)
        frame = self._pipeline.process(image, live, believe=FOCAL in topics)
        if fusion is not None:
            frame = fusion.apply(frame, header)
        if propagation is not None:
            frame = propagation.take_keyframe(frame, header)
            topics -= frozenset() if propagation.in_time(header) else IMAGE_RATE
        return self._made(frame, live, header, topics)

    def _carry(self, posed: PosedImage, live: Mapping[str, Value]) -> Work:
        """Carry the last keyframe to an image; nothing when nobody listens or it comes too late."""
        header, topics = posed.image.header, self.wanted() & IMAGE_RATE
        if not topics or not self._propagation.in_time(header):
            return header, {}, {}
        frame = self._propagation.carry(posed, self._pipeline.picture(posed.image), live)
        return (header, {}, {}) if frame is None else self._made(frame, live, header, topics)

    def _made(self, frame: DepthFrame, live: Mapping[str, Value], header: Header, topics: set[str]) -> Work:
        start = time.perf_counter()
        made = messages(frame, live, header, topics)
        if self._propagation is None or IMAGE_RATE & topics:
            self._newest = frame
        return header, made, {**frame.stages_ms, "messages": (time.perf_counter() - start) * 1e3}

    def _publish(self, header: Header, messages: Mapping[str, Any], stages_ms: Mapping[str, float]) -> None:
        """Publish; of depth that is carried, too, only what keeps the order of stamps, one thread at a time."""
        if self._propagation is None:
            super()._publish(header, messages, stages_ms)
            return
        with self._publishing:
            source = "carried" if "warp" in stages_ms else "keyframe"
            admitted = self._propagation.admit(header, messages, source)
            if IMAGE_RATE & admitted.keys():
                super()._publish(header, admitted, stages_ms)
            else:
                for topic, message in admitted.items():
                    self._outputs[topic].publish(message)
                self.health.worked(stages_ms)


def main(args: Sequence[str] | None = None, load: Callable[..., Predictor] = Predictor.load) -> int:
    """Run depth_node as a process."""
    return run(functools.partial(DepthNode, load), args)


if __name__ == "__main__":
    sys.exit(main())
