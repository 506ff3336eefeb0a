"""One world: stereo, agreement with `render`, painted rooms, flights."""

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError, ConfigurationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.scenes import World, render

TEXEL_M = 0.03
CAMERA = pinhole.centred(160, 120, 110.0)


@pytest.fixture(scope="module")
def aisle() -> World:
    return World("aisle", 7, texel_m=TEXEL_M)


def own_camera(world: World, height: int, width: int) -> tuple[Intrinsics, np.ndarray]:
    """Return the camera that `render` gives this world."""
    fx = pinhole.focal_from_fov(world.camera.fov_deg, width)
    fy = fx * height / width * world.camera.aspect
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = world.camera.rotation, world.camera.origin
    return pinhole.centred(width, height, fx, fy), pose


@pytest.mark.parametrize(("kind", "seed"), [("robot", 3), ("wide", 12), ("handheld", 5)])
def test_a_world_and_render_show_the_same(kind, seed):
    batch = render(kind, [seed], 60, 80, effects=False)
    view = World(kind, seed).render(*own_camera(World(kind, seed), 60, 80))
    np.testing.assert_allclose(view.depth_m, batch.depth_m[0], rtol=1e-5)
    np.testing.assert_array_equal(view.instance, batch.instance[0])
    np.testing.assert_allclose(view.normals, batch.normals[0], atol=1e-5)
    difference = view.rgb.astype(float) - batch.rgb[0].numpy()
    assert difference.std() < 12 and view.rgb.dtype == np.uint8 and view.depth_m.dtype == np.float32


def test_the_right_view_is_the_left_one_shifted_by_its_disparity():
    """Disparity is f B / Z; warped by the true one the right image explains the left, by another one it does not."""
    world = World("robot", 5)
    camera, pose = own_camera(world, 120, 160)
    right_of = np.eye(4)
    right_of[0, 3] = baseline = 0.1
    left, right = world.render(camera, pose), world.render(camera, pose @ right_of)
    v, u = np.mgrid[0:120, 40:160].astype(np.float32)
    disparity = camera.fx * baseline / left.depth_m[:, 40:]

    def mean_error(shift: np.ndarray) -> float:
        warped = cv2.remap(right.rgb, u - shift.astype(np.float32), v, cv2.INTER_LINEAR)
        return float(np.abs(warped.astype(float) - left.rgb[:, 40:]).mean())

    true = mean_error(disparity)
    assert true < 0.4 * mean_error(disparity * 1.5) and true < 0.4 * mean_error(np.full_like(disparity, 0))
    same = np.isclose(cv2.remap(right.depth_m, u - disparity, v, cv2.INTER_NEAREST), left.depth_m[:, 40:], rtol=0.02)
    assert same.mean() > 0.8  # a shift along x leaves depth as it is; the rest is occluded


def test_a_painted_room_looks_as_if_lit_anew(aisle):
    pose = aisle.flight(1, 10.0)[0].T_world_camera
    painted, anew = aisle.render(CAMERA, pose), World("aisle", 7).render(CAMERA, pose)
    assert np.array_equal(painted.depth_m, anew.depth_m) and np.array_equal(painted.instance, anew.instance)
    a, b = (cv2.GaussianBlur(view.rgb, (0, 0), 3).astype(float).ravel() for view in (painted, anew))
    assert np.corrcoef(a, b)[0, 1] > 0.95  # up to exposure and the texels


def test_points_of_one_frame_reproduce_the_depth_and_colour_of_another(aisle):
    first, second = (pose.T_world_camera for pose in aisle.flight(20, 10.0)[::15])
    a, b = aisle.render(CAMERA, first), aisle.render(CAMERA, second)
    moved = np.linalg.inv(second) @ first
    points = pinhole.unproject(a.depth_m, CAMERA).reshape(-1, 3) @ moved[:3, :3].T + moved[:3, 3]
    pixels = np.rint(pinhole.project(points, CAMERA))
    inside = np.all((pixels >= 0) & (pixels <= [159, 119]), axis=1)
    u, v = pixels[inside].astype(int).T
    error = np.abs(b.depth_m[v, u] - points[inside, 2]) / points[inside, 2]
    colour = np.abs(b.rgb[v, u].astype(int) - a.rgb.reshape(-1, 3)[inside]).mean(-1)
    assert inside.mean() > 0.5 and not np.allclose(first, second)
    assert np.median(error) < 0.01 and np.mean(error < 0.03) > 0.9  # the rest is hidden in one of the two
    assert np.median(colour) < 12


def test_one_seed_is_one_world_and_another_seed_another(aisle):
    pose = aisle.flight(3, 10.0)[2].T_world_camera
    view, again = aisle.render(CAMERA, pose), World("aisle", 7, texel_m=TEXEL_M).render(CAMERA, pose)
    assert np.array_equal(view.rgb, again.rgb) and np.array_equal(view.depth_m, again.depth_m)
    other = World("aisle", 8, texel_m=0.1)
    assert not np.array_equal(view.depth_m, other.render(CAMERA, other.flight(1, 1.0)[0].T_world_camera).depth_m)
    assert view.rgb.dtype == np.uint8 and view.depth_m.dtype == np.float32 and np.isfinite(view.depth_m).all()


def test_the_flight_goes_forward_at_its_speed_with_true_rotations_and_repeats(aisle):
    poses = aisle.flight(11, 10.0)
    assert [pose.stamp_ns for pose in poses[:3]] == [0, 100_000_000, 200_000_000]
    assert poses[10].T_world_camera[0, 3] - poses[0].T_world_camera[0, 3] == pytest.approx(0.5)
    for pose in poses:
        rotation = pose.T_world_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation[0, 2] > 0.9 and rotation[2, 1] < -0.9  # forward is world x, down is world -z
    start, back = aisle.flight(2, 1 / aisle.flight_period_s)
    np.testing.assert_allclose(back.T_world_camera, start.T_world_camera, atol=1e-9)


def test_a_flight_has_no_jumps(aisle):
    rate = 20.0
    poses = np.stack([pose.T_world_camera for pose in aisle.flight(round(rate * aisle.flight_period_s) + 5, rate)])
    step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turn = np.arccos(np.clip((np.einsum("nij,nij->n", poses[1:, :3, :3], poses[:-1, :3, :3]) - 1) / 2, -1, 1))
    assert step.max() < 1.3 * 0.5 / rate and np.degrees(turn.max()) < 1.0


@pytest.mark.parametrize(("kind", "seed", "rate"), [("aisle", 0, 1.0), ("aisle", 1, 1.0), ("robot", 2, 4.0)])
def test_the_whole_flight_keeps_clear_of_everything(kind, seed, rate):
    world = World(kind, seed)
    for pose in world.flight(min(round(world.flight_period_s * rate), 40), rate):
        assert world.render(pinhole.centred(32, 24, 20.0), pose.T_world_camera).depth_m.min() > 0.1


def test_a_camera_outside_impossible_intrinsics_and_unknown_kinds_are_refused(aisle):
    outside = np.eye(4)
    outside[0, 3] = -1.0
    with pytest.raises(ValueError, match="inside the room"):
        aisle.render(CAMERA, outside)
    with pytest.raises(CalibrationError, match="fx=0"):
        aisle.render(Intrinsics(64, 48, 0.0, 50.0, 30.0, 20.0), outside)
    with pytest.raises(ConfigurationError, match="'cave'.*aisle"):
        World("cave", 0)
