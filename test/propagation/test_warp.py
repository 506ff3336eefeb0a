"""The forward warp against closed forms of planes, a z-buffer point by point, and the homography of a rotation."""

import numpy as np
import pytest

from depth_pro_ros.geometry import motion
from depth_pro_ros.propagation.warp import close_cracks, depth_from_inverse, inverse_from_depth, softness, warp
from depth_pro_ros.records import Intrinsics

CAMERA = Intrinsics(96, 64, 80.0, 70.0, 45.0, 33.0)
STILL = np.eye(4)


def moved(x=0.0, y=0.0, z=0.0, turn=(0.0, 0.0, 0.0)):
    """Return T_target_source of a target that stands at (x, y, z) in the source's axes and is turned by `turn`."""
    return np.linalg.inv(motion.rigid(motion.rotation_from_vector(np.array(turn)), np.array([x, y, z])))


def plane(camera, normal, distance):
    """Return inverse depth of the points with normal . p = distance: rho = normal . ray / distance."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    return (rays @ np.asarray(normal, np.float64) / distance).astype(np.float32)


def blocks(seed):
    """Return inverse depth of near blocks before a slanted wall."""
    rng = np.random.default_rng(seed)
    inverse = plane(CAMERA, (0.1, 0.05, 1.0), 6.0)
    for _ in range(6):
        top, left = rng.integers(0, 50), rng.integers(0, 80)
        inverse[top : top + 14, left : left + 14] = 1 / rng.uniform(1.5, 4.0)
    return inverse


def by_maximum(inverse, T, source, target):
    """Return the same by projecting points in float64 and keeping each pixel's largest inverse depth."""
    canvas = np.full(target.width * target.height, -1.0)
    for v, u in zip(*np.nonzero(inverse > 0), strict=True):
        z = 1 / float(inverse[v, u])
        point = T[:3, :3] @ [(u - source.cx) / source.fx * z, (v - source.cy) / source.fy * z, z] + T[:3, 3]
        if point[2] <= 0:
            continue
        x = round(target.fx * point[0] / point[2] + target.cx)
        y = round(target.fy * point[1] / point[2] + target.cy)
        if 0 <= x < target.width and 0 <= y < target.height:
            canvas[y * target.width + x] = max(canvas[y * target.width + x], 1 / point[2])
    return canvas.reshape(target.height, target.width)


def test_depth_and_back():
    depth = np.array([[2.0, np.inf, np.nan, 0.0, -1.0]], np.float32)
    inverse = inverse_from_depth(depth)
    np.testing.assert_array_equal(inverse, np.float32([[0.5, 0.0, -1.0, -1.0, -1.0]]))
    np.testing.assert_array_equal(depth_from_inverse(inverse), np.float32([[2.0, np.inf, np.nan, np.nan, np.nan]]))


def test_standing_still_changes_nothing():
    inverse = blocks(0)
    carried, sigma = warp(inverse, STILL, CAMERA, CAMERA, np.full_like(inverse, 0.1))
    np.testing.assert_allclose(carried, inverse, rtol=1e-6)
    np.testing.assert_allclose(sigma, 0.1, rtol=1e-6)


def test_a_wall_half_a_metre_nearer_by_hand():
    inverse = np.full((64, 96), 0.5, np.float32)
    carried, sigma = warp(inverse, moved(z=0.5), CAMERA, CAMERA, np.full_like(inverse, 0.06))
    landed = carried >= 0
    np.testing.assert_allclose(carried[landed], 1 / 1.5, rtol=1e-6)
    np.testing.assert_allclose(sigma[landed], 0.06 * 2.0 / 1.5, rtol=1e-5)  # 12 cm at 2 m stay 12 cm at 1.5 m
    assert 0.4 < landed.mean() < 0.65, "4/3 of the size: 9/16 of the pixels are hit"
    assert carried[33, 45] > 0, "the epipole itself stays where it is"


def test_a_step_back_leaves_a_frame_unknown():
    carried, _ = warp(np.full((64, 96), 0.5, np.float32), moved(z=-2.0), CAMERA, CAMERA)
    known = carried >= 0
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    # Half the size about the principal point: columns (0 .. 95 - 45) / 2 + 45, rows (0 .. 63 - 33) / 2 + 33.
    assert (columns[0], columns[-1]) == (22, 70) and (rows[0], rows[-1]) == (16, 48)
    assert known[16:49, 22:71].all()
    np.testing.assert_allclose(carried[known], 0.25, rtol=1e-6)


@pytest.mark.parametrize("step", [(0.2, 0, 0), (0, -0.3, 0), (0, 0, 0.4), (0.1, 0.2, -0.5)])
def test_a_slanted_plane_is_the_same_plane_elsewhere(step):
    normal = np.array([0.3, -0.2, 1.0])
    T = moved(*step, turn=(0.02, -0.05, 0.1))
    carried, _ = warp(plane(CAMERA, normal, 3.0), T, CAMERA, CAMERA)
    turned = T[:3, :3] @ normal
    expected = plane(CAMERA, turned, 3.0 + turned @ T[:3, 3])
    known = carried >= 0
    slope = np.abs(np.diff(expected, axis=0)).max() + np.abs(np.diff(expected, axis=1)).max()
    assert known.mean() > 0.5 and np.abs(carried - expected)[known].max() < 0.51 * slope, "half a pixel of rounding"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "T",
    [
        moved(x=0.5),
        moved(x=-0.5),
        moved(y=0.4),
        moved(z=1.0),
        moved(z=-1.0),
        moved(0.3, -0.2, 0.6, (0.1, -0.1, 0.2)),
        moved(-0.2, 0.3, -0.7, (0.0, 0.2, -0.1)),
        moved(x=0.5, turn=(0.0, -0.3, 0.0)),
    ],
    ids=["right", "left", "down", "ahead", "back", "ahead and turned", "back and turned", "aside and turned"],
)
def test_the_nearest_wins(T, seed):
    inverse = blocks(seed)
    carried, _ = warp(inverse, T, CAMERA, CAMERA)
    expected = by_maximum(inverse, T, CAMERA, CAMERA)
    contested = (np.abs(carried / expected - 1) > 0.05) & (expected > 0)
    assert contested.mean() < 0.002, "a far thing may only win at a pixel shared by neighbouring epipolar lines"
    assert ((carried >= 0) != (expected >= 0)).mean() < 0.01, "which pixel a point at .5 goes to may differ"


def test_the_order_matters():
    """The wrong order of the same writes does let far things through: the test above can fail."""
    inverse, T = blocks(1), moved(x=0.5)
    hidden = by_maximum(inverse[:, ::-1], T, CAMERA, CAMERA)
    assert (np.abs(warp(inverse, T, CAMERA, CAMERA)[0] / hidden - 1) > 0.05).mean() > 0.1


def test_sky_follows_the_rotation_alone_and_nothing_is_known_of_the_unknown():
    inverse = np.full((64, 96), 0.5, np.float32)
    inverse[:, 60:] = 0.0
    inverse[:20] = -1.0
    T = moved(x=0.2, y=0.1, z=0.3, turn=(0.0, 0.1, 0.0))
    carried, _ = warp(inverse, T, CAMERA, CAMERA)
    homography = CAMERA.matrix @ T[:3, :3] @ np.linalg.inv(CAMERA.matrix)
    q = homography @ [70.0, 40.0, 1.0]
    u, v = np.rint(q[:2] / q[2]).astype(int)
    assert u < 70 and carried[v, u] == 0.0
    alone, _ = warp(np.where(inverse == 0, inverse, -1), T, CAMERA, CAMERA)
    turned, _ = warp(np.where(inverse == 0, inverse, -1), moved(turn=(0.0, 0.1, 0.0)), CAMERA, CAMERA)
    np.testing.assert_array_equal(alone, turned)
    assert (warp(np.full_like(inverse, -1), T, CAMERA, CAMERA)[0] == -1).all()


def test_what_is_passed_by_is_dropped():
    assert (warp(np.full((64, 96), 0.5, np.float32), moved(z=3.0), CAMERA, CAMERA)[0] == -1).all()
    about = moved(turn=(0.0, np.pi, 0.0))
    assert (warp(np.zeros((64, 96), np.float32), about, CAMERA, CAMERA)[0] == -1).all(), "no sky behind the back"


def test_another_camera():
    zoomed = Intrinsics(150, 40, 160.0, 140.0, 70.0, 20.0)
    carried, _ = warp(blocks(2), moved(z=0.2), CAMERA, zoomed)
    assert carried.shape == (40, 150)
    expected = by_maximum(blocks(2), moved(z=0.2), CAMERA, zoomed)
    assert (np.abs(carried - expected) > 1e-3).mean() < 0.005


@pytest.mark.parametrize("scale", [1.2, 1.5, 1.9])
def test_cracks_of_a_surface_that_comes_nearer_are_closed(scale):
    wall = np.full((64, 96), 0.1, np.float32)
    wall[16:48, 24:72] = 0.5
    sigma = np.where(wall > 0.2, np.float32(0.1), np.float32(0.3))
    T = moved(z=2.0 - 2.0 / scale)
    carried, spread = warp(wall, T, CAMERA, CAMERA, sigma)
    whole, spread = close_cracks(carried, spread)
    near = 0.5 * scale
    assert (carried[10:56, 20:76] < 0.9 * near).any(), "there are cracks"
    # The block spans columns 24 .. 71 and rows 16 .. 47 about (45, 33).
    left, right = 45 + scale * (24 - 45), 45 + scale * (71 - 45)
    top, bottom = 33 + scale * (16 - 33), 33 + scale * (47 - 33)
    inside = whole[int(np.ceil(top)) : int(bottom) + 1, max(0, int(np.ceil(left))) : int(right) + 1]
    np.testing.assert_allclose(inside, near, rtol=1e-5)
    outside = whole[:, : max(0, int(left) - 1)]
    assert (outside < 0.2).all(), "the outline stays where it is"
    known = whole > 0.3
    assert (spread[known] >= 0.1 * scale * 0.999).all()


def test_cracks_in_the_sky_and_holes():
    inverse = np.full((9, 9), 0.5, np.float32)
    inverse[4, 2], inverse[:, 6] = -1.0, 0.0
    whole, sigma = close_cracks(inverse)
    assert sigma is None
    np.testing.assert_array_equal(whole, np.full((9, 9), 0.5))
    inverse[:, 5:8] = 0.0
    np.testing.assert_array_equal(close_cracks(inverse)[0][:, 5:8], 0.0)
    hollow = np.full((9, 9), -1.0, np.float32)
    np.testing.assert_array_equal(close_cracks(hollow)[0], hollow)


def test_soft_edges_are_between_their_neighbours_and_hard_ones_and_planes_are_not():
    hard = np.full((9, 12), 0.2, np.float32)
    hard[:, 6:] = 1.0
    hard[4, 2] = 0.9  # a thing of one pixel
    assert (softness(hard) == 0).all()
    soft = hard.copy()
    soft[:, 5] = 0.5
    expected = np.zeros_like(soft)
    expected[:, 5] = 0.3  # 0.3 nearer than the wall, 0.5 farther than the thing
    np.testing.assert_allclose(softness(soft), expected, atol=1e-6)
    assert (softness(plane(CAMERA, (0.3, -0.2, 1.0), 3.0)) == 0).all()
    before_sky = np.array([[0.0, 0.1, 0.5]] * 3, np.float32)
    np.testing.assert_allclose(softness(before_sky)[:, 1], 0.1)
    beside_nothing = np.array([[-1.0, 0.3, 0.5]] * 3, np.float32)
    np.testing.assert_array_equal(softness(beside_nothing), 0.0)


def test_the_inputs_stay_as_they_are():
    inverse, sigma = blocks(3), np.full((64, 96), 0.1, np.float32)
    before = inverse.copy(), sigma.copy()
    close_cracks(*warp(inverse, moved(z=0.5), CAMERA, CAMERA, sigma))
    np.testing.assert_array_equal(inverse, before[0])
    np.testing.assert_array_equal(sigma, before[1])
