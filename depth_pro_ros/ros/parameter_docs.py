"""Writes the parameter files and the README's tables from the tables of parameters: `make parameters`."""

from __future__ import annotations

from pathlib import Path

from depth_pro_ros.ros.camera_parameters import CAMERA_PARAMETERS
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.landmark_parameters import LANDMARK_PARAMETERS
from depth_pro_ros.ros.map_parameters import MAP_PARAMETERS
from depth_pro_ros.ros.obstacle_parameters import OBSTACLE_PARAMETERS
from depth_pro_ros.ros.odometry_parameters import ODOMETRY_PARAMETERS
from depth_pro_ros.ros.parameters import markdown_table, yaml_file
from depth_pro_ros.ros.stereo_parameters import STEREO_PARAMETERS

PROJECT = Path(__file__).resolve().parents[2]

TABLES = {
    "depth_node": ("config/depth_pro.yaml", DEPTH_PARAMETERS),
    "stereo_node": ("config/stereo.yaml", STEREO_PARAMETERS),
    "landmark_node": ("config/landmarks.yaml", LANDMARK_PARAMETERS),
    "odometry_node": ("config/odometry.yaml", ODOMETRY_PARAMETERS),
    "obstacle_node": ("config/obstacle.yaml", OBSTACLE_PARAMETERS),
    "map_node": ("config/map.yaml", MAP_PARAMETERS),
    "camera_node": ("config/camera.yaml", CAMERA_PARAMETERS),
}


def with_tables(readme: str) -> str:
    """Return the README with the table of each node between its two marks."""
    for node, (_, table) in TABLES.items():
        begin, end = f"<!-- parameters of {node} -->\n", "<!-- end -->"
        before, _, rest = readme.partition(begin)
        readme = before + begin + markdown_table(table) + end + rest.partition(end)[2]
    return readme


def main() -> None:
    """Write all of them in the source tree."""
    for node, (file, table) in TABLES.items():
        (PROJECT / file).write_text(yaml_file(node, table))
    readme = PROJECT / "README.md"
    readme.write_text(with_tables(readme.read_text()))


if __name__ == "__main__":
    main()
