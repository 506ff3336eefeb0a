"""Start depth_node, and RViz if wanted: `ros2 launch depth_pro_ros depth_pro.launch.py image:=/camera/image_raw`."""

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "depth_pro_ros"
CONFIG = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])

ARGUMENTS = (
    DeclareLaunchArgument("image", default_value="image", description="Topic of the camera's raw images"),
    DeclareLaunchArgument("camera_info", default_value="camera_info", description="Topic of the camera's calibration"),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([CONFIG, "depth_pro.yaml"]),
        description="YAML file with the parameters of depth_node",
    ),
    DeclareLaunchArgument(
        "weights", default_value="", description="Embedded weights or a checkpoint's path; empty: as in params_file"
    ),
    DeclareLaunchArgument(
        "image_transport", default_value="", description="raw or compressed; empty: as in params_file"
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics"),
    DeclareLaunchArgument(
        "autostart", default_value="true", description="The node configures and activates itself when it starts"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock"),
    DeclareLaunchArgument("rviz", default_value="false", description="Also open RViz on the node's topics"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
)

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

INPUTS = (
    ("image", LaunchConfiguration("image")),
    ("image/compressed", [LaunchConfiguration("image"), "/compressed"]),
    ("camera_info", LaunchConfiguration("camera_info")),
)

# The RViz configuration names absolute topics; here they follow the camera's topics and the namespace.
RVIZ_TOPICS = (
    ("/image", LaunchConfiguration("image")),
    ("/depth/image_color", "depth/image_color"),
    ("/points", "points"),
)


def environment() -> dict[str, EnvironmentVariable]:
    """Return what depth_node gets: the user's setting, under either name of the profile, else this package's."""
    fastdds, fastrtps = PROFILE_VARIABLES
    either = EnvironmentVariable(fastdds, default_value=EnvironmentVariable(fastrtps, default_value=PROFILE))
    sizes = {name: EnvironmentVariable(name, default_value=size) for name, size in MALLOC.items()}
    names = PROFILE_VARIABLES if os.environ.get("ROS_DISTRO") in FAST_DDS_2 else PROFILE_VARIABLES[:1]
    return dict.fromkeys(names, either) | sizes


def depth_node(context: LaunchContext) -> list[Node]:
    """Return the node, whose parameters are the file's, then those arguments that were given."""
    parameters = {
        "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
        "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
    }
    for name in ("weights", "image_transport"):
        if LaunchConfiguration(name).perform(context):
            parameters[name] = ParameterValue(LaunchConfiguration(name), value_type=str)
    node = Node(
        package=PACKAGE,
        executable="depth_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), parameters],
        remappings=INPUTS,
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        additional_env=environment(),
        output="screen",
    )
    return [node]


def rviz_node() -> Node:
    """Return RViz on the camera's image, the coloured depth and the cloud."""
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
    """Return the arguments, the node and RViz."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=depth_node), rviz_node()])
