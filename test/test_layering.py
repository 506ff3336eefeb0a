"""The layers, kept by reading the imports; and the budget of a file's length."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = "depth_pro_ros"
LINES_PER_FILE = 330

CORE = {
    "geometry": set(),
    "network": set(),
    "inference": {"geometry", "network"},
    "matching": {"geometry"},
    "fusion": {"geometry"},
    "propagation": {"geometry"},
    "outputs": {"geometry"},
    "messages": {"geometry"},
    "scenes": {"geometry"},
    "evaluation": {"geometry"},
    "training": {"network", "scenes", "evaluation"},
}
EDGE = {
    "ros": set(CORE) - {"training", "evaluation"},
    "web": set(CORE),
    "cli": set(CORE) | {"web"},
}
# Which folders a folder may import, besides itself and the root's records, errors and allocator.
ALLOWED = CORE | EDGE | {"__main__": {"cli"}, "__init__": set(), "records": set(), "errors": set(), "allocator": set()}
EVERYWHERE = {"records", "errors", "allocator", "__init__"}

TORCH = {"network", "inference", "scenes", "training", "cli", "web"}
ROS_MODULES = re.compile(
    r"rclpy|\w+_msgs|\w+_interfaces|std_srvs|cv_bridge|sensor_msgs_py|tf2_\w+|tf_transformations|message_filters"
    r"|ament_index_python|launch|launch_ros"
)

Sources = Mapping[str, str]  # path relative to the package, with slashes, to the file's text


def folder_of(path: str) -> str:
    """Return the layer of a file: its folder, or the name of a file in the package's root."""
    return path.split("/")[0].removesuffix(".py")


def imports(path: str, text: str, *, at_load: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of what the file imports; `at_load` leaves out what runs later.

    `from a import b` yields a.b, whether b is a module or a name. Constant names given to
    importlib.import_module count as imports.
    """
    package = [PACKAGE, *path.split("/")[:-1]]
    for node in _walk(ast.parse(text, path), at_load):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("import_module", "importlib.import_module"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, node.args[0].value


def _walk(node: ast.AST, at_load: bool) -> Iterator[ast.AST]:
    """Yield the nodes below; with `at_load` neither functions' bodies nor `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not (at_load and (later or typing_only)):
            yield child
            yield from _walk(child, at_load)


def violations(sources: Sources) -> list[str]:
    """Return a sentence for each import that crosses the layers."""
    found = []
    for path, text in sources.items():
        layer = folder_of(path)
        if layer not in ALLOWED:
            found.append(f"{path}: folder '{layer}' has no place among the layers; add it to ALLOWED above")
            continue
        for line, name in imports(path, text):
            reason = _reason(layer, name)
            if reason:
                found.append(f"{path}:{line}: {layer} imports {name}: {reason}")
    return found


def _reason(layer: str, name: str) -> str | None:
    """Return why `layer` may not import `name`, or None."""
    top, _, rest = name.partition(".")
    if top == PACKAGE:
        target = rest.split(".")[0]
        if target not in ALLOWED:
            target = "__init__"
        allowed = ALLOWED[layer] | EVERYWHERE | {layer}
        return None if target in allowed else f"it may import {', '.join(sorted(ALLOWED[layer])) or 'no other folder'}"
    if top == "torch" and layer not in TORCH:
        return f"torch belongs to {', '.join(sorted(TORCH))}"
    if ROS_MODULES.fullmatch(top) and layer != "ros":
        return "only ros knows ROS"
    return None


def cycle(sources: Sources) -> list[str]:
    """Return the files of one cycle of imports at load time, the first again at the end; empty when there is none."""
    modules = {_module(path): path for path in sources}
    graph = {path: sorted(_targets(path, text, modules) - {path}) for path, text in sources.items()}
    done: set[str] = set()

    def search(path: str, trail: list[str]) -> list[str]:
        if path in trail:
            return [*trail[trail.index(path) :], path]
        if path in done:
            return []
        for target in graph[path]:
            if found := search(target, [*trail, path]):
                return found
        done.add(path)
        return []

    return next(filter(None, (search(path, []) for path in graph)), [])


def _module(path: str) -> str:
    """Return a file's dotted name; a folder's is its __init__.py's."""
    return ".".join([PACKAGE, *path.removesuffix(".py").split("/")]).removesuffix(".__init__")


def _targets(path: str, text: str, modules: Mapping[str, str]) -> set[str]:
    """Return the package's files that `path` names: the module itself, or the module that holds the name."""
    names = (name for _, name in imports(path, text, at_load=True))
    found = (modules.get(name) or modules.get(name.rpartition(".")[0]) for name in names)
    return {target for target in found if target}


@pytest.fixture(scope="module")
def sources() -> Sources:
    root = PROJECT / PACKAGE
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}


def test_imports_keep_the_layers(sources):
    assert len(sources) > 5
    assert violations(sources) == []


def test_no_import_cycles(sources):
    assert cycle(sources) == []


def test_layers_themselves_have_no_cycle():
    order: list[str] = []
    while len(order) < len(ALLOWED):
        free = [layer for layer in ALLOWED if layer not in order and ALLOWED[layer] <= set(order)]
        assert free, f"these layers import each other: {sorted(set(ALLOWED) - set(order))}"
        order += free


@pytest.mark.parametrize("folder", [PACKAGE, "launch", "test"])
def test_files_keep_their_budget(folder):
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (PROJECT / folder).rglob("*.py")}
    assert lengths
    too_long = {str(path.relative_to(PROJECT)): n for path, n in lengths.items() if n > LINES_PER_FILE}
    assert not too_long, f"more than {LINES_PER_FILE} lines; split by purpose: {too_long}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("geometry/bad.py", "import torch"),
        ("outputs/bad.py", "from torch.nn import functional"),
        ("ros/bad.py", "import torch"),
        ("inference/bad.py", "import rclpy"),
        ("cli/bad.py", "from sensor_msgs.msg import Image"),
        ("cli/bad.py", "def main():\n    from std_srvs.srv import Trigger"),
        ("cli/bad.py", "import importlib\nimportlib.import_module('rclpy.node')"),
        ("cli/bad.py", "from depth_pro_ros.ros import images"),
        ("cli/bad.py", "from depth_pro_ros import ros"),
        ("geometry/bad.py", "from depth_pro_ros.network import build"),
        ("geometry/bad.py", "from ..inference.predictor import Predictor"),
        ("ros/deep/bad.py", "from ...training import loop"),
        ("inference/bad.py", "import depth_pro_ros.scenes.world"),
        ("records.py", "from depth_pro_ros.geometry import pinhole"),
        ("helpers/bad.py", ""),
    ],
)
def test_a_crossing_import_is_found(path, text):
    found = violations({path: text})
    assert len(found) == 1
    assert found[0].startswith(path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("inference/good.py", "import torch\nfrom depth_pro_ros import network\nfrom depth_pro_ros.errors import X"),
        ("ros/good.py", "import rclpy\nfrom depth_pro_ros.inference import Predictor\nfrom . import images"),
        ("ros/deep/good.py", "from ..images import decode\nfrom ...records import Pose"),
        ("cli/good.py", "from depth_pro_ros import __version__\nfrom rosbags.rosbag2 import Reader"),
        ("__main__.py", "from depth_pro_ros.cli.main import main"),
    ],
)
def test_an_import_downwards_is_allowed(path, text):
    assert violations({path: text}) == []


def test_a_cycle_is_found_with_its_files():
    sources = {
        "geometry/__init__.py": "from depth_pro_ros.geometry.a import f",
        "geometry/a.py": "from depth_pro_ros.geometry import b",
        "geometry/b.py": "from .c import g",
        "geometry/c.py": "import depth_pro_ros.geometry.a",
    }
    assert cycle(sources) == ["geometry/a.py", "geometry/b.py", "geometry/c.py", "geometry/a.py"]


def test_a_name_taken_from_the_own_package_is_a_cycle():
    sources = {
        "network/__init__.py": "from depth_pro_ros.network.config import build",
        "network/config.py": "from depth_pro_ros.network import build",
    }
    assert cycle(sources)


@pytest.mark.parametrize("later", ["def f():\n    {}", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {}"])
def test_imports_that_run_later_make_no_cycle(later):
    sources = {
        "geometry/a.py": "from depth_pro_ros.geometry import b",
        "geometry/b.py": later.format("import depth_pro_ros.geometry.a"),
    }
    assert cycle(sources) == []
