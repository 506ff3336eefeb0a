"""Every parameter of `camera_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

CAMERA_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter("source", "scene", "What the images come from", choices=("folder", "video", "bag", "device", "scene")),
    Parameter("path", "", "Folder, video file, bag, or device (/dev/video1, or '1' in quotes; empty is device 0)"),
    Parameter("topic", "", "Image topic of a bag; empty takes its first colour image topic"),
    Parameter(
        "intrinsics",
        "",
        "Calibration file, .json or camera_info .yaml; empty takes intrinsics.json or camera_info.yaml beside a "
        "folder's images, a bag's own camera_info, or leaves camera_info zero (unknown)",
    ),
    Parameter("rate", 0.0, "Frames a second; 0 keeps the source's own pace", "Hz", 0.0, 1000.0),
    Parameter("loop", False, "Start again at the end"),
    Parameter("frames", 0, "Stop after so many frames; 0 plays all", "frames", 0, 1_000_000_000),
    Parameter("exit_at_end", False, "End the process with the source: status 0, or 1 when the source failed"),
    Parameter("start_delay", 0.0, "Wait before the first frame, after a subscriber has come", "s", 0.0, 3600.0),
    Parameter("wait_for_subscribers", False, "Hold the first frame back until somebody subscribes to the image"),
    Parameter("subscriber_timeout", 30.0, "The longest such wait; then the source starts anyway", "s", 0.0, 3600.0),
    Parameter("stamp", "now", "Header stamps: the node's clock, or the source's own", choices=("now", "source")),
    Parameter("frame_id", "camera_optical_frame", "Frame of the images; empty keeps a bag's own"),
    Parameter("compressed", False, "Publish image/compressed (JPEG) as well"),
    Parameter("jpeg_quality", 95, "Quality of image/compressed", "", 1, 100),
    Parameter("width", 640, "Width of a scene's images", "px", 16, 8192),
    Parameter("height", 480, "Height of a scene's images", "px", 16, 8192),
    Parameter("fov_deg", 75.0, "Horizontal field of view of a scene's camera", "deg", 10.0, 150.0),
    Parameter("baseline", 0.0, "Scene: also publish a right image from this far to the right; 0 none", "m", 0.0, 10.0),
    Parameter("seed", 0, "Which scene: the same seed gives the same images", "", 0, 2_147_483_647),
)
