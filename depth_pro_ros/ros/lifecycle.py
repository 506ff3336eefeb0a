"""What the nodes of this package share: a lifecycle that starts by itself, and a process that ends cleanly."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

GRACE_S = 15.0  # for a node to end after a signal; a network that runs for minutes is then left

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def transition(callback: Transition) -> Transition:
    """Log what goes wrong unforeseen in a transition callback, since rclpy passes over it in silence."""

    @functools.wraps(callback)
    def logged(self: LifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(self, state)
        except Exception:
            self.get_logger().error(f"{callback.__name__} failed unexpectedly:\n{traceback.format_exc()}")
            raise

    return logged


class ManagedNode(LifecycleNode):
    """A lifecycle node with a parameter `autostart`, which its table must have.

    `finished` is completed with the process's exit status when the node has nothing more to do.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.finished: Future = Future()

    def autostart(self) -> bool:
        """Configure and activate when the parameter says so; return False when a transition failed.

        The node then stays where it is, to be corrected.
        """
        if self.get_parameter("autostart").value is False:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def close(self) -> bool:
        """Stop what runs beside the executor; False when it did not end in time."""
        return True


def run(factory: Callable[[], ManagedNode], args: Sequence[str] | None = None) -> int:
    """Spin the node that `factory` makes until SIGINT, SIGTERM or its own end; return the exit status."""
    signalled = _catch_signals()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    executor, node = SingleThreadedExecutor(), factory()
    threading.Thread(target=_finish_on, args=(signalled, node.finished), name="signals", daemon=True).start()
    executor.add_node(node)
    node.autostart()
    executor.spin_until_future_complete(node.finished)
    node.close()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return node.finished.result()


def _catch_signals() -> int:
    """Make SIGINT and SIGTERM do no more than write a byte to a pipe, and return the pipe's end to read it from.

    A KeyboardInterrupt, or rclpy's own handlers, which shut the context down, would break a transition or a
    publication half-way.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return reading


def _finish_on(signalled: int, finished: Future) -> None:
    """Complete `finished` with exit status 0 at the first signal; further ones, as a launcher's, change nothing.

    Where the node is held up beyond GRACE_S (weights that load, an inference of minutes) the process ends without it.
    """
    os.read(signalled, 1)
    if not finished.done():
        finished.set_result(0)
    threading.Event().wait(GRACE_S)
    print(f"depth_pro_ros: still busy {GRACE_S:.0f} s after the signal; ending at once", file=sys.stderr, flush=True)
    os._exit(0)
