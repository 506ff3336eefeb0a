"""Fixtures that tests of every folder share: the real data, and a private ROS graph for child processes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

# Fast DDS maps domains to ports; up to 101 they stay below Linux's ephemeral range.
DOMAINS = 100
_domain = itertools.count(os.getpid())


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the root of the source tree."""
    return PROJECT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real recordings, or skip where there is none."""
    named = os.environ.get("DEPTH_PRO_ROS_DATA")
    folder = Path(named) if named else PROJECT.parent / "shared" / "data"
    if named and not folder.is_dir():
        pytest.fail(f"DEPTH_PRO_ROS_DATA names {named}, which is no folder: correct it, or unset it to skip such tests")
    if not folder.is_dir():
        pytest.skip("no real recordings here: set DEPTH_PRO_ROS_DATA to the folder that holds them")
    return folder


@pytest.fixture
def ros_env(tmp_path: Path) -> dict[str, str]:
    """Return an environment for child processes: loopback only, a ROS domain of this test's own, logs in tmp_path."""
    from depth_pro_ros.ros.transport import tuned_environment

    environment = dict(tuned_environment(os.environ, loopback=True))
    environment["ROS_DOMAIN_ID"] = str(1 + next(_domain) % DOMAINS)
    environment["ROS_LOG_DIR"] = str(tmp_path / "ros_log")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), environment.get("PYTHONPATH"))))
    return environment
