"""Every parameter of `odometry_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

ODOMETRY_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter("rectify", True, "Image and depth are raw: undistort them by camera_info; false: they are rectified"),
    Parameter("sync.tolerance", 0.02, "How far apart the stamps of image and depth may be", "s", 0.0, 1.0),
    Parameter("odom_frame", "odom", "The fixed frame: where the base was at first"),
    Parameter("base_frame", "", "Child frame of the odometry; empty: the image's own, and no mounting"),
    Parameter("mounting.xyz", "0 0 0", "The camera's optical frame in base_frame: x y z [m]"),
    Parameter("mounting.rotation", "0 0 0", "Its rotation there: roll pitch yaw [rad], or a quaternion x y z w"),
    Parameter("max_tracks", 800, "Corners followed at once", "", 20, 20000),
    Parameter("cell", 28, "Side of the buckets over which corners are spread", "px", 8, 1000),
    Parameter("keyframe_parallax", 10.0, "Motion beyond the rotation that makes a keyframe", "px", 0.5, 1000.0),
    Parameter("keyframe_share", 0.7, "A keyframe is made when fewer corners than this agree", "", 0.0, 1.0),
    Parameter("min_depth", 0.1, "Nearer depth is not used", "m", 0.001, 1000.0),
    Parameter("max_depth", 20.0, "Farther depth is not used", "m", 0.01, 10000.0),
)
