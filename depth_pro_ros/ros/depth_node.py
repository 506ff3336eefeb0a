"""depth_node: camera images in, metric depth, camera_info and point clouds out."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.inference import Predictor
from depth_pro_ros.ros import parameters
from depth_pro_ros.ros.depth_outputs import FOCAL, DepthOutputs
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame, DepthPipeline, ImageMessage
from depth_pro_ros.ros.frame_slot import FrameThread
from depth_pro_ros.ros.health import Health
from depth_pro_ros.ros.lifecycle import ManagedNode, run, transition
from depth_pro_ros.ros.saved_frame import save_frame

LIVE_PARAMETERS = tuple(parameter for parameter in DEPTH_PARAMETERS if parameter.live)
STOP_TIMEOUT_S = 10.0
LOG_PERIOD_S = 5.0
UNTRAINED = "THE WEIGHTS ARE UNTRAINED, THE DEPTH MEANS NOTHING: name trained ones in the parameter 'weights'"


class DepthNode(ManagedNode):
    """Runs Depth Pro on a camera's images; see the README for topics, services and parameters.

    Callbacks only hand frames to one inference thread, through a slot in which the newest replaces the
    older. `load` makes the predictor, for tests.
    """

    def __init__(self, load: Callable[..., Predictor] = Predictor.load):
        super().__init__("depth_node")
        self._load = load
        self._thread: FrameThread[ImageMessage] | None = None
        self._pipeline: DepthPipeline | None = None
        self._outputs: DepthOutputs | None = None
        self._newest: DepthFrame | None = None
        self._inputs: list = []
        self._state = "unconfigured"
        self._dropped = 0
        parameters.declare(self, DEPTH_PARAMETERS, locked=lambda: self._pipeline is not None)
        self._health = Health(self.get_fully_qualified_name().lstrip("/"), "depth_pro_ros")
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(1.0, self._publish_diagnostics)
        self.create_service(Trigger, "~/reset_focal", self._on_reset_focal)
        self.create_service(Trigger, "~/save_frame", self._on_save_frame)

    # Lifecycle: weights in configure, inputs and the thread in activate; the teardown mirrors it.

    @transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and warm up; on failure say what to do, and stay unconfigured."""
        try:
            values = parameters.read(self, DEPTH_PARAMETERS)
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
        except DepthProError as error:
            self.get_logger().error(f"not configured: {error}")
            self._state = f"unconfigured: {error}"
            return TransitionCallbackReturn.FAILURE
        self._health.facts = {**predictor.description, "warm_up_s": round(warm_up_s, 2)}
        self.get_logger().info(f"{predictor.description}, warmed up in {warm_up_s:.1f} s")
        if not predictor.description["trained"]:
            self.get_logger().warning(UNTRAINED)
        self._pipeline = DepthPipeline(predictor, values)
        self._outputs = DepthOutputs(self)
        self._state = "inactive"
        return TransitionCallbackReturn.SUCCESS

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the inference thread."""
        result = super().on_activate(state)
        self._health.reset()
        self._dropped = 0
        self._pipeline.start()
        self._thread = FrameThread(self._infer, self._min_period_s)
        compressed = self.get_parameter("image_transport").value == "compressed"
        topic, kind = ("image/compressed", CompressedImage) if compressed else ("image", Image)
        self._inputs = [
            self._subscribe(CameraInfo, "camera_info", self._on_camera_info, depth=5),
            self._subscribe(kind, topic, self._on_image, depth=1),
        ]
        self._state = "active"
        return result

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the thread and take the subscriptions away."""
        self._stop_inputs()
        self._state = "inactive"
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the weights and the publishers."""
        self._release()
        self._state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, from whatever state."""
        self._stop_inputs()
        self._release()
        self._state = "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after an unforeseen error in a transition."""
        self._stop_inputs()
        self._release()
        self._state = "unconfigured: a transition failed unexpectedly, see the log"
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> bool:
        """Stop the inference thread; False when it is still at work after STOP_TIMEOUT_S."""
        return self._stop_inputs()

    def _subscribe(self, kind: type, topic: str, callback: Callable, depth: int):  # noqa: ANN202
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        options = QoSOverridingOptions.with_default_policies()
        return self.create_subscription(kind, topic, callback, qos, qos_overriding_options=options)

    def _stop_inputs(self) -> bool:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._thread is None:
            return True
        stopped = self._thread.stop(STOP_TIMEOUT_S)
        self._dropped += self._thread.slot.dropped
        self._thread = None
        return stopped

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = self._pipeline = self._newest = None
        self._health.facts = {}

    # Callbacks, on the executor's thread.

    def _on_camera_info(self, info: CameraInfo) -> None:
        self._pipeline.infos.add(info)

    def _on_image(self, image: ImageMessage) -> None:
        self._health.count("received")
        if self._outputs.wanted() and not self._pipeline.must_wait(image):
            self._thread.slot.put(image)

    def _on_reset_focal(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._pipeline is not None
        response.message = "the focal length is estimated anew" if response.success else f"the node is {self._state}"
        if response.success:
            self._pipeline.reset_focal()
        return response

    def _on_save_frame(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        folder = self.get_parameter("save_directory").value
        try:
            response.message = save_frame(self._newest, folder, self.get_clock().now().nanoseconds)
            response.success = True
        except DepthProError as error:
            response.message = str(error)
        return response

    def _publish_diagnostics(self) -> None:
        dropped = self._dropped + (self._thread.slot.dropped if self._thread else 0)
        wanted = self._outputs.wanted() if self._outputs else ()
        self._health.facts["subscribed"] = " ".join(sorted(wanted)) or "nothing"
        self._diagnostics.publish(self._health.array(self.get_clock().now().to_msg(), self._state, dropped))

    # One frame, on the inference thread.

    def _min_period_s(self) -> float:
        rate = self.get_parameter("max_rate").value
        return 1.0 / rate if rate > 0 else 0.0

    def _infer(self, image: ImageMessage) -> None:
        thread = self._thread
        live = parameters.read(self, LIVE_PARAMETERS)
        topics = self._outputs.wanted()
        try:
            frame = self._pipeline.process(image, live, believe=FOCAL in topics)
        except DepthProError as error:
            self._lose("rejected", f"frame lost: {error}", DiagnosticStatus.WARN)
            return
        except Exception as error:  # noqa: BLE001 - a flying node outlives one frame; the fault is shown as an error
            self._lose("failed", f"frame failed: {type(error).__name__}: {error}", DiagnosticStatus.ERROR)
            return
        if not thread.stopping:
            self._publish(image, frame, live, topics)

    def _publish(self, image: ImageMessage, frame: DepthFrame, live: dict, topics: set[str]) -> None:
        before = self.get_clock().now()
        self._outputs.publish(frame, live, image.header, topics)
        after = self.get_clock().now()
        self._newest = frame
        age = (after - Time.from_msg(image.header.stamp, after.clock_type)).nanoseconds / 1e6
        self._health.published({**frame.stages_ms, "publish": (after - before).nanoseconds / 1e6}, age)

    def _lose(self, kind: str, reason: str, level: bytes) -> None:
        self._health.problem(kind, reason, level)
        self.get_logger().error(reason, throttle_duration_sec=LOG_PERIOD_S)


def main(args: Sequence[str] | None = None, load: Callable[..., Predictor] = Predictor.load) -> int:
    """Run depth_node as a process."""
    return run(functools.partial(DepthNode, load), args)


if __name__ == "__main__":
    sys.exit(main())
