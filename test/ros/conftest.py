"""Fixtures of tests that cross a topic."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def peer(ros_env):
    """Return the other side of the topics, in this process."""
    from ros.peer import Peer

    with Peer(ros_env) as peer:
        yield peer


@pytest.fixture
def start(ros_env):
    """Return a function that starts depth_node around a network of known answers (doubles.py), with parameters."""
    import json

    from ros.process import Process

    started = []

    def _start(kind, **parameters):
        command = [sys.executable, str(Path(__file__).with_name("doubles.py")), kind, "--ros-args"]
        for name, value in parameters.items():
            command += ["-p", f"{name.replace('__', '.')}:={json.dumps(value)}"]
        started.append(Process(command, ros_env))
        return started[-1]

    yield _start
    for process in started:
        process.__exit__()
