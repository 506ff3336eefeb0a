"""Views of a cloud: a known point at a known pixel, what hides what, and framing."""

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import cloud_view
from depth_pro_ros.records import Intrinsics

VIEW = Intrinsics(80, 60, 100.0, 100.0, 40.0, 30.0)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def drawn(picture):
    """Return the set of (u, v) that differ from the ground."""
    rows, columns = np.nonzero((picture != cloud_view.GROUND_RGB).any(axis=2))
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def test_point_falls_on_its_pixel():
    # u = 100 * 0.2 / 2 + 40 = 50, v = 100 * -0.3 / 2 + 30 = 15
    picture = cloud_view.render_cloud(np.array([[0.2, -0.3, 2.0]]), np.array([RED]), np.eye(4), VIEW, splat_px=1)
    assert drawn(picture) == {(50, 15)}
    assert tuple(picture[15, 50]) == RED


def test_splat_of_three_is_centred():
    picture = cloud_view.render_cloud(np.array([[0.2, -0.3, 2.0]]), np.array([RED]), np.eye(4), VIEW, splat_px=3)
    assert drawn(picture) == {(u, v) for u in (49, 50, 51) for v in (14, 15, 16)}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_nearer_point_hides_farther_ones_whatever_the_order(order):
    points = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 3.0]])[list(order)]
    colours = np.array([RED, GREEN, BLUE])[list(order)]
    picture = cloud_view.render_cloud(points, colours, np.eye(4), VIEW)
    assert tuple(picture[30, 40]) == RED


def test_splat_of_a_nearer_neighbour_covers_a_farther_points_pixel():
    points = np.array([[0.02, 0.0, 2.0], [0.0, 0.0, 1.0]])  # pixels 41 and 40
    picture = cloud_view.render_cloud(points, np.array([GREEN, RED]), np.eye(4), VIEW, splat_px=3)
    assert tuple(picture[30, 41]) == RED and tuple(picture[30, 42]) == GREEN


def test_behind_outside_and_unknown_points_are_left_out():
    points = np.array([[0, 0, -1.0], [0, 0, 0.0], [9.0, 0, 1.0], [0, -9.0, 1.0], [np.nan, 0, 1.0], [0, 0, np.inf]])
    assert not drawn(cloud_view.render_cloud(points, np.full((6, 3), 255), np.eye(4), VIEW))


def test_splat_over_the_edge_is_cut_and_does_not_wrap():
    picture = cloud_view.render_cloud(np.array([[-0.4, -0.3, 1.0]]), np.array([RED]), np.eye(4), VIEW, splat_px=3)
    assert drawn(picture) == {(0, 0), (1, 0), (0, 1), (1, 1)}


def test_look_at_agrees_with_hand_computation():
    # From (5, 0, 5) back at (0, 0, 5): forward is -x; with -y up, the picture's right is +z.
    pose = cloud_view.look_at((5, 0, 5), (0, 0, 5))
    np.testing.assert_allclose(pose, [[0, 0, -1, 5], [0, 1, 0, 0], [1, 0, 0, 5], [0, 0, 0, 1]], atol=1e-15)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)


def test_the_other_side_shows_what_the_camera_could_not_see():
    points = np.array([[0.0, 0.0, 4.0], [0.0, 0.0, 6.0]])
    colours = np.array([RED, BLUE])
    front = cloud_view.render_cloud(points, colours, np.eye(4), VIEW)
    back = cloud_view.render_cloud(points, colours, cloud_view.look_at((0, 0, 10), (0, 0, 5)), VIEW)
    assert tuple(front[30, 40]) == RED and tuple(back[30, 40]) == BLUE


@pytest.mark.parametrize("eye, target", [((0, 0, 1), (0, 0, 1)), ((0, 0, 0), (0, 3, 0))])
def test_viewpoint_without_a_direction_is_refused(eye, target):
    with pytest.raises(ConfigurationError, match="another up or eye"):
        cloud_view.look_at(eye, target)


def test_framing_shows_the_cloud_large_and_ignores_strays():
    rng = np.random.default_rng(3)
    points = rng.uniform((-3, -1, 5), (3, 1, 9), (5000, 3))
    points[:20] = (1e4, -1e4, 1e5)
    points[20:30] = np.nan
    pose = cloud_view.framed(points, np.array((-0.45, 0.45, 1.0)), VIEW)
    pixels = pinhole.project((points[30:] - pose[:3, 3]) @ pose[:3, :3], VIEW)
    inside = ((pixels > -0.5) & (pixels < (79.5, 59.5))).all(axis=1)
    assert inside.mean() > 0.95
    assert np.ptp(pixels[inside], axis=0).max() > 60


def test_cloud_without_a_point_is_refused():
    with pytest.raises(ConfigurationError, match="nothing to show"):
        cloud_view.two_views(np.full((4, 5, 3), np.nan), np.zeros((4, 5, 3), np.uint8))


def test_slits_are_filled_and_holes_are_not():
    picture = np.full((60, 60, 3), cloud_view.GROUND_RGB, np.uint8)
    picture[10:50, 10:50] = (200, 100, 50)
    picture[20:23, 10:50] = cloud_view.GROUND_RGB  # a slit
    picture[30:45, 20:35] = cloud_view.GROUND_RGB  # a hole
    filled = cloud_view.fill_slits(picture)
    assert (filled[20:23, 14:46] == (200, 100, 50)).all()
    assert (filled[31:44, 21:34] == cloud_view.GROUND_RGB).all()
    assert (filled[:10] == cloud_view.GROUND_RGB).all() and (filled[50:] == cloud_view.GROUND_RGB).all()


def test_view_from_above_has_far_upwards_and_right_at_the_right():
    """Four coloured patches of a floor: near left, near right, far left, far right."""
    u, v = np.meshgrid(np.linspace(-1, 1, 200), np.linspace(4, 6, 200))
    floor = np.stack((u, np.ones_like(u), v), axis=-1)
    colours = np.zeros((200, 200, 3), np.uint8)
    colours[:100, :100], colours[:100, 100:] = RED, GREEN
    colours[100:, :100], colours[100:, 100:] = BLUE, (255, 255, 255)
    picture = cloud_view.two_views(floor, colours, (600, 300))
    assert picture.shape == (300, 600, 3)
    above = picture[:, 300:]
    assert tuple(above[200, 100]) == RED and tuple(above[200, 200]) == GREEN
    assert tuple(above[100, 100]) == BLUE and tuple(above[100, 200]) == (255, 255, 255)


def test_real_frame_fills_both_views(data_dir):
    folder = data_dir / "rgbd_livingroom_synth"
    depth = cv2.imread(str(folder / "depth" / "00000.png"), cv2.IMREAD_UNCHANGED) / np.float32(1000)
    depth[depth == 0] = np.nan
    rgb = cv2.imread(str(folder / "rgb" / "00000.jpg"))[..., ::-1]
    points = pinhole.unproject(depth, Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5))
    picture = cloud_view.two_views(points, rgb)
    covered = (picture != cloud_view.GROUND_RGB).any(axis=2)
    assert covered[:, :640].mean() > 0.25 and covered[:, 640:].mean() > 0.25
