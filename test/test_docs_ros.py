"""The documentation against the nodes: executables, parameters, topics, services and launch arguments that it names."""

from __future__ import annotations

import ast
import importlib.util
import re

import pytest
import yaml
from docs_reader import DOCS, PAGES, PROJECT, code_blocks, commands, name_of

from depth_pro_ros.errors import ConfigurationError

FOREIGN_TOPICS = {
    "/camera/image_raw", "/camera/image_rect", "/camera/camera_info", "/camera/scan", "/odom", "/mavros/obstacle/send",
    "/octomap_point_cloud_centers",
}  # fmt: skip

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pytest.fixture(scope="module")
def nodes():
    """Return node → (parameters by name, source text), or skip where rclpy is not installed."""
    docs = pytest.importorskip("depth_pro_ros.ros.parameter_docs", reason="rclpy is not installed")
    return {
        node: ({parameter.name: parameter for parameter in table}, _source(node))
        for node, (_, table) in docs.TABLES.items()
    }


def _source(node: str) -> str:
    names = (node, "depth_camera") if node == "depth_node" else (node,)
    files = (PROJECT / "depth_pro_ros" / "ros" / f"{name}.py" for name in names)
    return "".join(file.read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="module")
def literals() -> set[str]:
    """Return every text in the source of ros/, which has the names of all topics."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (PROJECT / "depth_pro_ros" / "ros").rglob("*.py"))
    constants = (
        n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )
    return {constant.value for constant in constants}


@every_page
def test_ros_commands_name_what_there_is(page, nodes, literals):
    launch = (PROJECT / "launch" / "depth_pro.launch.py").read_text(encoding="utf-8")
    arguments = set(re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', launch))
    for words, _ in commands(page):
        where = f"{name_of(page)}: {' '.join(words)}"
        if words[:3] == ["ros2", "launch", "depth_pro_ros"]:
            assert words[3] == "depth_pro.launch.py", where
            given = {word.split(":=")[0] for word in words[4:] if ":=" in word}
            assert given <= arguments, f"{where}: no launch argument {given - arguments}"
        elif words[:3] == ["ros2", "run", "depth_pro_ros"]:
            _check_run(words[3], words[4:], nodes, where)
        elif words[:3] == ["ros2", "param", "set"] and words[3].strip("/") in nodes:
            _check_value(words[3].strip("/"), words[4], words[5], nodes, where)
        elif words[:3] == ["ros2", "service", "call"]:
            node, _, service = words[3].strip("/").partition("/")
            assert f'"~/{service}"' in nodes[node][1], where
        elif words[:2] == ["ros2", "topic"] and len(words) > 3 and words[3].startswith("/"):
            assert words[3] in FOREIGN_TOPICS or {words[3], words[3][1:]} & literals, f"{where}: no such topic"


def _check_run(node: str, words: list[str], nodes, where: str) -> None:
    assert node in nodes, f"{where}: no such executable"
    for flag, word in zip(words, words[1:], strict=False):
        name, _, value = word.partition(":=")
        if flag == "-p":
            _check_value(node, name, value, nodes, where)
        elif flag == "-r":
            assert f'"{name}"' in nodes[node][1], f"{where}: {node} has no topic {name}"


def _check_value(node: str, name: str, value: str, nodes, where: str) -> None:
    table = nodes[node][0]
    assert name in table, f"{where}: {node} has no parameter {name}"
    table[name].convert(yaml.safe_load(value))


@every_page
def test_parameter_files_in_the_pages_are_allowed(page, nodes):
    from depth_pro_ros.ros.camera_names import OWN

    for block in code_blocks(page.read_text(encoding="utf-8")):
        if block.language != "yaml":
            continue
        for key, section in yaml.safe_load(block.text).items():
            if (node := key.removeprefix("/**/")) in nodes:
                for name, value in section["ros__parameters"].items():
                    camera, _, own = name.partition(".")
                    name = own if camera in section["ros__parameters"].get("cameras", ()) and own in OWN else name
                    assert name in nodes[node][0], f"{name_of(page)}: {node} has no parameter {name}"
                    nodes[node][0][name].convert(value)


def _documented(node: str, way: str) -> set[str]:
    """Return the topics that nodes.md lists for a node, of the rows that begin with `way`."""
    text = (DOCS / "nodes.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {node}\n")[2].partition("\n## ")[0]
    rows = re.findall(rf"^\| {way} ([^|]+) \|", section, re.MULTILINE)
    return {topic for row in rows for topic in re.findall(r"`([^`]+)`", row)}


def test_topics_that_nodes_publish_are_the_documented_ones(nodes):
    from depth_pro_ros.ros import depth_outputs, map_node, obstacle_node, stereo_node

    published = {
        "depth_node": set(depth_outputs.TYPES),
        "stereo_node": set(stereo_node.OUTPUTS),
        "landmark_node": {"landmarks"},
        "odometry_node": {"odometry"},
        "obstacle_node": set(obstacle_node.OUTPUTS),
        "map_node": {map_node.MAP},
    }
    for node, topics in published.items():
        assert _documented(node, "out") == topics | {"/diagnostics"}, node
    for topic in _documented("camera_node", "out"):
        assert f'"{topic}"' in nodes["camera_node"][1], topic


def test_topics_that_nodes_subscribe_are_the_documented_ones(nodes, literals):
    for node, (_, source) in nodes.items():
        documented = _documented(node, "in")
        assert documented <= literals, node
        for arguments in re.findall(r"self\.subscribe\(\w+, \"([^\"]+)\"", source):
            assert arguments in documented, f"{node}: {arguments} is not in nodes.md"


def test_pages_get_the_parameters_tables(nodes):
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = (DOCS / "parameters.md").read_text(encoding="utf-8")
    assert set(hooks.MARK.findall(page)) == set(nodes)
    filled = hooks.on_page_markdown(page)
    assert "<!--" not in filled
    for table, _ in nodes.values():
        assert all(f"| `{name}` |" in filled for name in table)
    with pytest.raises(KeyError):
        hooks.filled("<!-- table of nobody -->", "")


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("camera_node", ["-p", "source:=moon"]),
        ("depth_node", ["-p", "no_such:=1"]),
        ("depth_node", ["-r", "no_such:=/image"]),
        ("moon_node", []),
    ],
)
def test_a_ros_command_that_does_not_exist_is_found(node, words, nodes):
    with pytest.raises((AssertionError, ConfigurationError)):
        _check_run(node, words, nodes, "here")
