"""The processes of one measurement: started on a ROS domain of their own, ended by SIGTERM in every case."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.ros.transport import PROFILE_VARIABLES, tuned_environment

DOMAINS = 100  # Fast DDS maps domains to ports; up to 101 these stay below Linux's ephemeral range
PATIENCE_S = 20.0  # for a child to end after SIGTERM; depth_node may have a frame to finish
POLL_S = 0.05
_OWN = (*PROFILE_VARIABLES, "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


class BenchmarkError(DepthProError):
    """A measurement that could not be made."""


def shipped_environment() -> dict[str, str]:
    """Return this process's environment with the shipped loopback profile, whatever the user has chosen otherwise."""
    plain = {name: value for name, value in os.environ.items() if name not in _OWN}
    return tuned_environment(plain | {"ROS_DOMAIN_ID": str(1 + os.getpid() % DOMAINS)}, loopback=True)


class Children:
    """Child processes by name, with stdout and log of each in a scratch folder; leaving the `with` block ends them.

    They end by SIGTERM, since a killed process leaves its shared-memory segment behind.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="depth_pro_ros_benchmark_")
        self._folder = Path(self._scratch.name)
        self._environment = {**environment, "ROS_LOG_DIR": str(self._folder), "RCUTILS_COLORIZED_OUTPUT": "0"}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start `module` of depth_pro_ros.ros with these arguments."""
        command = [sys.executable, "-m", f"depth_pro_ros.ros.{module}", *arguments]
        out, log = (self._folder / f"{name}.{suffix}" for suffix in ("out", "log"))
        with open(out, "wb") as stdout, open(log, "wb") as stderr, _held_back(signal.SIGINT, signal.SIGTERM):
            self._children[name] = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # a terminal's Ctrl-C reaches the benchmark alone, which then ends them
            )

    def running(self) -> list[str]:
        """Return the names of the children that have not ended."""
        return [name for name, child in self._children.items() if child.poll() is None]

    def wait(self, name: str, timeout_s: float, meanwhile: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """Return what `name` prints when it ends by itself; `meanwhile` is called again and again until then.

        Raises BenchmarkError when it fails or takes longer than `timeout_s`, and when another child ends.
        """
        deadline = time.monotonic() + timeout_s
        while name in self.running():
            self._check_all_but(name)
            if time.monotonic() > deadline:
                raise self.failure(name, f"has not ended within {timeout_s:g} s")
            meanwhile()
            time.sleep(POLL_S)
        return self._printed(name)

    def failure(self, name: str, what: str) -> BenchmarkError:
        """Return the error that `name` did `what`, with the last lines of every child's log."""
        logs = (f"{path.stem}:\n{_last_lines(path)}" for path in sorted(self._folder.glob("*.log")))
        return BenchmarkError("\n".join((f"{name} {what}: correct what the logs below tell and try again", *logs)))

    def _check_all_but(self, name: str) -> None:
        for other in self._children.keys() - {name, *self.running()}:
            raise self.failure(other, f"ended with status {self._children[other].returncode} too early")

    def stop(self, name: str) -> dict[str, Any]:
        """End `name` by SIGTERM and return what it prints."""
        self._end([name])
        return self._printed(name)

    def _printed(self, name: str) -> dict[str, Any]:
        child = self._children.pop(name)
        if child.returncode != 0:
            raise self.failure(name, f"ended with status {child.returncode}")
        return json.loads((self._folder / f"{name}.out").read_text())

    def _end(self, names: Sequence[str]) -> None:
        children = [self._children[name] for name in names]
        for child in children:
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + PATIENCE_S
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)  # rather a segment left behind than a process
                child.wait()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(list(self._children))
        self._scratch.cleanup()


@contextmanager
def _held_back(*signals: signal.Signals) -> Iterator[None]:
    """Let signals take effect after the block: one amid a start would leave a child that nobody knows."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _last_lines(log: Path, count: int = 8) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
