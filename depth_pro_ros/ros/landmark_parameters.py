"""Every parameter of `landmark_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

LANDMARK_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter("rectify", True, "The image is raw: undistort it by camera_info; false: it is already rectified"),
    Parameter(
        "pose_source",
        "odometry",
        "Where the poses come from: the topic odometry, or TF (needs tf2_ros)",
        choices=("odometry", "tf"),
    ),
    Parameter("world_frame", "odom", "With TF: the fixed frame"),
    Parameter("mounting.xyz", "0 0 0", "The camera's optical frame in the odometry's child frame: x y z [m]"),
    Parameter(
        "mounting.rotation",
        "0 0 0",
        "Its rotation there: roll pitch yaw [rad], or a quaternion x y z w; all zeros: the odometry is the camera's",
    ),
    Parameter("pose_timeout", 0.5, "How long an image waits for the pose of its stamp", "s", 0.01, 60.0),
    Parameter("pose_max_gap", 0.5, "Between poses farther apart than this nothing is interpolated", "s", 0.001, 60.0),
    Parameter("max_tracks", 1000, "Corners followed at once", "", 20, 20000),
    Parameter("cell", 24, "Side of the buckets over which corners are spread", "px", 8, 1000),
    Parameter("keyframes", 8, "Images that a landmark is triangulated from, besides the newest", "", 2, 100),
    Parameter("keyframe_parallax", 3.0, "Motion beyond the rotation that makes a keyframe", "px", 0.5, 1000.0),
    Parameter("min_parallax", 1.75, "Least angle at a landmark between two of its images", "deg", 0.1, 45.0),
    Parameter("min_views", 3, "Least number of images of a landmark", "", 2, 100),
    Parameter("max_reprojection", 1.2, "Largest distance of a landmark to its pixels (rms)", "px", 0.1, 20.0),
    Parameter(
        "relative_sigma",
        0.015,
        "Least relative standard deviation: what images cannot show, such as a trajectory that is too long",
        "",
        0.0,
        1.0,
    ),
)
