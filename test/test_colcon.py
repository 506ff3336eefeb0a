"""`colcon build` and `colcon test`, as a robot's workspace runs them, on a copy of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("colcon_core", reason="colcon is not installed")
pytest.importorskip("colcon_ros", reason="colcon-ros is not installed")

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = sysconfig.get_path("scripts")
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "build", "install", "log", "demo_output", "checkpoints", "__pycache__", "*.egg-info", ".*_cache"
)


def colcon(workspace: Path, *arguments: str) -> None:
    """Run colcon in a workspace."""
    environment = os.environ | {"COLCON_HOME": str(workspace / "home")}
    command = [str(Path(SCRIPTS, "colcon")), *arguments]
    answer = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture(scope="module", params=["copied", "symlink"])
def prefix(request, tmp_path_factory) -> Path:
    """Return the prefix that colcon installed the package into."""
    workspace = tmp_path_factory.mktemp(request.param)
    shutil.copytree(PROJECT, workspace / "src" / "depth_pro_ros", ignore=NOT_SOURCE)
    colcon(workspace, "build", *(["--symlink-install"] if request.param == "symlink" else []))
    return workspace / "install" / "depth_pro_ros"


def test_is_built_as_a_ros_package(prefix):
    share = prefix / "share" / "depth_pro_ros"
    assert (share / "hook" / "ament_prefix_path.sh").is_file(), "colcon took it for a plain Python package"
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "depth_pro_ros").is_file()


@pytest.mark.parametrize("name", ["depth_node", "camera_node", "depth_pro_ros"])
def test_executables_lie_where_ros2_run_looks(prefix, name):
    script = prefix / "lib" / "depth_pro_ros" / name
    assert script.is_file()
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", ["package.xml", "launch", "config"])
def test_share_holds_what_the_source_holds(prefix, name):
    source, installed = PROJECT / name, prefix / "share" / "depth_pro_ros" / name
    if source.is_file():
        assert installed.read_bytes() == source.read_bytes()
    else:
        files = sorted(path.name for path in source.iterdir() if path.is_file())
        assert files
        assert sorted(path.name for path in installed.iterdir()) == files


def sourced(prefix: Path, command: str, folder: Path) -> str:
    """Return what `command` prints in a shell that has sourced the workspace, run outside any source tree."""
    script = f". '{prefix.parent}/local_setup.sh' && {command}"
    environment = os.environ | {"PATH": os.pathsep.join((SCRIPTS, os.environ["PATH"]))}  # as an active venv has it
    answer = subprocess.run(["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_code_and_weights_come_from_the_workspace(prefix, tmp_path):
    statement = "import depth_pro_ros, pathlib; print(pathlib.Path(depth_pro_ros.__file__).parent)"
    package = Path(sourced(prefix, f"'{sys.executable}' -c '{statement}'", tmp_path).strip())
    assert PROJECT not in package.parents
    weights = PROJECT / "depth_pro_ros" / "weights"
    expected = {path.name for path in weights.glob("*.*")}
    assert {path.name for path in (package / "weights").glob("*.*")} == expected


def test_the_command_runs_from_the_workspace(prefix, tmp_path):
    assert "predict" in sourced(prefix, f"'{prefix}/lib/depth_pro_ros/depth_pro_ros' --help", tmp_path)


def test_executables_take_the_python_of_the_shell(prefix):
    """A venv with PyTorch is found though colcon is the system's; links are the interpreter's that runs colcon."""
    first = (prefix / "lib" / "depth_pro_ros" / "depth_node").read_text(encoding="utf-8").splitlines()[0]
    copied = prefix.parents[1].name.startswith("copied")
    assert first == "#!/usr/bin/env python3" if copied else first.startswith(f"#!{sys.prefix}")


def test_colcon_test_runs_pytest(prefix):
    """Not unittest, which colcon falls back to and which finds no test here."""
    workspace = prefix.parents[1]
    colcon(workspace, "test", "--return-code-on-test-failure", "--pytest-args", "test/geometry/test_motion.py")
    (suite,) = ElementTree.parse(workspace / "build" / "depth_pro_ros" / "pytest.xml").getroot().iter("testsuite")
    assert int(suite.get("tests")) > 3 and suite.get("failures") == suite.get("errors") == "0"
