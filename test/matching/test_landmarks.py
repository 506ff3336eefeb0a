"""Landmarks against recorded and made-up depth, their sigma, and poses and scenes that give none."""

import numpy as np
import pytest
from matching.panels import CAMERA, ROOM, Panel, pose, view
from matching.recordings import load

from depth_pro_ros.errors import CalibrationError, TrackingError
from depth_pro_ros.matching.landmarks import Triangulator

RECORDED = {"rgbd_hololens": 0.03, "rgbd_livingroom_synth": 0.02, "rgbd_tum_fr1_desk": 0.04}


def sideways(step=0.06):
    return [pose(x=index * step) for index in range(8)]


def run(triangulator, poses, panels=ROOM, given=None):
    for T, told in zip(poses, given or poses, strict=True):
        landmarks = triangulator.add(view(panels, T)[0], told)
    return landmarks


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_depth(data_dir, name):
    camera, frames = load(data_dir / name)
    triangulator = Triangulator(camera)
    counts, errors, sigmas = [], [], []
    for gray, depth, T in frames:
        found = triangulator.add(gray, T)
        counts.append(len(found.ids))
        u, v = np.rint(found.uv).astype(int).T
        true = depth[v, u]
        known = true > 0
        errors.append(np.abs(found.points_camera[:, 2] / true - 1)[known])
        sigmas.append((found.sigma_m / true)[known])
    started = counts[np.flatnonzero(counts)[0] :]
    error, sigma = np.concatenate(errors), np.concatenate(sigmas)
    within = (error < sigma).mean()
    print(
        f"{name}: median error {np.median(error):.4f}, median landmarks {np.median(started):.0f}, "
        f"within 1 sigma {within:.3f}"
    )
    assert np.median(error) <= RECORDED[name]
    assert np.median(started) >= 100
    assert 0.55 <= within <= 0.80


def test_made_up_depth_and_samples():
    triangulator = Triangulator(CAMERA)
    poses = sideways()
    found = run(triangulator, poses)
    u, v = np.rint(found.uv).astype(int).T
    true = view(ROOM, poses[-1])[1][v, u]
    assert len(found.ids) > 60 and found.state == ""
    assert np.nanmedian(np.abs(found.points_camera[:, 2] / true - 1)) < 0.01
    samples = triangulator.samples()
    assert (samples.width, samples.height, samples.source) == (320, 240, "landmarks")
    assert np.array_equal(samples.depth_m, found.points_camera[:, 2]) and np.array_equal(samples.u, found.uv[:, 0])
    assert (samples.sigma_m > 0).all() and np.isfinite(samples.depth_m).all()
    ids, world = triangulator.world()
    assert np.allclose(world, found.points_camera + poses[-1][:3, 3]) and np.array_equal(ids, found.ids)


def test_noisy_poses_widen_sigma():
    random = np.random.default_rng(0)
    poses = [pose(x=0.06 * index) for index in range(20)]
    shaken = [pose(*(T[:3, 3] + random.normal(0, 0.01, 3))) for T in poses]
    calm, rough = Triangulator(CAMERA), Triangulator(CAMERA)
    sharp, wide = run(calm, poses), run(rough, poses, given=shaken)
    assert rough.noise.position_m > 3 * calm.noise.position_m
    assert np.median(wide.sigma_m) > 1.5 * np.median(sharp.sigma_m)


def test_pure_rotation_and_standstill_say_so():
    for poses in ([pose(turn=(0, 2.0 * index, 0)) for index in range(8)], [pose()] * 8):
        found = run(Triangulator(CAMERA), poses)
        assert len(found.ids) == 0 and "stands still or only turns" in found.state


def test_a_blank_wall_says_so():
    triangulator = Triangulator(CAMERA)
    found = run(triangulator, sideways(), [Panel(3.0, blank=True)])
    assert "lacks texture" in found.state and len(triangulator.samples().u) == 0


def test_a_jump_is_told_and_landmarks_begin_anew():
    triangulator = Triangulator(CAMERA)
    poses = sideways()
    run(triangulator, poses)
    jumped = [pose(x=T[0, 3] + 2.0) for T in poses]
    with pytest.raises(TrackingError, match="is 2.0. m and .* jumped"):
        triangulator.add(view(ROOM, pose(x=0.5))[0], pose(x=2.5))
    found = run(triangulator, poses, given=jumped)
    u, v = np.rint(found.uv).astype(int).T
    assert len(found.ids) > 50
    assert np.nanmedian(np.abs(found.points_camera[:, 2] / view(ROOM, poses[-1])[1][v, u] - 1)) < 0.02


def test_poses_that_stop_while_the_camera_moves():
    triangulator = Triangulator(CAMERA)
    poses = sideways()
    run(triangulator, poses)
    with pytest.raises(TrackingError, match="stands still while the camera moves"):
        for index in range(10):
            triangulator.add(view(ROOM, pose(x=0.48 + 0.06 * index))[0], poses[-1])


def test_a_thing_that_moves_by_itself_is_no_landmark():
    triangulator = Triangulator(CAMERA)
    for index, T in enumerate(sideways()):
        thing = Panel(2.0, 0.5, 0.07 * index - 0.2, (0.8, 0.8), seed=5)
        gray, depth = view([ROOM[0], thing], T)
        found = triangulator.add(gray, T)
    u, v = np.rint(found.uv).astype(int).T
    on_thing = depth[v, u] < 3.0
    assert (~on_thing).sum() > 50 and on_thing.sum() < 0.05 * len(found.ids)


def test_bad_input_is_refused():
    triangulator = Triangulator(CAMERA)
    with pytest.raises(CalibrationError, match="320x240"):
        triangulator.add(np.zeros((10, 10), np.uint8), pose())
    for bad in (np.full((4, 4), np.nan), np.zeros((4, 4)), 2 * np.eye(4)):
        with pytest.raises(TrackingError, match="not a rigid motion"):
            triangulator.add(np.zeros((240, 320), np.uint8), bad)
    assert len(triangulator.samples().u) == 0
