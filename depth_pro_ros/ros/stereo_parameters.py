"""Every parameter of `stereo_node`, once."""

from __future__ import annotations

from depth_pro_ros.ros.parameters import Parameter

STEREO_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", True, "Configure and activate the node by itself when it starts"),
    Parameter("rectify", True, "The images are raw: rectify them by their camera_info; false: they are rectified"),
    Parameter("sync.tolerance", 0.005, "How far apart the stamps of a pair may be; 0 wants equal ones", "s", 0.0, 1.0),
    Parameter("min_disparity", 0, "Where the search begins; negative for cameras that converge", "px", -1024, 1024),
    Parameter(
        "num_disparities",
        128,
        "How far the search goes, a multiple of 16; the nearest depth is f B / (min_disparity + num_disparities)",
        "px",
        16,
        1024,
    ),
    Parameter("block", 3, "Side of the window that is compared, odd", "px", 1, 21),
    Parameter(
        "max_disagreement",
        1.0,
        "A match that the right image puts elsewhere by this much is dropped",
        "px",
        0.0625,
        1.0,
    ),
    Parameter("uniqueness", 5, "How much better the best match must be than the second", "%", 0, 100),
    Parameter("speckle_size", 60, "Islands of fewer pixels are removed; 0 keeps all", "px", 0, 100000),
    Parameter("max_range", 1000.0, "Farther than this is +Inf", "m", 0.1, 10000.0, live=True),
    Parameter("max_rate", 0.0, "Upper limit of pairs matched a second; 0 is no limit", "Hz", 0.0, 1000.0, live=True),
)
