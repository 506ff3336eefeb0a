"""Every parameter of `map_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

MAP_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter("color", True, "Colour the map by the topic image; false: without that topic"),
    Parameter("rectify", True, "That image is raw: undistort it by camera_info; false: it is already rectified"),
    Parameter("sigma.topic", False, "Weigh by the topic depth/sigma (a share of the depth) of each depth image"),
    Parameter("sigma.relative", 0.03, "Without it: standard deviation as a share of the depth", "", 0.0001, 1.0),
    Parameter(
        "pose_source",
        "odometry",
        "Where the poses come from: the topic odometry, or TF (needs tf2_ros)",
        choices=("odometry", "tf"),
    ),
    Parameter("world_frame", "odom", "With TF: the fixed frame; else it is the odometry's own"),
    Parameter("mounting.xyz", "0 0 0", "The camera's optical frame in the odometry's child frame: x y z [m]"),
    Parameter(
        "mounting.rotation",
        "0 0 0",
        "Its rotation there: roll pitch yaw [rad], or a quaternion x y z w; all zeros: the odometry is the camera's",
    ),
    Parameter("pose_timeout", 1.0, "How long a depth image waits for its pose, colour and sigma", "s", 0.01, 60.0),
    Parameter("pose_max_gap", 0.5, "Between poses farther apart than this nothing is interpolated", "s", 0.001, 60.0),
    Parameter("voxel", 0.1, "Edge of a voxel; best not below the depth's own noise", "m", 0.005, 10.0),
    Parameter("max_voxels", 500000, "The longest unseen go beyond this; each takes 44 bytes", "", 1000, 20000000),
    Parameter("window", 30.0, "Half the side of the cube about the camera that is kept", "m", 0.5, 1000.0),
    Parameter("min_depth", 0.2, "Nearer depth is not fused", "m", 0.01, 1000.0),
    Parameter("max_depth", 10.0, "Farther depth is not fused, but carves", "m", 0.01, 1000.0),
    Parameter("stride", 2, "Fuse every n-th pixel of each row and column", "px", 1, 64),
    Parameter("edge_share", 0.1, "Pixels about which the depth changes by more are not fused", "", 0.001, 10.0),
    Parameter("most_evidence", 10, "Keyframes after which a voxel is no surer; as many remove it", "", 1, 1000),
    Parameter(
        "least_evidence", 2, "Keyframes that must speak for a voxel to show it", "", 1, 1000, live=True
    ),
    Parameter("keyframe.distance", 0.2, "A depth image is fused after this much motion,", "m", 0.0, 100.0),
    Parameter("keyframe.angle", 10.0, "... this much turning,", "deg", 0.0, 180.0),
    Parameter("keyframe.period", 5.0, "... or this much time", "s", 0.0, 3600.0),
    Parameter("publish_period", 1.0, "Least time between two maps", "s", 0.0, 3600.0, live=True),
    Parameter("save_directory", "~/.ros/depth_pro_ros", "Where ~/save_map writes", live=True),
)
