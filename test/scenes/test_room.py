"""The room against hand-computed distances, against itself from another pose, and against its seed."""

import math

import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.scenes import Room
from depth_pro_ros.scenes.shapes import Box, Sphere

CAMERA = Intrinsics(64, 48, 50.0, 55.0, 30.0, 25.0)
AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


@pytest.fixture(scope="module")
def room() -> Room:
    return Room(7)


def looking_ahead(x: float, y: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = AHEAD, (x, y, z)
    return pose


def test_walls_of_an_empty_room_lie_where_computed_by_hand(room):
    empty = Room(7)
    empty.objects = []
    _, depth = empty.render(CAMERA, looking_ahead(1.0, 0.5, 1.2))
    end = empty.upper[0] - 1.0
    assert depth[25, 30] == pytest.approx(end, rel=1e-6)
    # 20 rows below the principal point the ray falls 20/55 m per metre of depth: floor at 1.2 * 55 / 20.
    assert depth[45, 30] == pytest.approx(1.2 * 55 / 20, rel=1e-6)
    # 30 columns left it moves 30/50 m to the left per metre: left wall, 0.5 m nearer than the right one.
    assert depth[25, 0] == pytest.approx((empty.upper[1] - 0.5) * 50 / 30, rel=1e-6)
    assert depth[25, 60] == pytest.approx((empty.upper[1] + 0.5) * 50 / 30, rel=1e-6)
    assert depth[0, 30] == pytest.approx((empty.upper[2] - 1.2) * 55 / 25, rel=1e-6)


def test_a_box_and_a_ball_in_front_of_the_camera_have_hand_computed_depth():
    scene = Room(7)
    grey = np.ones(3)
    scene.objects = [
        Box(np.array([4.0, 0.0, 0.5]), np.array([0.5, 0.4, 0.5]), 0.0, "cardboard", grey),
        Sphere(np.array([3.0, 0.0, 1.5]), 0.3, "stripes", grey),
    ]
    _, depth = scene.render(CAMERA, looking_ahead(1.0, 0.0, 0.5))
    assert depth[25, 30] == pytest.approx(2.5, rel=1e-6)  # the box's front face at x = 3.5
    assert depth[25, 37] == pytest.approx(2.5, rel=1e-6)  # 2.5 * 7 / 50 = 0.35 m to the right: still the face
    assert depth[25, 39] > 2.6  # 0.45 m: past its edge
    _, depth = scene.render(CAMERA, looking_ahead(1.0, 0.0, 1.5))
    assert depth[25, 30] == pytest.approx(1.7, rel=1e-6)  # 2 m to the centre less the radius
    # 5 columns right: d = (1, 0.1) and |t d - (2, 0)| = 0.3, so 1.01 t^2 - 4 t + 3.91 = 0.
    assert depth[25, 35] == pytest.approx((4 - math.sqrt(16 - 4 * 1.01 * 3.91)) / 2.02, rel=1e-5)


def test_a_turned_box_shows_its_edge():
    scene = Room(7)
    half = np.array([0.4, 0.4, 1.0])
    scene.objects = [Box(np.array([4.0, 0.0, 1.0]), half, math.pi / 4, "wood", np.ones(3))]
    _, depth = scene.render(CAMERA, looking_ahead(1.0, 0.0, 1.0))
    assert depth[25, 30] == pytest.approx(3.0 - 0.4 * math.sqrt(2), rel=1e-5)


def test_points_of_one_frame_reproduce_the_depth_of_another(room):
    camera = pinhole.centred(160, 120, 110.0)
    first, second = (pose.T_world_camera for pose in room.flight(20, 10.0)[::15])
    rgb_a, depth_a = room.render(camera, first)
    rgb_b, depth_b = room.render(camera, second)
    moved = np.linalg.inv(second) @ first
    points = pinhole.unproject(depth_a, camera).reshape(-1, 3) @ moved[:3, :3].T + moved[:3, 3]
    pixels = np.rint(pinhole.project(points, camera))
    inside = np.all((pixels >= 0) & (pixels <= [159, 119]), axis=1)
    u, v = pixels[inside].astype(int).T
    error = np.abs(depth_b[v, u] - points[inside, 2]) / points[inside, 2]
    colour = np.abs(rgb_b[v, u].astype(int) - rgb_a.reshape(-1, 3)[inside]).mean(-1)
    assert inside.mean() > 0.5 and not np.allclose(first, second)
    assert np.median(error) < 0.01 and np.mean(error < 0.03) > 0.9  # the rest is hidden in one of the two
    assert np.median(colour) < 12


def test_depth_does_not_depend_on_the_window_that_an_object_is_searched_in(room):
    camera = pinhole.centred(160, 120, 80.0)
    pose = room.flight(1, 10.0)[0].T_world_camera
    _, depth = room.render(camera, pose)
    rays = (pinhole.unproject(np.ones((120, 160), np.float32), camera) @ pose[:3, :3].T).astype(np.float32)
    everywhere = np.min([item.intersect(pose[:3, 3], rays) for item in room.objects], axis=0)
    np.testing.assert_allclose(depth[np.isfinite(everywhere)], everywhere[np.isfinite(everywhere)], rtol=1e-5)


def test_one_seed_is_one_world_and_another_seed_another(room):
    pose = room.flight(3, 10.0)[2].T_world_camera
    rgb, depth = room.render(CAMERA, pose)
    again_rgb, again_depth = Room(7).render(CAMERA, pose)
    other_rgb, _ = Room(8).render(CAMERA, pose)
    assert np.array_equal(rgb, again_rgb) and np.array_equal(depth, again_depth)
    assert not np.array_equal(rgb, other_rgb)
    assert rgb.dtype == np.uint8 and depth.dtype == np.float32 and np.isfinite(depth).all()


def test_the_flight_goes_forward_at_its_speed_with_true_rotations_and_repeats(room):
    poses = room.flight(11, 10.0)
    assert [pose.stamp_ns for pose in poses[:3]] == [0, 100_000_000, 200_000_000]
    assert poses[10].T_world_camera[0, 3] - poses[0].T_world_camera[0, 3] == pytest.approx(0.5)
    for pose in poses:
        rotation = pose.T_world_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation[0, 2] > 0.9 and rotation[2, 1] < -0.9  # forward is world x, down is world -z
    start, back = room.flight(2, 1 / room.flight_period_s)
    np.testing.assert_allclose(back.T_world_camera, start.T_world_camera, atol=1e-9)


def test_the_whole_flight_keeps_clear_of_the_furniture():
    for seed in range(2):
        scene = Room(seed)
        for pose in scene.flight(60, 2.0):
            _, depth = scene.render(pinhole.centred(32, 24, 20.0), pose.T_world_camera)
            assert depth.min() > 0.2


def test_a_camera_outside_and_impossible_intrinsics_are_refused(room):
    with pytest.raises(ValueError, match="inside the room"):
        room.render(CAMERA, looking_ahead(-1.0, 0.0, 1.0))
    with pytest.raises(CalibrationError, match="fx=0"):
        room.render(Intrinsics(64, 48, 0.0, 50.0, 30.0, 20.0), looking_ahead(1.0, 0.0, 1.0))
