"""The demo's nodes as child processes: started, watched, and ended in every case."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from depth_pro_ros.errors import DepthProError, OutputError

DOMAINS = 100  # Fast DDS maps domains to ports; up to 101 these stay below Linux's ephemeral range
ENDINGS = ((signal.SIGINT, 12.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))
"""How a node is asked to end, ever less kindly, and the seconds it is given; depth_node may finish a frame first."""


class DemoError(DepthProError):
    """The demo could not be done; `node` names the process whose log tells more."""

    def __init__(self, message: str, node: str) -> None:
        super().__init__(message)
        self.node = node


def command(name: str, parameters: Mapping[str, Any], remaps: Mapping[str, str]) -> list[str]:
    """Return the command line that becomes the node `name`; JSON is YAML, as ROS reads a parameter's value."""
    options = [word for key, value in parameters.items() for word in ("-p", f"{key}:={json.dumps(value)}")]
    options += [word for topic, other in remaps.items() for word in ("-r", f"{topic}:={other}")]
    return [sys.executable, "-m", "depth_pro_ros.ros.child", name, "--ros-args", *options]


class Nodes:
    """Child processes by name, each with its log; leaving the `with` block ends those that still run."""

    def __init__(self, logs: Path, scratch: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            "ROS_DOMAIN_ID": str(1 + os.getpid() % DOMAINS),
            "ROS_LOG_DIR": str(scratch),
            **os.environ,
            "RCUTILS_COLORIZED_OUTPUT": "0",
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, name: str, parameters: Mapping[str, Any], remaps: Mapping[str, str] | None = None) -> None:
        """Start the node `name` of this package; it speaks to this machine only."""
        try:
            with open(self.log(name), "wb") as log:
                self._children[name] = subprocess.Popen(
                    command(name, parameters, remaps or {}),
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, which then ends them
                )
        except OSError as error:
            raise OutputError(f"{name} cannot be started with the log {self.log(name)}: {error.strerror}") from error

    def log(self, name: str) -> Path:
        """Return the file that holds what the node has written."""
        return self._logs / f"{name}.log"

    def last_lines(self, name: str, count: int = 15) -> str:
        """Return the end of the node's log."""
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-count:])

    def check(self) -> None:
        """Raise DemoError when a node has ended by itself."""
        for name, child in self._children.items():
            if (status := child.poll()) is not None:
                how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
                raise DemoError(f"{name} {how} before the demo was done: see {self.log(name)}", name)

    def end(self, *names: str) -> None:
        """End the nodes of these names (default: all) by SIGINT, then SIGTERM, then SIGKILL; only these."""
        ending = {name: self._children.pop(name) for name in names or tuple(self._children)}
        try:
            for by, patience_s in ENDINGS:
                _send(ending.values(), by)
                _await(ending.values(), patience_s)
        finally:
            _send(ending.values(), signal.SIGKILL)  # an impatient second Ctrl-C came: nobody stays behind
            for child in ending.values():
                child.wait()

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _send(children: Any, by: signal.Signals) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(by)


def _await(children: Any, patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end and any(child.poll() is None for child in children):
        time.sleep(0.02)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal) unwind this process, so that the nodes are ended too."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
