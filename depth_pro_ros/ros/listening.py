"""Running a plain node that listens until its process is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

Listening = TypeVar("Listening", bound=Node)


@contextmanager
def listened(make: Callable[[], Listening], args: Sequence[str] | None) -> Iterator[Listening]:
    """Spin the node of `make` until SIGINT or SIGTERM, then yield it with what it has heard, then destroy it.

    `args` are for rclpy.init. Nodes with a lifecycle have `lifecycle.run`.
    """
    rclpy.init(args=args)
    node, executor = make(), SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    yield node
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
