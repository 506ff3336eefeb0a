"""The launch file and RViz's configuration against the node's own tables; read as source, since launch is no wheel."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
LAUNCH_FILE = PROJECT / "launch" / "depth_pro.launch.py"
ARGUMENTS = {
    "image": "image",
    "camera_info": "camera_info",
    "cameras": "",
    "params_file": None,
    "preset": "",
    "weights": "",
    "image_transport": "",
    "obstacles": "false",
    "map": "false",
    "odometry": "odometry",
    "imu": "imu",
    "scan": "scan",
    "scan_frd": "scan_frd",
    "namespace": "",
    "autostart": "true",
    "use_sim_time": "false",
    "rviz": "false",
    "log_level": "info",
}
NODES = ("depth_node", "obstacle_node", "map_node")


@pytest.fixture(scope="module")
def tree() -> ast.Module:
    return ast.parse(LAUNCH_FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def constants(tree) -> dict[str, ast.expr]:
    """Return the module's assignments: name to expression."""
    return {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    """Return the calls of `name`, outermost first, in the order of the file."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]
    return sorted(found, key=lambda node: node.lineno)


def keyword(call: ast.Call, name: str) -> ast.expr:
    """Return the value of a keyword argument."""
    return next(k.value for k in call.keywords if k.arg == name)


def entries(node: ast.Dict) -> dict[str, ast.expr]:
    """Return a dict display's entries, whose keys are texts."""
    return {ast.literal_eval(key): value for key, value in zip(node.keys, node.values, strict=True)}


def test_imports_only_launch_and_the_standard_library(tree):
    allowed = {"launch", "launch_ros", *sys.stdlib_module_names}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    assert {name.split(".")[0] for name in imported} <= allowed


def test_arguments_are_those_documented_and_each_is_described_and_used(tree, constants):
    declared = calls(tree, "DeclareLaunchArgument")
    defaults = {}
    for call in declared:
        default = keyword(call, "default_value")
        defaults[call.args[0].value] = default.value if isinstance(default, ast.Constant) else None
        assert keyword(call, "description").value
    assert defaults == ARGUMENTS

    used = {ast.unparse(call.args[0]).strip("'") for call in calls(tree, "LaunchConfiguration")}
    used |= set(ast.literal_eval(constants["GIVEN"]))
    assert used - {"name"} == set(ARGUMENTS)


def test_executables_are_installed_and_optional_ones_wait_for_their_argument(tree):
    started = {call.args[0].value: ast.unparse(call) for call in calls(tree, "package_node")}
    assert tuple(started) == NODES
    assert "IfCondition" not in started["depth_node"]
    for node, argument in (("obstacle_node", "obstacles"), ("map_node", "map")):
        assert started[node].endswith(f"IfCondition(LaunchConfiguration('{argument}')))")
    entry_points = re.findall(r'"(\w+) = depth_pro_ros\.', (PROJECT / "setup.py").read_text(encoding="utf-8"))
    assert set(NODES) <= set(entry_points)


def test_parameters_it_sets_are_the_nodes(tree, constants):
    docs = pytest.importorskip("depth_pro_ros.ros.parameter_docs", reason="rclpy is not installed")
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "nodes")
    always = next(node for node in ast.walk(function) if isinstance(node, ast.Dict))
    types = {name: ast.unparse(keyword(value, "value_type")) for name, value in entries(always).items()}
    assert types.pop("use_sim_time") == "bool"  # every ROS node has it
    assert types == {"autostart": "bool"}
    known = {node: {parameter.name: parameter for parameter in docs.TABLES[node][1]} for node in NODES}
    assert all(type(table["autostart"].default) is bool for table in known.values())
    given = ast.literal_eval(constants["GIVEN"])
    assert given == ("weights", "image_transport")
    assert all(type(known["depth_node"][name].default) is str for name in given)


def test_presets_it_offers_are_the_shipped_ones(constants):
    offered = ast.literal_eval(constants["PRESETS"])
    assert offered[0] == "" and "" not in offered[1:]
    described = {"depth_pro", "stereo", "landmarks", "odometry", "obstacle", "map", "camera"}
    shipped = {path.stem for path in (PROJECT / "config").glob("*.yaml")}
    assert set(offered[1:]) == shipped - described


def test_remapped_topics_are_in_the_nodes_contracts(constants):
    remapped = [ast.literal_eval(pair.elts[0]) for pair in constants["REMAPPINGS"].elts]
    assert remapped == ["image", "image/compressed", "camera_info", "odometry", "imu", "scan", "scan_frd"]
    files = (PROJECT / "depth_pro_ros" / "ros" / f"{name}.py" for name in (*NODES, "depth_camera"))
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    assert all(f'"{topic}"' in source for topic in remapped)


def test_topics_of_several_cameras_are_in_their_namespaces_and_one_odometry_serves_all(tree):
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "remappings")
    program = ast.Module([function], [])
    space = {
        "REMAPPINGS": (("image", "camera/raw"),),
        "LaunchConfiguration": lambda name: {"image": "raw"}.get(name, name),
    }
    exec(compile(program, "launch", "exec"), space)
    assert space["remappings"]([]) == [("image", "camera/raw")]
    rules = {source: target if isinstance(target, str) else "".join(target) for source, target in
             space["remappings"](["front", "left"])}  # fmt: skip
    assert rules.pop("image") == "camera/raw"
    assert rules == {
        f"{name}/{topic}": target
        for name in ("front", "left")
        for topic, target in (
            ("image", f"{name}/raw"),
            ("image/compressed", f"{name}/raw/compressed"),
            ("camera_info", f"{name}/camera_info"),
            ("odometry", "odometry"),
        )
    }


def test_files_it_names_exist(tree):
    names = [
        part.value
        for call in calls(tree, "PathJoinSubstitution")
        for part in call.args[0].elts
        if isinstance(part, ast.Constant) and "." in part.value
    ]
    assert sorted(names) == ["depth_pro.rviz", "depth_pro.yaml", "fastdds.xml"]
    for name in names:
        assert (PROJECT / "config" / name).is_file()


def test_parameter_file_applies_in_every_namespace():
    parameters = yaml.safe_load((PROJECT / "config" / "depth_pro.yaml").read_text(encoding="utf-8"))
    assert parameters
    assert all(name.startswith("/**") for name in parameters), "a bare node name matches the root namespace only"


def test_transport_settings_are_those_of_the_package(constants):
    transport = pytest.importorskip("depth_pro_ros.ros.transport", reason="rclpy is not installed")
    sizes = {name: ast.literal_eval(value) for name, value in entries(constants["MALLOC"]).items()}
    profiles = ast.literal_eval(constants["PROFILE_VARIABLES"])
    fast_dds_2 = ast.literal_eval(constants["FAST_DDS_2"])
    for distribution in ("humble", "jazzy", "kilted", "rolling"):
        tuned = transport.tuned_environment({"ROS_DISTRO": distribution}, loopback=False)
        names = profiles if distribution in fast_dds_2 else profiles[:1]
        assert {name: Path(tuned[name]).name for name in names} == dict.fromkeys(names, "fastdds.xml")
        assert tuned.keys() == {"ROS_DISTRO", *names, *sizes}
        assert {name: tuned[name] for name in sizes} == sizes
    assert constants["PROFILE"].args[0].elts[-1].value == "fastdds.xml"


def test_rviz_shows_topics_of_the_contract_which_follow_the_launch_file(constants):
    config = yaml.safe_load((PROJECT / "config" / "depth_pro.rviz").read_text(encoding="utf-8"))
    displays = [item for item in config["Visualization Manager"]["Displays"] if "Topic" in item]
    topics = [item["Topic"]["Value"] for item in displays]
    assert topics == ["/image", "/depth/image_color", "/points", "/scan", "/map_points"]
    assert topics == [ast.literal_eval(pair.elts[0]) for pair in constants["RVIZ_TOPICS"].elts]

    reliability = {item["Topic"]["Value"]: item["Topic"]["Reliability Policy"] for item in displays}
    assert reliability["/image"] == "Best Effort"  # what a camera's driver offers can only be met so
    clouds = [item for item in displays if item["Class"].endswith("PointCloud2")]
    assert [cloud["Color Transformer"] for cloud in clouds] == ["RGB8", "RGB8"]
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] == "camera_optical_frame"
