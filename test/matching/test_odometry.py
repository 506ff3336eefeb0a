"""Visual odometry on recorded and made-up sequences: drift, covariance, being lost and finding back."""

import numpy as np
import pytest
from matching.panels import CAMERA, ROOM, Panel, pose, view
from matching.recordings import load, path_errors

from depth_pro_ros.errors import CalibrationError, TrackingError
from depth_pro_ros.matching.odometry import VisualOdometry, carried, depth_at

BOUNDS = {"rgbd_livingroom_synth": (0.01, 0.01), "rgbd_hololens": (0.05, 0.01)}


@pytest.mark.parametrize("name", BOUNDS)
def test_recorded_paths(data_dir, name):
    camera, frames = load(data_dir / name)
    odometry = VisualOdometry(camera)
    poses = [odometry.update(gray, depth).T_world_camera for gray, depth, _ in frames]
    drift, ate = path_errors(poses, [T for _, _, T in frames])
    print(f"{name}: end drift {100 * drift:.2f} %, ATE {100 * ate:.2f} % of the path")
    assert drift <= BOUNDS[name][0] and ate <= BOUNDS[name][1]


def moves(count=10):
    return [pose(0.05 * i, 0.01 * i, 0.04 * i, (0.3 * i, -0.8 * i, 0.5 * i)) for i in range(count)]


def test_a_made_up_path():
    odometry = VisualOdometry(CAMERA)
    for T in moves():
        estimate = odometry.update(*view(ROOM, T))
    away = np.linalg.inv(T) @ estimate.T_world_camera
    assert np.linalg.norm(away[:3, 3]) < 0.01
    assert np.degrees(np.arccos((np.trace(away[:3, :3]) - 1) / 2)) < 0.2
    sigma = np.sqrt(np.diag(estimate.covariance))
    assert (np.abs(away[:3, 3]) < 8 * sigma[:3]).all() and sigma[:3].max() < 0.05
    assert estimate.inliers > 50


def test_pure_rotation_is_no_motion():
    odometry = VisualOdometry(CAMERA)
    for index in range(8):
        estimate = odometry.update(*view(ROOM, pose(turn=(0, 1.5 * index, 0))))
    assert np.linalg.norm(estimate.T_world_camera[:3, 3]) < 0.01


def test_the_covariance_grows():
    odometry = VisualOdometry(CAMERA)
    traces = [np.trace(odometry.update(*view(ROOM, T)).covariance) for T in moves(12)]
    assert traces[0] == 0.0 and traces[3] > 0 and traces[-1] > 1.5 * traces[3]


def test_lost_is_said_and_found_again():
    odometry = VisualOdometry(CAMERA)
    path = moves(6)
    for T in path:
        before = odometry.update(*view(ROOM, T))
    blank = view([Panel(3.0, blank=True)], pose())
    for _ in range(3):
        with pytest.raises(TrackingError, match="known points in view"):
            odometry.update(*blank)
    again = odometry.update(*view(ROOM, path[-1]))
    assert np.allclose(again.T_world_camera, before.T_world_camera, atol=0.005)


def test_another_scene_is_lost_not_guessed():
    odometry = VisualOdometry(CAMERA)
    odometry.update(*view(ROOM, pose()))
    with pytest.raises(TrackingError):
        odometry.update(*view([Panel(2.5, seed=77)], pose()))


def test_no_depth_is_no_start_but_holes_are_no_harm():
    odometry = VisualOdometry(CAMERA)
    gray, depth = view(ROOM, pose())
    with pytest.raises(TrackingError, match="0 of .* corners have depth"):
        odometry.update(gray, np.full_like(depth, np.nan))
    random = np.random.default_rng(0)
    for T in moves(6):
        gray, depth = view(ROOM, T)
        depth[np.repeat(np.repeat(random.random((15, 20)) < 0.5, 16, axis=0), 16, axis=1)] = np.nan
        depth[:4] = np.inf
        estimate = odometry.update(gray, depth)
    assert np.linalg.norm((np.linalg.inv(T) @ estimate.T_world_camera)[:3, 3]) < 0.02


def test_a_thing_that_moves_by_itself_does_not_carry_the_camera():
    odometry = VisualOdometry(CAMERA)
    for index, T in enumerate(moves(8)):
        thing = Panel(1.8, 0.3 + 0.06 * index, 0.05 * index, (0.7, 0.7), seed=5)
        estimate = odometry.update(*view([ROOM[0], thing], T))
    assert np.linalg.norm((np.linalg.inv(T) @ estimate.T_world_camera)[:3, 3]) < 0.02
    assert estimate.inliers <= estimate.points


def test_depth_at_steps_and_holes():
    depth = np.full((20, 20), 2.0, np.float32)
    depth[:, 10:] = 3.0
    depth[3, 3] = np.nan
    assert depth_at(depth, np.array([[5.0, 5.4]]))[0] == 2.0
    assert np.isnan(depth_at(depth, np.array([[9.6, 15.0], [10.2, 5.0], [4.0, 3.0]]))).all()


def test_a_carried_rotation_error_moves_what_is_far():
    covariance = np.zeros((6, 6))
    covariance[5, 5] = 0.01**2  # 0.01 rad about Z
    later = carried(covariance, np.eye(4), pose(x=2.0))
    assert later[1, 1] == pytest.approx(0.02**2) and later[0, 0] == 0.0 and later[5, 5] == pytest.approx(0.01**2)
    assert later[1, 5] == pytest.approx(2.0 * 0.01**2)


def test_sizes_must_agree():
    with pytest.raises(CalibrationError, match="register the depth"):
        VisualOdometry(CAMERA).update(np.zeros((240, 320), np.uint8), np.zeros((120, 160), np.float32))
