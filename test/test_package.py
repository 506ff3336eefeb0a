"""What installers read: package.xml, setup.py, requirements and the files beside them."""

from __future__ import annotations

import ast
import hashlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools

import depth_pro_ros

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "depth_pro_ros"
APACHE_2 = "283ea6cc2997a1a70da0049e09adf9317bb60ca1b51279b65196b83a69e1996b"  # SHA-256 of its text, as others ship it

# Imported third-party module: the rosdep key that brings it, or None where rosdep has none or a user adds it.
ROSDEP_KEYS = {
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "PIL": "python3-pil",
    "torch": "python3-torch",
    "tqdm": "python3-tqdm",
    "transforms3d": "python3-transforms3d",
    "yaml": "python3-yaml",
    "gradio": None,
    "huggingface_hub": None,
    "onnx": None,
    "onnxruntime": None,
    "onnxscript": None,
    "rosbags": None,
    "safetensors": None,
    "scipy": "python3-scipy",
    "transformers": None,
}
# Come with rosbags and with gradio; compression is Python's own from 3.14.
BROUGHT_ALONG = {"apsw", "backports", "compression", "fastapi", "starlette", "uvicorn"}


@pytest.fixture(scope="module")
def manifest():
    catkin_package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg reads package.xml")
    warnings: list[str] = []
    package = catkin_package.parse_package(str(PROJECT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    package.evaluate_conditions({"ROS_DISTRO": "kilted"})
    return package


@pytest.fixture(scope="module")
def setup_arguments() -> dict:
    """Return what setup.py gives to setuptools."""
    given: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        patch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
        runpy.run_path("setup.py")
    return given


def requirement_lines(name: str) -> list[str]:
    """Return the requirements of a file, without comments."""
    lines = (PROJECT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_manifest_and_setup_say_the_same(manifest, setup_arguments):
    assert manifest.package_format == 3
    assert manifest.name == setup_arguments["name"] == "depth_pro_ros"
    assert manifest.version == setup_arguments["version"] == depth_pro_ros.__version__
    assert [str(text) for text in manifest.licenses] == [setup_arguments["license"]] == ["Apache-2.0"]
    assert manifest.maintainers[0].email == setup_arguments["maintainer_email"]
    assert manifest.get_build_type() == "ament_python"


def test_torch_of_ubuntu_22_is_not_asked_for(manifest):
    catkin_package = pytest.importorskip("catkin_pkg.package")
    humble = catkin_package.parse_package(str(PROJECT / "package.xml"))
    humble.evaluate_conditions({"ROS_DISTRO": "humble"})
    asked = {depend.name for depend in humble.exec_depends if depend.evaluated_condition}
    assert "python3-torch" not in asked
    assert "python3-torch" in {depend.name for depend in manifest.exec_depends if depend.evaluated_condition}


def imported_packages() -> set[str]:
    """Return the top-level modules that the package imports from outside itself and the standard library."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"depth_pro_ros"}


def test_every_import_is_declared_for_rosdep(manifest):
    declared = {depend.name for depend in manifest.exec_depends}
    imported = imported_packages() - BROUGHT_ALONG
    assert "numpy" in imported
    needed = {ROSDEP_KEYS.get(name, name) for name in imported} - {None}
    assert needed <= declared, f"missing in package.xml: {sorted(needed - declared)}"
    undocumented = [name for name in imported if ROSDEP_KEYS.get(name, name) is None]
    text = (PROJECT / "package.xml").read_text(encoding="utf-8")
    assert all(f"pip install {name}" in text for name in undocumented)


def test_entry_points_lead_to_a_main(setup_arguments):
    scripts = dict(re.split(r"\s*=\s*", line) for line in setup_arguments["entry_points"]["console_scripts"])
    assert set(scripts) == {
        "depth_node", "stereo_node", "landmark_node", "odometry_node", "obstacle_node", "map_node", "camera_node",
        "depth_pro_ros",
    }  # fmt: skip
    for target in scripts.values():
        module, function = target.split(":")
        path = PROJECT.joinpath(*module.split(".")).with_suffix(".py")
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert function in {node.name for node in body if isinstance(node, ast.FunctionDef)}, target


def test_every_folder_of_code_is_packaged(setup_arguments):
    folders = {path.parent.relative_to(PROJECT).as_posix().replace("/", ".") for path in PACKAGE.rglob("*.py")}
    assert folders == set(setup_arguments["packages"]), "a folder without __init__.py is not installed"


def test_installed_files_exist_and_none_is_forgotten(setup_arguments):
    installed = {file for _, files in setup_arguments["data_files"] for file in files}
    assert all((PROJECT / file).is_file() for file in installed)
    wanted = [path for folder in ("launch", "config") for path in (PROJECT / folder).glob("*.*")]
    assert {path.relative_to(PROJECT).as_posix() for path in wanted} <= installed


def test_requirements_are_exact_and_extras_are_loose(setup_arguments):
    exact = re.compile(r"[\w.-]+(\[\w+\])?==[\w.]+(; python_version [<>=]+ \"3\.11\")?")
    for name in ("core.txt", "ros.txt", "robot.txt", "dev.txt"):
        for line in requirement_lines(name):
            assert exact.fullmatch(line), f"{name}: {line}"
    assert setup_arguments["install_requires"] == ["setuptools"]
    extras = setup_arguments["extras_require"]
    assert {"torch", "numpy", "pyyaml"} <= set(extras["core"])
    assert "ros-rclpy[fastrtps]" in extras["ros"]
    assert "pytest" in extras["test"], "without it `colcon test` runs unittest, which finds nothing"
    assert not any("=" in name or ";" in name for names in extras.values() for name in names)


def test_changelog_is_rep_132_and_knows_this_version():
    lines = (PROJECT / "CHANGELOG.rst").read_text(encoding="utf-8").splitlines()
    title = lines.index("Changelog for package depth_pro_ros")
    assert set(lines[title - 1]) == set(lines[title + 1]) == {"^"}
    assert len(lines[title + 1]) == len(lines[title])
    section = lines.index("Forthcoming")
    assert lines[section + 1] == "-" * len("Forthcoming")
    assert any(line.startswith("* ") for line in lines[section + 2 :])


def test_make_lists_its_targets():
    answer = subprocess.run(["make", "-C", str(PROJECT)], capture_output=True, text=True, check=True)
    targets = {line.split()[0] for line in answer.stdout.splitlines() if line and not line.startswith("make")}
    assert targets == {"help", "venv", "demo", "test", "test-all", "lint", "parameters", "docs", "benchmark", "clean"}


def test_demo_passes_its_source_on():
    command = ["make", "-n", "-C", str(PROJECT), "demo", "SOURCE=folder", "FOLDER=/some where"]
    plan = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "-m depth_pro_ros demo --source 'folder' --path '/some where'" in plan


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the Makefile names Linux's packages")
def test_set_up_without_a_python_says_what_to_install(tmp_path):
    (tmp_path / "Makefile").write_bytes((PROJECT / "Makefile").read_bytes())
    (tmp_path / "setup.py").touch()
    (tmp_path / "requirements").mkdir()
    for name in ("core.txt", "ros.txt", "robot.txt"):
        (tmp_path / "requirements" / name).touch()
    command = ["env", "-u", "AMENT_PREFIX_PATH", "make", "-C", str(tmp_path), "demo", "PYTHON=/no/python"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode != 0
    assert "/no/python" in answer.stderr or "x86-64 only" in answer.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_licence_is_one_file_that_the_manifest_names(manifest):
    """Apache's text, unchanged, stands for every file: none has a header of its own, as ament_copyright would want."""
    (licence,) = manifest.licenses
    text = (PROJECT / licence.file).read_text(encoding="utf-8")
    assert hashlib.sha256(text.strip().encode()).hexdigest() == APACHE_2
