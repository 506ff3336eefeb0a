"""Real processes on a real DDS graph: a node of this package, and a listener that collects what it publishes."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message
from ros.listener import message_type

# How many times longer than on a quiet machine all waits may last; a higher one wants `--timeout`, too.
PATIENCE = float(os.environ.get("DEPTH_PRO_ROS_TEST_PATIENCE", "1"))
START_S = 40.0
GRACE_S = 20.0


class Process:
    """A child whose output is collected; leaving the `with` block ends it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, env=dict(env), stdout=pipe, stderr=subprocess.STDOUT, text=True)
        self._lines: list[str] = []
        self._grew = threading.Condition()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        for line in self._child.stdout:
            with self._grew:
                self._lines.append(line)
                self._grew.notify_all()
        with self._grew:
            self._grew.notify_all()

    @property
    def output(self) -> str:
        """Return what the process has written so far, stdout and stderr."""
        with self._grew:
            return "".join(self._lines)

    @property
    def running(self) -> bool:
        """Return whether the process has not ended."""
        return self._child.poll() is None

    def wait_for_output(self, text: str, timeout_s: float = START_S) -> None:
        """Return once `text` has been written; fail with the output so far when it is not."""
        with self._grew:
            found = self._grew.wait_for(lambda: any(text in line for line in self._lines), PATIENCE * timeout_s)
        assert found, f"no {text!r} in the output:\n{self.output}"

    def wait(self, timeout_s: float = START_S) -> int:
        """Return the exit status of a process that ends by itself."""
        status = self._child.wait(PATIENCE * timeout_s)
        self._reader.join(PATIENCE * timeout_s)
        return status

    def end(self, by: signal.Signals = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """Send `by` and return the exit status; raises subprocess.TimeoutExpired when the process stays."""
        self._child.send_signal(by)
        return self.wait(timeout_s)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process kindly: one that is killed leaves its 64 MB of shared memory behind."""
        if self.running:
            self._child.terminate()
            try:
                self._child.wait(PATIENCE * GRACE_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
        self._child.wait()
        self._reader.join()
        self._child.stdout.close()


class NodeProcess(Process):
    """A node of this package, started as a module with parameters and remappings."""

    def __init__(
        self, module: str, params: Mapping[str, Any], env: Mapping[str, str], remaps: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", f"depth_pro_ros.ros.{module}", "--ros-args"]
        for name, value in params.items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        for topic, other in (remaps or {}).items():
            command += ["-r", f"{topic}:={other}"]
        super().__init__(command, env)


class Listener(Process):
    """Collects messages of `topics` (name → type, as 'sensor_msgs/msg/Image') until each has `count`, in a process."""

    def __init__(
        self, topics: Mapping[str, str], count: int, env: Mapping[str, str], file: Path, timeout_s: float = START_S
    ) -> None:
        self._topics, self._file = dict(topics), file
        arguments = json.dumps(self._topics), str(count), str(PATIENCE * timeout_s), str(file)
        super().__init__([sys.executable, str(Path(__file__).with_name("listener.py")), *arguments], env)

    def messages(self) -> dict[str, list[Any]]:
        """Return topic → messages in order, once the listener has ended."""
        assert self.wait() == 0, self.output
        received = pickle.loads(self._file.read_bytes())
        return {
            topic: [deserialize_message(data, message_type(name)) for data in received[topic]]
            for topic, name in self._topics.items()
        }
