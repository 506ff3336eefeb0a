"""Start depth_node, and on demand obstacle_node, map_node and RViz, in one namespace.

`ros2 launch depth_pro_ros depth_pro.launch.py image:=/camera/image_raw`; `--show-args` lists the arguments.
"""

import os
from collections.abc import Sequence

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "depth_pro_ros"
CONFIG = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])

# Files of config/ with what one kind of robot sets differently, sections for every node that it has.
PRESETS = ("", "desktop", "jetson", "nav2_costmap", "px4")

ARGUMENTS = (
    DeclareLaunchArgument("image", default_value="image", description="Topic of the camera's raw images"),
    DeclareLaunchArgument("camera_info", default_value="camera_info", description="Topic of the camera's calibration"),
    DeclareLaunchArgument(
        "cameras",
        default_value="",
        description="Names of several cameras of depth_node, separated by spaces; each camera's topics, image and "
        "camera_info among them, are then in the namespace of its name; empty: as in the files",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([CONFIG, "depth_pro.yaml"]),
        description="YAML file with the parameters of depth_node, and of the other nodes where it has their sections",
    ),
    DeclareLaunchArgument(
        "preset",
        default_value="",
        choices=PRESETS,
        description="Parameters of config/PRESET.yaml go over those of params_file; empty: none",
    ),
    DeclareLaunchArgument(
        "weights", default_value="", description="Embedded weights or a checkpoint's path; empty: as in the files"
    ),
    DeclareLaunchArgument("image_transport", default_value="", description="raw or compressed; empty: as in the files"),
    DeclareLaunchArgument(
        "obstacles", default_value="false", description="Also start obstacle_node: scans for Nav2 and for MAVROS"
    ),
    DeclareLaunchArgument("map", default_value="false", description="Also start map_node: a coloured voxel map"),
    DeclareLaunchArgument(
        "odometry", default_value="odometry", description="Topic of the poses, for whatever parameter asks for them"
    ),
    DeclareLaunchArgument("imu", default_value="imu", description="Topic of the attitude, with attitude.source imu"),
    DeclareLaunchArgument("scan", default_value="scan", description="Topic of obstacle_node's scan, REP 103"),
    DeclareLaunchArgument(
        "scan_frd", default_value="scan_frd", description="The same for MAVROS: /mavros/obstacle/send"
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes and their topics"),
    DeclareLaunchArgument(
        "autostart", default_value="true", description="The nodes configure and activate themselves when they start"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock"),
    DeclareLaunchArgument("rviz", default_value="false", description="Also open RViz on the nodes' topics"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
)
# Parameters of depth_node that are arguments; given ones go over the files.
GIVEN = ("weights", "image_transport")

# Large images need a large shared-memory segment, and memory that malloc keeps from one image to the next
# (depth_pro_ros/ros/transport.py). What the user has set stays, and the rest of the robot's launch is not touched.
PROFILE = PathJoinSubstitution([CONFIG, "fastdds.xml"])
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
FAST_DDS_2 = ("humble", "iron", "jazzy")  # read the second name, of which later ones warn
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "268435456",
    "MALLOC_TRIM_THRESHOLD_": "536870912",
    "MALLOC_TOP_PAD_": "16777216",
}

# A rule for a topic that a node does not have changes nothing, so all nodes get all of them.
REMAPPINGS = (
    ("image", LaunchConfiguration("image")),
    ("image/compressed", [LaunchConfiguration("image"), "/compressed"]),
    ("camera_info", LaunchConfiguration("camera_info")),
    ("odometry", LaunchConfiguration("odometry")),
    ("imu", LaunchConfiguration("imu")),
    ("scan", LaunchConfiguration("scan")),
    ("scan_frd", LaunchConfiguration("scan_frd")),
)

# The RViz configuration names absolute topics; here they follow the camera's topics and the namespace.
RVIZ_TOPICS = (
    ("/image", LaunchConfiguration("image")),
    ("/depth/image_color", "depth/image_color"),
    ("/points", "points"),
    ("/scan", LaunchConfiguration("scan")),
    ("/map_points", "map_points"),
)


def environment() -> dict[str, EnvironmentVariable]:
    """Return what the nodes get: the user's setting, under either name of the profile, else this package's."""
    fastdds, fastrtps = PROFILE_VARIABLES
    either = EnvironmentVariable(fastdds, default_value=EnvironmentVariable(fastrtps, default_value=PROFILE))
    sizes = {name: EnvironmentVariable(name, default_value=size) for name, size in MALLOC.items()}
    names = PROFILE_VARIABLES if os.environ.get("ROS_DISTRO") in FAST_DDS_2 else PROFILE_VARIABLES[:1]
    return dict.fromkeys(names, either) | sizes


def remappings(cameras: list[str]) -> list[tuple]:
    """Return the rules for all nodes, and those for each of several cameras, whose carrier has one odometry."""
    image, camera_info = LaunchConfiguration("image"), LaunchConfiguration("camera_info")
    rules = list(REMAPPINGS)
    for name in cameras:
        rules += [
            (f"{name}/image", [f"{name}/", image]),
            (f"{name}/image/compressed", [f"{name}/", image, "/compressed"]),
            (f"{name}/camera_info", [f"{name}/", camera_info]),
            (f"{name}/odometry", LaunchConfiguration("odometry")),
        ]
    return rules


def nodes(context: LaunchContext) -> list[Node]:
    """Return depth_node, and obstacle_node and map_node, which start where they are asked for."""
    files = [LaunchConfiguration("params_file")]
    if preset := LaunchConfiguration("preset").perform(context):
        files.append(PathJoinSubstitution([CONFIG, f"{preset}.yaml"]))
    common = {
        "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
        "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
    }
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=str)
        for name in GIVEN
        if LaunchConfiguration(name).perform(context)
    }
    cameras = LaunchConfiguration("cameras").perform(context).split()
    if cameras:
        given["cameras"] = cameras
    return [
        package_node("depth_node", [*files, {**common, **given}], remappings=remappings(cameras)),
        package_node("obstacle_node", [*files, common], IfCondition(LaunchConfiguration("obstacles"))),
        package_node("map_node", [*files, common], IfCondition(LaunchConfiguration("map"))),
    ]


def package_node(
    executable: str, parameters: list, condition: IfCondition | None = None, remappings: Sequence[tuple] = REMAPPINGS
) -> Node:
    """Return a node of this package; of `parameters`, files and values, the later ones win."""
    return Node(
        package=PACKAGE,
        executable=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=parameters,
        remappings=remappings,
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        additional_env=environment(),
        output="screen",
        condition=condition,
    )


def rviz_node() -> Node:
    """Return RViz on the camera's image, the coloured depth, the cloud, the scan and the map."""
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", PathJoinSubstitution([CONFIG, "depth_pro.rviz"])],
        parameters=[{"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)}],
        remappings=RVIZ_TOPICS,
        condition=IfCondition(LaunchConfiguration("rviz")),
    )


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the nodes and RViz."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes), rviz_node()])
