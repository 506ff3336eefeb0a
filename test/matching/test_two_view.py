"""Two views without odometry: motion and shape up to scale, and pairs that tell nothing."""

import numpy as np
import pytest
from matching.panels import CAMERA, pose
from matching.recordings import load

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.matching.tracks import Tracker
from depth_pro_ros.matching.two_view import relative_pose

MOTION = pose(0.3, 0.05, 0.1, (1, -3, 2))


def matches(T_a_b, count=200, noise_px=0.0, seed=0):
    """Return points in a (N, 3) and their pixels in a and b."""
    random = np.random.default_rng(seed)
    z = random.uniform(2, 6, count)
    points = np.stack([random.uniform(-0.4, 0.4, count) * z, random.uniform(-0.3, 0.3, count) * z, z], axis=1)
    views = (points, (points - T_a_b[:3, 3]) @ T_a_b[:3, :3])
    return points, *(pinhole.project(seen, CAMERA) + random.normal(0, noise_px, (count, 2)) for seen in views)


def test_motion_and_points_up_to_scale():
    points, uv_a, uv_b = matches(MOTION)
    fit = relative_pose(uv_a, uv_b, CAMERA)
    length = np.linalg.norm(MOTION[:3, 3])
    assert np.abs(fit.T_a_b[:3, :3] - MOTION[:3, :3]).max() < 1e-4
    assert np.abs(fit.T_a_b[:3, 3] * length - MOTION[:3, 3]).max() < 1e-3
    assert fit.inliers.mean() > 0.95
    assert np.median(np.abs(fit.points_a * length - points)[fit.inliers]) < 1e-3


def test_false_matches_are_named():
    _, uv_a, uv_b = matches(MOTION, noise_px=0.2)
    uv_b[:50] += np.random.default_rng(1).uniform(20, 50, (50, 2))
    fit = relative_pose(uv_a, uv_b, CAMERA)
    assert fit.inliers[:50].mean() < 0.1 and fit.inliers[50:].mean() > 0.9


@pytest.mark.parametrize("noise_px", [0.0, 0.3])
@pytest.mark.parametrize("turn", [(0, 0, 0), (0, 6, 0), (2, -4, 8)])
def test_pure_rotation_says_so(turn, noise_px):
    _, uv_a, uv_b = matches(pose(turn=turn), noise_px=noise_px)
    with pytest.raises(TrackingError):
        relative_pose(uv_a, uv_b, CAMERA)


def test_too_few_matches():
    _, uv_a, uv_b = matches(MOTION, count=12)
    with pytest.raises(TrackingError, match="12 matches"):
        relative_pose(uv_a, uv_b, CAMERA)


def test_matches_of_nothing():
    random = np.random.default_rng(0)
    with pytest.raises(TrackingError):
        relative_pose(random.uniform(0, 240, (100, 2)), random.uniform(0, 240, (100, 2)), CAMERA)


def test_recorded_pair(data_dir):
    camera, frames = load(data_dir / "rgbd_livingroom_synth")
    tracker = Tracker(1000, 24)
    tracks = [tracker.update(gray) for gray, _, _ in frames[:3]]
    here, there = tracks[0].common(tracks[2])
    fit = relative_pose(tracks[0].uv[here], tracks[2].uv[there], camera)
    true = np.linalg.inv(frames[0][2]) @ frames[2][2]
    direction = true[:3, 3] / np.linalg.norm(true[:3, 3])
    angle = np.degrees(np.arccos(direction @ fit.T_a_b[:3, 3]))
    turn = np.degrees(np.arccos((np.trace(fit.T_a_b[:3, :3].T @ true[:3, :3]) - 1) / 2))
    print(f"direction of motion off by {angle:.2f} degrees, rotation by {turn:.3f}")
    assert angle < 3 and turn < 0.5
