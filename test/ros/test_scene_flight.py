"""Stereo fusion on the demo's flight: a network's error, made from the truth, is mended by the stereo pair."""

import numpy as np
from ros.scene_cues import abs_rel, distorted

from depth_pro_ros.fusion import Fuser, samples_from_disparity
from depth_pro_ros.matching.disparity import StereoMatcher
from depth_pro_ros.records import DepthMap
from depth_pro_ros.ros.camera_sources.scene import SceneSource

BASELINE_M = 0.12


def test_stereo_fusion_on_the_scene_flight():
    """AbsRel at most 0.05 on every tenth frame of the flight; the prediction itself is off by a sixth or more."""
    rng = np.random.default_rng(0)
    fuser, matcher = Fuser(), StereoMatcher(num_disparities=64)
    before, after = [], []
    source = SceneSource(0, 640, 480, 75.0, rate_hz=1.0, baseline_m=BASELINE_M)
    for number, frame in enumerate(source.frames()):
        if number % 4:
            continue
        camera = frame.intrinsics
        depth = DepthMap(distorted(frame.depth_m, rng), camera, camera.fx)
        disparity = matcher.match(frame.rgb, frame.right.rgb)
        samples = samples_from_disparity(
            disparity.disparity_px, camera.fx, BASELINE_M, sigma_px=disparity.sigma_px, source="stereo"
        )
        fused = fuser.fuse(depth, [samples], frame.stamp_ns)
        before.append(abs_rel(depth.depth_m, frame.depth_m))
        after.append(abs_rel(fused.depth.depth_m, frame.depth_m))
    print(f"AbsRel: {np.median(before):.3f} before, {np.median(after):.3f} after, {max(after):.3f} worst")
    assert len(after) >= 8 and np.median(before) > 0.15
    assert np.median(after) <= 0.05
