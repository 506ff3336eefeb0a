"""Every parameter of `obstacle_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

OBSTACLE_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter(
        "attitude.source",
        "fixed",
        "How the camera's attitude is known: the angles below, or the topic odometry or imu",
        choices=("fixed", "odometry", "imu"),
    ),
    Parameter("attitude.roll", 0.0, "Fixed: how far the camera leans to its right", "deg", -180.0, 180.0),
    Parameter("attitude.pitch", 0.0, "Fixed: how far the camera looks down (REP 103)", "deg", -85.0, 85.0),
    Parameter(
        "attitude.world_up",
        "z",
        "Up in the odometry's world: z (REP 103), or -y for odometry_node without a mounting",
        choices=("z", "-y"),
    ),
    Parameter("attitude.max_age", 0.1, "An image farther than this from any attitude is lost", "s", 0.001, 10.0),
    Parameter(
        "mounting.rotation",
        "0 0 0",
        "The optical frame in the odometry's child frame or the IMU's: roll pitch yaw [rad], or a quaternion x y z w; "
        "-0.5 0.5 -0.5 0.5 for a camera that looks along x",
    ),
    Parameter("heading", 0.0, "For scan_frd: where the camera looks in the vehicle, left positive", "deg", -180, 180),
    Parameter("frame_id", "", "Frame of scan; empty: the depth's, with _optical_frame replaced by _level"),
    Parameter("publish_tf", False, "Broadcast that frame in TF below the depth's (needs tf2_ros)"),
    Parameter("range_min", 0.2, "Nearer than this is the robot itself", "m", 0.01, 100.0, live=True),
    Parameter("range_max", 10.0, "Farther than this is clear", "m", 0.1, 600.0, live=True),
    Parameter("increment", 1.0, "Width of a sector of scan; those of scan_frd have 5", "deg", 0.1, 10.0, live=True),
    Parameter("band.low", -1.0, "Obstacles begin at this height over the camera", "m", -100.0, -0.01, live=True),
    Parameter("band.high", 1.0, "Obstacles end at this height over the camera", "m", 0.01, 100.0, live=True),
    Parameter(
        "ground.camera_height", 0.0, "Of the camera over the ground; 0: no ground (flight)", "m", 0.0, 100.0, live=True
    ),
    Parameter("ground.tolerance", 0.05, "What is lower than this over the ground is ground", "m", 0.0, 10.0, live=True),
    Parameter("ground.slope", 0.03, "That tolerance grows by this share of the range", "", 0.0, 1.0, live=True),
    Parameter("support.pixels", 8, "An obstacle is at least so many pixels of a sector", "px", 1, 10000, live=True),
    Parameter("support.agreement", 0.1, "That agree in range to this share of it", "", 0.001, 1.0, live=True),
    Parameter("support.percentile", 20.0, "Of those ranges, this percentile is reported", "%", 0.0, 100.0, live=True),
    Parameter("stride", 2, "Use every n-th pixel of each row and column", "px", 1, 64, live=True),
    Parameter("contact.window", 2.0, "Time over which the closing speed is fitted", "s", 0.1, 60.0),
    Parameter("contact.max_speed", 20.0, "Faster than this nothing is taken for the same obstacle", "m/s", 0.1, 1000.0),
    Parameter("contact.sure", 2.0, "A time to contact wants a closing speed of so many sigmas", "", 0.0, 100.0),
    Parameter("layers.count", 4, "Most layers of the topic layers", "", 2, 20, live=True),
    Parameter("layers.foreground", 0.0, "Foreground is nearer than this; 0: found by itself", "m", 0.0, 1e4, live=True),
    Parameter("max_rate", 0.0, "Upper limit of scans a second; 0 is no limit", "Hz", 0.0, 1000.0, live=True),
)
