"""One camera of depth_node: its topics, its health, and all that is remembered from one of its frames to the next."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference import FocalFilter, Predictor
from depth_pro_ros.records import DepthMap
from depth_pro_ros.ros.channel import LOG_PERIOD_S, Channel
from depth_pro_ros.ros.cues import CUES
from depth_pro_ros.ros.depth_fusion import DepthFusion
from depth_pro_ros.ros.depth_outputs import FOCAL, IMAGE_RATE, TYPES, makers
from depth_pro_ros.ros.depth_pipeline import DepthFrame, DepthPipeline, ImageMessage, Picture
from depth_pro_ros.ros.depth_propagation import DepthPropagation, PosedImage, camera_poses
from depth_pro_ros.ros.frame_node import STOP_TIMEOUT_S, Live, Work
from depth_pro_ros.ros.frame_slot import FrameThread
from depth_pro_ros.ros.parameters import Value


@dataclass(frozen=True, eq=False)
class View:
    """An image that is ready for the network, and what is wanted of it: the depth's `size` (w, h), and topics."""

    camera: DepthCamera
    header: Header
    picture: Picture
    size: tuple[int, int]
    topics: set[str]


def infer(predictor: Predictor, views: Sequence[View], live: Live) -> list[DepthMap]:
    """Return the depth of each view, in one forward pass; raises InferenceError, which loses them all."""
    predictor.max_range_m = float(live["max_range"])
    depths = predictor.predict_batch(
        [view.picture.rgb for view in views],
        [view.picture.camera for view in views],
        size=[view.size for view in views],
        estimate_focal=any(FOCAL in view.topics for view in views),
        focal_filter=[view.camera.used_focal for view in views],
    )
    for view in views:
        view.camera.batch, view.camera.inferred = len(views), predictor.figures()
    return depths


class DepthCamera(Channel):
    """What depth_node does for one camera; nothing in here is another camera's."""

    def __init__(self, node: LifecycleNode, name: str, values: Mapping[str, Value], live: Callable[[], Live]) -> None:
        """Take the camera's own parameters, and a function that gives the live ones; `name` is empty for the only one.

        Raises ConfigurationError for a source of poses that cannot be used.
        """
        super().__init__(node, TYPES, name, self._state_facts)
        self._values, self._live = values, live
        self._pipeline = DepthPipeline(values)
        self._fusion = DepthFusion(values) if values["fusion.enabled"] else None
        self._propagation: DepthPropagation | None = None
        if values["propagation.enabled"]:
            self._propagation = DepthPropagation(values, camera_poses(node, values), self._hand_on, self._warn)
        self._carrying: FrameThread[PosedImage] | None = None
        self._publishing = threading.Lock()
        self.newest: DepthFrame | None = None
        self.inferred: Mapping[str, object] = {}  # what incremental inference did for the last frame
        self.batch = 0  # images that went through the network together, this camera's last one among them

    def listen(self, offer: Callable[[ImageMessage], None]) -> None:
        """Subscribe to the camera, to the cues and to the poses; `offer` takes the images that are to be inferred."""
        self._pipeline.start()
        compressed = self._values["image_transport"] == "compressed"
        topic, kind = ("image/compressed", CompressedImage) if compressed else ("image", Image)
        self.subscribe(CameraInfo, "camera_info", self._pipeline.infos.add, depth=5)
        self.subscribe(kind, topic, functools.partial(self._on_image, offer), depth=1)
        if self._fusion is not None:
            for cue, (cue_kind, _) in CUES.items():
                self.subscribe(cue_kind, cue, functools.partial(self._fusion.add, cue), depth=5)
        if self._propagation is not None:
            self._propagation.reset()
            self._carrying = FrameThread(self._carry_all)
            if self._propagation.needs_odometry:
                self.subscribe(Odometry, "odometry", self._propagation.take_odometry, depth=100)

    def stop_carrying(self) -> bool:
        """End the thread that carries depth; False when it is still at work after STOP_TIMEOUT_S."""
        carrying, self._carrying = self._carrying, None
        return carrying is None or carrying.stop(STOP_TIMEOUT_S)

    @property
    def used_focal(self) -> FocalFilter:
        """Return what follows the estimated focal length."""
        return self._pipeline.used_focal

    def reset_focal(self) -> str:
        """Estimate the focal length anew, and say so."""
        self._pipeline.reset_focal()
        return "the focal length is estimated anew"

    def recalibrate_scale(self) -> str:
        """Let the next good cue set the scale anew, and say so; raises ConfigurationError where nothing is fused."""
        if self._fusion is None:
            raise ConfigurationError("there is no scale: set fusion.enabled and configure the node again")
        self._fusion.reset()
        return "the next good cue sets the scale anew"

    def _state_facts(self) -> Mapping[str, object]:
        """Return the scale and its health, where the depth comes from, and how many cameras it came for at once."""
        facts: dict[str, object] = {"batch": self.batch}
        facts.update({f"incremental_{name}": value for name, value in self.inferred.items()})
        if self._fusion is not None:
            facts.update(self._fusion.facts())
        if self._propagation is not None:
            facts.update(self._propagation.facts())
        return facts

    # Callbacks, on the executor's thread.

    def _on_image(self, offer: Callable[[ImageMessage], None], image: ImageMessage) -> None:
        self.health.count("received")
        if not self.wanted() or self._pipeline.must_wait(image):
            return
        if self._propagation is None or self._propagation.take_image(image):
            offer(image)

    def match_poses(self) -> None:
        """Look whether poses have come by TF, or will not come any more."""
        if self._propagation is not None:
            self._propagation.match()

    def _hand_on(self, posed: PosedImage) -> None:
        if self._carrying is not None:
            self._carrying.slots.put(posed)

    def _warn(self, reason: str) -> None:
        self.health.problem("uncarried", reason)
        self._node.get_logger().warning(self.of_camera(reason), throttle_duration_sec=LOG_PERIOD_S)

    # One frame, on the inference thread: look, `infer` together with other cameras, finish.

    def look(self, image: ImageMessage, live: Live) -> View:
        """Decode and rectify an image; raises ImageError or CalibrationError."""
        picture = self._pipeline.picture(image)
        if self._fusion is not None:
            self._fusion.expect(image.header)
        return View(self, image.header, picture, picture.size(float(live["output_scale"])), self.wanted())

    def finish(self, view: View, depth: DepthMap, live: Live) -> Work:
        """Fuse; depth that comes too late to be published is left for later images to be carried to them."""
        frame, header, topics = self._pipeline.frame(view.picture, depth), view.header, view.topics
        if self._fusion is not None:
            frame = self._fusion.apply(frame, header)
        if self._propagation is not None:
            frame = self._propagation.take_keyframe(frame, header)
            topics = topics if self._propagation.in_time(header) else topics - IMAGE_RATE
        return self._made(frame, live, header, topics)

    # One image with its pose, on the camera's carrying thread.

    def _carry_all(self, images: Sequence[PosedImage]) -> None:
        carrying = self._carrying
        for posed in images:
            work = self.attempt(functools.partial(self._carry, posed, self._live()))
            if work is not None and carrying is not None and not carrying.stopping:
                self.attempt(functools.partial(self.publish, *work))

    def _carry(self, posed: PosedImage, live: Live) -> Work:
        """Carry the last keyframe to an image; nothing when nobody listens or it comes too late."""
        header, topics = posed.image.header, self.wanted() & IMAGE_RATE
        if not topics or not self._propagation.in_time(header):
            return header, {}, {}
        frame = self._propagation.carry(posed, self._pipeline.picture(posed.image), live)
        return (header, {}, {}) if frame is None else self._made(frame, live, header, topics)

    # On both threads.

    def _made(self, frame: DepthFrame, live: Live, header: Header, topics: set[str]) -> Work:
        """Return what makes the messages that somebody listens to, of a keyframe or of depth that is carried."""
        if self._propagation is None or IMAGE_RATE & topics:
            self.newest = frame
        return header, makers(frame, live, header, topics), frame.stages_ms

    def publish(self, header: Header, messages: Mapping[str, Any], stages_ms: Mapping[str, float]) -> None:
        """Publish; of depth that is carried, too, only what keeps the order of stamps, one thread at a time."""
        if self._propagation is None:
            super().publish(header, messages, stages_ms)
            return
        with self._publishing:
            source = "carried" if "warp" in stages_ms else "keyframe"
            admitted = self._propagation.admit(header, messages, source)
            if IMAGE_RATE & admitted.keys():
                super().publish(header, admitted, stages_ms)
            else:
                self.health.worked({**stages_ms, **self.send(admitted)})
