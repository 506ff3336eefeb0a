"""A lifecycle node that works on the newest frame in one thread, tells its health, and survives a bad frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecyclePublisher, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from std_msgs.msg import Header

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.ros import parameters
from depth_pro_ros.ros.frame_slot import FrameThread
from depth_pro_ros.ros.health import Health
from depth_pro_ros.ros.lifecycle import ManagedNode, transition
from depth_pro_ros.ros.parameters import Parameter, Value

STOP_TIMEOUT_S = 10.0
LOG_PERIOD_S = 5.0

Work = tuple[Header, Mapping[str, Any], Mapping[str, float]]


class FrameNode(ManagedNode):
    """What such nodes share; a node fills in `prepare`, `release`, `listen` and `work`.

    Callbacks hand frames to one thread with `offer`, through a slot in which the newest replaces the older. What
    `work` returns is published; a DepthProError costs this frame only, and the diagnostics say why.
    `outputs` maps each topic to its message type.
    """

    def __init__(self, name: str, table: Sequence[Parameter], outputs: Mapping[str, type]) -> None:
        super().__init__(name)
        self._table, self._output_types = table, dict(outputs)
        self._live = tuple(parameter for parameter in table if parameter.live)
        self._thread: FrameThread[Any] | None = None
        self._inputs: list[Any] = []
        self._outputs: dict[str, LifecyclePublisher] = {}
        self._configured = False
        self._state = "unconfigured"
        self._dropped = 0
        parameters.declare(self, table, locked=lambda: self._configured)
        self.health = Health(self.get_fully_qualified_name().lstrip("/"), "depth_pro_ros")
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(1.0, self._publish_diagnostics)

    # What each node fills in.

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Make what the parameters ask for, in configure; raises DepthProError to refuse them."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what `prepare` made; may be called twice."""
        raise NotImplementedError

    def listen(self) -> None:
        """Subscribe, in activate, with `subscribe`."""
        raise NotImplementedError

    def work(self, frame: Any, live: Mapping[str, Value]) -> Work:
        """Return the input's header, topic → message, and stage → milliseconds of one frame, on the thread."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, object]:
        """Return what the diagnostics shall show beside the figures, as of now."""
        return {}

    # What each node uses.

    def subscribe(self, kind: type, topic: str, callback: Callable[[Any], None], depth: int) -> None:
        """Take a topic, BEST_EFFORT, until the node is deactivated."""
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        options = QoSOverridingOptions.with_default_policies()
        self._inputs.append(self.create_subscription(kind, topic, callback, qos, qos_overriding_options=options))

    def offer(self, frame: Any) -> None:
        """Offer a frame to the thread; an older one that it has not taken is dropped."""
        self._thread.slot.put(frame)

    def wanted(self) -> set[str]:
        """Return the topics that have a subscriber."""
        return {topic for topic, publisher in self._outputs.items() if publisher.get_subscription_count() > 0}

    def lose(self, kind: str, reason: str, level: bytes = DiagnosticStatus.WARN) -> None:
        """Count a lost frame as `kind` and say why, in the diagnostics and, now and then, in the log."""
        self.health.problem(kind, reason, level)
        self.get_logger().error(reason, throttle_duration_sec=LOG_PERIOD_S)

    # Lifecycle: the outputs in configure, inputs and the thread in activate; the teardown mirrors it.

    @transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and prepare; on failure say what to do, and stay unconfigured."""
        try:
            self.prepare(parameters.read(self, self._table))
        except DepthProError as error:
            self.get_logger().error(f"not configured: {error}")
            self._release()
            self._state = f"unconfigured: {error}"
            return TransitionCallbackReturn.FAILURE
        self._outputs = {topic: self._advertise(kind, topic) for topic, kind in self._output_types.items()}
        self._configured, self._state = True, "inactive"
        return TransitionCallbackReturn.SUCCESS

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the thread and subscribe."""
        result = super().on_activate(state)
        self.health.reset()
        self._dropped = 0
        self._thread = FrameThread(self._handle, self._min_period_s)
        self.listen()
        self._state = "active"
        return result

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the subscriptions away and stop the thread."""
        self.close()
        self._state = "inactive"
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of what was configured."""
        self._release()
        self._state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, from whatever state."""
        self.close()
        self._release()
        self._state = "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after an unforeseen error in a transition."""
        self.close()
        self._release()
        self._state = "unconfigured: a transition failed unexpectedly, see the log"
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> bool:
        """Take the subscriptions away and stop the thread; False when it is still at work after STOP_TIMEOUT_S."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._thread is None:
            return True
        stopped = self._thread.stop(STOP_TIMEOUT_S)
        self._dropped += self._thread.slot.dropped
        self._thread = None
        return stopped

    def _advertise(self, kind: type, topic: str) -> LifecyclePublisher:
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        options = QoSOverridingOptions.with_default_policies()
        return self.create_lifecycle_publisher(kind, topic, qos, qos_overriding_options=options)

    def _release(self) -> None:
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs, self._configured = {}, False
        self.health.facts = {}
        self.release()

    def _min_period_s(self) -> float:
        rate = self.get_parameter("max_rate").value if self.has_parameter("max_rate") else 0.0
        return 1.0 / rate if rate > 0 else 0.0

    def _publish_diagnostics(self) -> None:
        self.health.facts.update(self.facts(), subscribed=" ".join(sorted(self.wanted())) or "nothing")
        dropped = self._dropped + (self._thread.slot.dropped if self._thread else 0)
        self._diagnostics.publish(self.health.array(self.get_clock().now().to_msg(), self._state, dropped))

    def _handle(self, frame: Any) -> None:
        """Work on a frame and publish; on the thread."""
        thread = self._thread
        try:
            header, messages, stages_ms = self.work(frame, parameters.read(self, self._live))
        except DepthProError as error:
            self.lose("rejected", f"frame lost: {error}")
            return
        except Exception as error:  # noqa: BLE001 - a flying node outlives one frame; the fault is shown as an error
            self.lose("failed", f"frame failed: {type(error).__name__}: {error}", DiagnosticStatus.ERROR)
            return
        if thread is not None and not thread.stopping:
            self._publish(header, messages, stages_ms)

    def _publish(self, header: Header, messages: Mapping[str, Any], stages_ms: Mapping[str, float]) -> None:
        start = time.perf_counter()
        for topic, message in messages.items():
            self._outputs[topic].publish(message)
        publish_ms = (time.perf_counter() - start) * 1e3
        now = self.get_clock().now()
        age_ms = (now - Time.from_msg(header.stamp, now.clock_type)).nanoseconds / 1e6
        self.health.published({**stages_ms, "publish": publish_ms}, age_ms)
