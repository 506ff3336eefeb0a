"""Every parameter of `depth_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

DEPTH_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("weights", "tiny", "Name of embedded weights or path of a checkpoint (.pt, .safetensors, folder)"),
    Parameter(
        "backend",
        "torch",
        "What runs the network; onnxruntime takes what `depth_pro_ros export` made of the weights",
        choices=("torch", "onnxruntime"),
    ),
    Parameter("device", "auto", "Where the network runs", choices=("auto", "cuda", "cpu", "mps")),
    Parameter(
        "precision",
        "auto",
        "Number format of the network; auto checks half precision against float32 once",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Parameter("compile", False, "Compile the network with torch.compile (the first frame then takes minutes)"),
    Parameter("patch_batch", 0, "Patches encoded at once; fewer need less memory, 0 decides", minimum=0, maximum=35),
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter("image_transport", "raw", "Which image topic to subscribe", choices=("raw", "compressed")),
    Parameter("rectify", True, "The image is raw: undistort it by camera_info; false: it is already rectified"),
    Parameter(
        "focal.source",
        "auto",
        "Where the focal length comes from; auto takes camera_info's when it has one, else the network's estimate",
        choices=("auto", "camera_info", "estimate", "fixed"),
    ),
    Parameter("focal.fixed_px", 500.0, "Focal length for focal.source fixed, of the input image", "px", 1.0, 1e6),
    Parameter(
        "focal.camera_info_timeout", 1.0, "How long to wait for a first camera_info before estimating", "s", 0.0, 60.0
    ),
    Parameter("focal.window", 15, "Estimates whose median is the focal length", "frames", 1, 1000),
    Parameter("focal.latch", True, "Keep the median once the window is full, so that the scale does not flicker"),
    Parameter("fusion.enabled", True, "Tie the scale to the cue topics; without a cue the depth stays as it is"),
    Parameter("fusion.tolerance", 0.02, "How far apart the stamps of an image and its cue may lie", "s", 0.0, 1.0),
    Parameter("fusion.disparity_sigma", 0.5, "Standard deviation of cues/disparity", "px", 0.01, 10.0),
    Parameter("fusion.depth_sigma", 0.02, "Relative standard deviation of cues/depth", "", 0.0001, 1.0),
    Parameter("fusion.landmark_sigma", 0.05, "As above, of cues/landmarks without a field sigma", "", 0.0001, 1.0),
    Parameter("fusion.residual_field", True, "Correct the smooth part of the network's error, not only its scale"),
    Parameter("fusion.pixel_blend", True, "Blend each pixel with a dense cue, by their uncertainties"),
    Parameter("propagation.enabled", False, "Carry the last depth to every image by the camera's poses"),
    Parameter(
        "propagation.pose_source",
        "odometry",
        "Where the poses come from: the topic odometry, or TF (needs tf2_ros)",
        choices=("odometry", "tf"),
    ),
    Parameter("propagation.world_frame", "odom", "With TF: the fixed frame"),
    Parameter("mounting.xyz", "0 0 0", "The camera's optical frame in the odometry's child frame: x y z [m]"),
    Parameter(
        "mounting.rotation",
        "0 0 0",
        "Its rotation there: roll pitch yaw [rad], or a quaternion x y z w; all zeros: the odometry is the camera's",
    ),
    Parameter("propagation.pose_timeout", 0.5, "How long an image waits for the pose of its stamp", "s", 0.01, 60.0),
    Parameter(
        "propagation.pose_max_gap",
        0.5,
        "Between poses farther apart than this nothing is interpolated",
        "s",
        0.001,
        60.0,
    ),
    Parameter("propagation.keyframe_sigma", 0.1, "Relative sigma of depth that is not fused", "", 0.0001, 1.0),
    Parameter("propagation.drift", 0.02, "Standard deviation of the poses per metre travelled", "", 0.0, 1.0),
    Parameter("propagation.scene_speed", 0.1, "Standard deviation of things' own motion", "m/s", 0.0, 100.0),
    Parameter("propagation.max_age", 3.0, "Depth is carried from a keyframe no older", "s", 0.0, 600.0, live=True),
    Parameter("propagation.max_baseline", 10.0, "... and no farther away", "m", 0.0, 10000.0, live=True),
    Parameter("propagation.fill", True, "Fill what the keyframe did not see from what surrounds it", live=True),
    Parameter("propagation.fill_reach", 0.1, "How far, as a share of the image's width", "", 0.0, 1.0, live=True),
    Parameter("max_range", 1000.0, "Farther than this is +Inf (sky)", "m", 0.1, 10000.0, live=True),
    Parameter("max_rate", 0.0, "Upper limit of frames inferred a second; 0 is no limit", "Hz", 0.0, 1000.0, live=True),
    Parameter("output_scale", 1.0, "Size of the depth image relative to the input", "", 0.05, 1.0, live=True),
    Parameter(
        "depth_encoding", "32FC1", "32FC1 in metres or 16UC1 in millimetres", choices=("32FC1", "16UC1"), live=True
    ),
    Parameter("cloud.stride", 2, "Take every n-th pixel of each row and column into the cloud", "px", 1, 64, live=True),
    Parameter("cloud.max_range", 100.0, "Points farther than this are NaN", "m", 0.1, 10000.0, live=True),
    Parameter("color.near", 0.0, "Depth shown as nearest; 0 takes it from each image", "m", 0.0, 10000.0, live=True),
    Parameter("color.far", 0.0, "Depth shown as farthest; 0 takes it from each image", "m", 0.0, 10000.0, live=True),
    Parameter("save_directory", "~/.ros/depth_pro_ros", "Where ~/save_frame writes", live=True),
)
