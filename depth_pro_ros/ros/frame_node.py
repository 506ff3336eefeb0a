"""A lifecycle node that works on the newest frame in one thread, tells its health, and survives a bad frame."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.ros import parameters
from depth_pro_ros.ros.channel import Channel
from depth_pro_ros.ros.frame_slot import FrameThread
from depth_pro_ros.ros.lifecycle import ManagedNode, transition
from depth_pro_ros.ros.parameters import Parameter, Value

STOP_TIMEOUT_S = 10.0

Live = Mapping[str, Value]
Work = tuple[Header, Mapping[str, Any], Mapping[str, float]]


class FrameNode(ManagedNode):
    """What such nodes share; a node fills in `prepare`, `release`, `listen` and `work`.

    Callbacks hand frames to one thread with `offer`, through a slot in which the newest replaces the older. What
    `work` returns is published; a DepthProError costs this frame only, and the diagnostics say why.
    `outputs` maps each topic to its message type. A node of several cameras makes a channel of each in `prepare`
    and fills in `work_on`, which gets the frames of up to `at_once` of them.
    """

    def __init__(self, name: str, table: Sequence[Parameter], outputs: Mapping[str, type]) -> None:
        super().__init__(name)
        self._table = table
        self._live = tuple(parameter for parameter in table if parameter.live)
        self._thread: FrameThread[tuple[Channel, Any]] | None = None
        self._configured = False
        self._state = "unconfigured"
        parameters.declare(self, table, locked=self.configured)
        self._own = Channel(self, outputs, facts=lambda: self.facts())
        self.health = self._own.health
        self.channels: Sequence[Channel] = (self._own,)
        self.at_once = 1
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

    def work(self, frame: Any, live: Live) -> Work:
        """Return the input's header, topic → message, and stage → milliseconds of one frame, on the thread.

        In place of a message may stand what makes it, see Channel.send.
        """
        raise NotImplementedError

    def work_on(self, batch: Sequence[tuple[Channel, Any]], live: Live) -> Iterator[tuple[Channel, Work]]:
        """Yield what `work` returns of each frame that is not lost, as soon as it is there, on the thread."""
        for channel, frame in batch:
            work = channel.attempt(functools.partial(self.work, frame, live))
            if work is not None:
                yield channel, work

    def facts(self) -> Mapping[str, object]:
        """Return what the diagnostics shall show beside the figures, as of now."""
        return {}

    # What each node uses.

    def subscribe(self, kind: type, topic: str, callback: Callable[[Any], None], depth: int) -> None:
        """Take a topic, BEST_EFFORT, until the node is deactivated."""
        self._own.subscribe(kind, topic, callback, depth)

    def offer(self, frame: Any, channel: Channel | None = None) -> None:
        """Offer a frame to the thread; an older one of its channel that it has not taken is dropped."""
        channel = channel or self._own
        if self._thread.slots.put((channel, frame), channel):
            channel.health.count("dropped")

    def wanted(self) -> set[str]:
        """Return the topics that have a subscriber."""
        return self._own.wanted()

    def lose(self, kind: str, reason: str, level: bytes = DiagnosticStatus.WARN) -> None:
        """Count a lost frame as `kind` and say why, in the diagnostics and, now and then, in the log."""
        self._own.lose(kind, reason, level)

    def live(self) -> dict[str, Value]:
        """Return the parameters that may change while the node runs, as they are now."""
        return parameters.read(self, self._live)

    def configured(self) -> bool:
        """Return whether the parameters that are not live are in use."""
        return self._configured

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
        for channel in self.channels:
            channel.advertise()
        self._configured, self._state = True, "inactive"
        return TransitionCallbackReturn.SUCCESS

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the thread and subscribe."""
        result = super().on_activate(state)
        for channel in self.channels:
            channel.health.reset()
        self._thread = FrameThread(self._handle, self._min_period_s, self.at_once)
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
        for channel in self.channels:
            channel.silence()
        thread, self._thread = self._thread, None
        return thread is None or thread.stop(STOP_TIMEOUT_S)

    def _release(self) -> None:
        for channel in self.channels:
            channel.withdraw()
        self.channels, self._configured = (self._own,), False
        self.health.facts = {}
        self.release()

    def _min_period_s(self) -> float:
        rate = self.get_parameter("max_rate").value if self.has_parameter("max_rate") else 0.0
        return 1.0 / rate if rate > 0 else 0.0

    def _publish_diagnostics(self) -> None:
        array = DiagnosticArray(status=[channel.status(self._state) for channel in self.channels])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _handle(self, batch: Sequence[tuple[Channel, Any]]) -> None:
        """Work on a frame of each of some channels and publish; on the thread."""
        thread = self._thread
        for channel, work in self.work_on(batch, self.live()):
            if thread is not None and not thread.stopping:
                channel.attempt(functools.partial(channel.publish, *work))
