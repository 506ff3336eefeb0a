"""The presets and the Foxglove layout in config/ against the nodes' own tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).resolve().parents[1] / "config"
PRESETS = ("desktop", "jetson", "nav2_costmap", "px4")

pytest.importorskip("rclpy", reason="rclpy is not installed")


def sections(preset: str) -> dict[str, dict[str, object]]:
    """Return node → its parameters in a preset."""
    loaded = yaml.safe_load((CONFIG / f"{preset}.yaml").read_text(encoding="utf-8"))
    assert all(key.startswith("/**/") for key in loaded), "a bare node name matches the root namespace only"
    return {key.removeprefix("/**/"): section["ros__parameters"] for key, section in loaded.items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_exists_and_its_value_is_allowed(preset):
    from depth_pro_ros.ros.parameter_docs import TABLES

    given = sections(preset)
    assert "depth_node" in given
    for node, parameters in given.items():
        table = {parameter.name: parameter for parameter in TABLES[node][1]}
        assert parameters.keys() <= table.keys(), f"{node} has no {parameters.keys() - table.keys()}"
        for name, value in parameters.items():
            kept = table[name].convert(value)
            assert kept == value and type(kept) is type(value), f"{node} {name}: write it as a {table[name].type_name}"
        assert any(table[name].default != value for name, value in parameters.items()), f"{node} changes nothing"


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_go_together(preset):
    from depth_pro_ros.ros.map_node import map_settings
    from depth_pro_ros.ros.obstacle_node import attitude_from_parameters, obstacle_settings
    from depth_pro_ros.ros.parameter_docs import TABLES

    given = sections(preset)
    values = {n: {p.name: p.default for p in TABLES[n][1]} | given.get(n, {}) for n in ("obstacle_node", "map_node")}
    settings = obstacle_settings(values["obstacle_node"])
    assert settings.range_max_m > settings.range_min_m
    assert attitude_from_parameters(values["obstacle_node"])
    assert map_settings(values["map_node"])


def test_the_scan_for_nav2_reaches_the_ground_and_is_placed_by_tf():
    obstacle = sections("nav2_costmap")["obstacle_node"]
    assert obstacle["publish_tf"] is True
    assert -obstacle["band.low"] == obstacle["ground.camera_height"]


def test_a_camera_that_looks_along_x_is_level_in_a_level_vehicle():
    from sensor_msgs.msg import Imu

    from depth_pro_ros.ros.obstacle_node import attitude_from_parameters
    from depth_pro_ros.ros.parameter_docs import TABLES

    values = {p.name: p.default for p in TABLES["obstacle_node"][1]} | sections("px4")["obstacle_node"]
    attitude = attitude_from_parameters(values)
    level = Imu()
    level.orientation.w = 1.0
    attitude.add_imu(level)
    assert attitude.find(0).tolist() == pytest.approx([0.0, -1.0, 0.0], abs=1e-9)  # up in the optical frame


def test_a_preset_goes_over_the_parameter_file(ros_env):
    """As the launch file gives them, to a real node; a parameter of the command line goes over both."""
    program = (
        "import rclpy\n"
        "from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS\n"
        "from depth_pro_ros.ros.parameters import declare, read\n"
        "rclpy.init()\n"
        "node = rclpy.create_node('depth_node', namespace='front')\n"
        "declare(node, DEPTH_PARAMETERS)\n"
        "values = read(node, DEPTH_PARAMETERS)\n"
        "print(values['output_scale'], values['cloud.stride'], values['max_range'], values['weights'])\n"
        "rclpy.shutdown()\n"
    )
    files = [word for name in ("depth_pro", "jetson") for word in ("--params-file", str(CONFIG / f"{name}.yaml"))]
    command = [sys.executable, "-c", program, "--ros-args", *files, "-p", "weights:=depth_pro"]
    answer = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["0.5", "4", "1000.0", "depth_pro"]


def panels(layout) -> list[str]:
    """Return the panels of a mosaic, left to right."""
    return [layout] if isinstance(layout, str) else [*panels(layout["first"]), *panels(layout["second"])]


def test_foxglove_shows_topics_of_the_nodes():
    from depth_pro_ros.ros import depth_outputs, map_node, obstacle_node

    layout = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    configs = layout["configById"]
    shown = panels(layout["layout"])
    assert sorted(shown) == sorted(configs), "panels without a place, or places without a panel"
    assert {name.partition("!")[0] for name in shown} == {"Image", "3D", "DiagnosticSummary", "Plot"}

    published = {*depth_outputs.TYPES, *obstacle_node.OUTPUTS, map_node.MAP, "image", "camera_info"}
    images = [configs[name]["imageMode"]["imageTopic"] for name in shown if name.startswith("Image")]
    assert images == ["/image", "/depth/image_color"]
    three = next(config for name, config in configs.items() if name.startswith("3D"))
    assert {topic.lstrip("/") for topic in [*images, *three["topics"]]} <= published
    assert list(three["topics"]) == ["/points", "/map_points", "/scan"]
    plotted = [path["value"] for name, config in configs.items() if name.startswith("Plot") for path in config["paths"]]
    assert all(value.split(".")[0].lstrip("/") in published for value in plotted)
