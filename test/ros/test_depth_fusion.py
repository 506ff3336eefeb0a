"""Fusion over the frames of a camera, without topics: late cues, resets, the very same depth without a cue."""

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_pro_ros.geometry.pinhole import centred
from depth_pro_ros.records import DepthMap
from depth_pro_ros.ros.depth_fusion import DepthFusion
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame

SETTINGS = {parameter.name: parameter.default for parameter in DEPTH_PARAMETERS}
WIDTH, HEIGHT = 64, 48
PREDICTED = np.linspace(1.0, 6.0, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)


def head(seconds):
    return Header(stamp=Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9)), frame_id="camera")


def frame():
    depth = DepthMap(PREDICTED.copy(), centred(WIDTH, HEIGHT, 50.0), 50.0)
    return DepthFrame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), depth, None, {"network": 1.0})


def cue(seconds, factor):
    data = (PREDICTED * factor).tobytes()
    return Image(header=head(seconds), width=WIDTH, height=HEIGHT, encoding="32FC1", step=4 * WIDTH, data=data)


def run(fusion, seconds, *cues_meanwhile):
    """One frame through fusion, with cues that come while its depth is inferred."""
    plain = frame()
    fusion.expect(head(seconds))
    for message in cues_meanwhile:
        fusion.add("cues/depth", message)
    return plain, fusion.apply(plain, head(seconds))


def test_without_a_cue_the_depth_is_the_very_same_object():
    plain, fused = run(DepthFusion(SETTINGS), 1.0)
    assert fused.depth is plain.depth and fused.sigma_relative is None and not fused.scale.known
    assert set(fused.stages_ms) == {"network", "fuse"}


def test_a_cue_that_comes_while_the_network_is_at_work_is_used():
    plain, fused = run(DepthFusion(SETTINGS), 1.0, cue(1.0, 2.0))
    np.testing.assert_allclose(np.median(fused.depth.depth_m / PREDICTED), 2.0, rtol=0.01)
    assert fused.unfused is plain.depth


def test_a_cue_that_comes_after_its_frame_still_moves_the_factor():
    fusion = DepthFusion(SETTINGS)
    _, first = run(fusion, 1.0)
    assert not first.scale.known
    fusion.add("cues/depth", cue(1.0, 2.0))  # late
    _, second = run(fusion, 1.5)
    np.testing.assert_allclose(np.median(second.depth.depth_m / PREDICTED), 2.0, rtol=0.01)
    np.testing.assert_allclose(second.scale.age_s, 0.5, atol=1e-6)


def test_a_reset_forgets_the_factor_before_the_next_frame():
    fusion = DepthFusion(SETTINGS)
    run(fusion, 1.0, cue(1.0, 2.0))
    assert fusion.facts()["scale_state"] == "tracking"
    fusion.reset()
    _, after = run(fusion, 1.5)
    assert not after.scale.known and fusion.facts()["scale_state"] == "unfused"


def test_a_cue_of_another_frame_is_told_until_a_good_one_comes():
    fusion = DepthFusion(SETTINGS)
    stranger = cue(1.0, 2.0)
    stranger.header.frame_id = "lidar"
    plain, fused = run(fusion, 1.0, stranger)
    assert fused.depth is plain.depth and "'lidar'" in fusion.facts()["cue_problem"]
    run(fusion, 2.0, cue(2.0, 2.0))
    assert fusion.facts()["cue_problem"] == "none"
