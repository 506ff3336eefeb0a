"""What tests of every folder share: real data, a private ROS graph for child processes, workers side by side."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]

# A worker of pytest-xdist has one core: its libraries, and those of its children, shall not fight for the others'.
# To be set before the first import of NumPy, OpenCV or PyTorch, which read it.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(name, "1")

# Fast DDS maps domains to ports; up to 101 they stay below Linux's ephemeral range. Each worker begins elsewhere.
DOMAINS = 100
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
RUN = int(os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid():x}"), 16)
_domain = itertools.count(RUN + WORKER * DOMAINS // WORKERS)


def talks_over_dds(file: str) -> bool:
    """Return whether a file of tests, given from the root of the source tree, starts ROS nodes."""
    path = PROJECT / file
    return file.startswith("test/ros/") or (path.is_file() and "ros_env" in path.read_text(encoding="utf-8"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give whole files to workers, since their tests share fixtures; all that talk over DDS, first, to one of them."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "DDS" if talks_over_dds(file) else file

    return ByFile(config, log)


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
