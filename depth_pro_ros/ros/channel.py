"""One side of a node: the topics of one camera, its health, and what becomes of its frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.time import Time
from std_msgs.msg import Header

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.ros.health import Health

LOG_PERIOD_S = 5.0

R = TypeVar("R")


@dataclass(frozen=True)
class Fault:
    """Why a frame is lost: what it is counted as, the reason in words, and the level of diagnostics."""

    kind: str
    reason: str
    level: bytes


def attempt(step: Callable[[], R]) -> R | Fault:
    """Return what `step` returns, or why it did not: a frame may be lost, the thread goes on with the next."""
    try:
        return step()
    except DepthProError as error:
        return Fault("rejected", f"frame lost: {error}", DiagnosticStatus.WARN)
    except Exception as error:  # noqa: BLE001 - a flying node outlives one frame; the fault is shown as an error
        return Fault("failed", f"frame failed: {type(error).__name__}: {error}", DiagnosticStatus.ERROR)


class Channel:
    """What a node hears and says of one camera.

    With a `name` its topics are under that namespace and its diagnostics are its own, "NODE: NAME"; without one the
    topics are the node's. `outputs` maps topic → message type, `facts()` is what the diagnostics show beside the
    figures, as of now.
    """

    def __init__(
        self,
        node: LifecycleNode,
        outputs: Mapping[str, type],
        name: str = "",
        facts: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self.name = name
        self._node, self._output_types, self._facts = node, dict(outputs), facts
        self._inputs: list[Subscription] = []
        self._outputs: dict[str, LifecyclePublisher] = {}
        own = node.get_fully_qualified_name().lstrip("/")
        self.health = Health(f"{own}: {name}" if name else own, name or "depth_pro_ros")

    # Topics.

    def advertise(self) -> None:
        """Create the publishers, RELIABLE unless QoS overrides say otherwise."""
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        for topic, kind in self._output_types.items():
            options = QoSOverridingOptions.with_default_policies()
            self._outputs[topic] = self._node.create_lifecycle_publisher(
                kind, self._named(topic), qos, qos_overriding_options=options
            )

    def withdraw(self) -> None:
        """Destroy the publishers."""
        for publisher in self._outputs.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._outputs = {}

    def subscribe(self, kind: type, topic: str, callback: Callable[[Any], None], depth: int) -> None:
        """Take a topic, BEST_EFFORT unless QoS overrides say otherwise, until `silence`."""
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        options = QoSOverridingOptions.with_default_policies()
        self._inputs.append(
            self._node.create_subscription(kind, self._named(topic), callback, qos, qos_overriding_options=options)
        )

    def silence(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._inputs:
            self._node.destroy_subscription(subscription)
        self._inputs = []

    def wanted(self) -> set[str]:
        """Return the topics that have a subscriber, as `outputs` names them."""
        return {topic for topic, publisher in self._outputs.items() if publisher.get_subscription_count() > 0}

    def _named(self, topic: str) -> str:
        return f"{self.name}/{topic}" if self.name else topic

    def of_camera(self, text: str) -> str:
        """Return a text that says of which camera it speaks, where there are several."""
        return f"{self.name}: {text}" if self.name else text

    # Frames.

    def attempt(self, step: Callable[[], R]) -> R | None:
        """Return what a step of a frame's work returns; None when it fails, which costs the frame and is told."""
        result = attempt(step)
        if not isinstance(result, Fault):
            return result
        self.lose(result.kind, result.reason, result.level)
        return None

    def lose(self, kind: str, reason: str, level: bytes = DiagnosticStatus.WARN) -> None:
        """Count a lost frame as `kind` and say why, in the diagnostics and, now and then, in the log."""
        self.health.problem(kind, reason, level)
        self._node.get_logger().error(self.of_camera(reason), throttle_duration_sec=LOG_PERIOD_S)

    def publish(self, header: Header, messages: Mapping[str, Any], stages_ms: Mapping[str, float]) -> None:
        """Publish topic → message of a frame, in this order, and note it with its age and the time of each stage."""
        stages_ms = {**stages_ms, **self.send(messages)}
        now = self._node.get_clock().now()
        age_ms = (now - Time.from_msg(header.stamp, now.clock_type)).nanoseconds / 1e6
        self.health.published(stages_ms, age_ms)

    def send(self, messages: Mapping[str, Any]) -> dict[str, float]:
        """Publish topic → message, and return stage → milliseconds of it.

        In place of a message may stand what makes it, or None where there is none: it is made when its turn comes.
        """
        making = publishing = 0.0
        for topic, message in messages.items():
            start = time.perf_counter()
            message = message() if callable(message) else message
            made = time.perf_counter()
            if message is not None:
                self._outputs[topic].publish(message)
            making, publishing = making + made - start, publishing + time.perf_counter() - made
        return {"messages": 1e3 * making, "publish": 1e3 * publishing}

    def status(self, state: str) -> DiagnosticStatus:
        """Return the diagnostics as of now; `state` is the node's."""
        self.health.facts.update(self._facts(), subscribed=" ".join(sorted(self.wanted())) or "nothing")
        return self.health.status(state)
