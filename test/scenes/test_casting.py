"""What rays hit, against distances reckoned by hand and against points tried one by one."""

import math

import numpy as np
import pytest
from scenes.hand_made import AHEAD, CPU, GREY, depth_of, inside, open_air, room, some_solids, views

from depth_pro_ros.scenes.casting import cast, pad_tables
from depth_pro_ros.scenes.layout import BALL, BOX, COLUMN, CONE, CYLINDER


def test_walls_of_an_empty_room_lie_where_reckoned_by_hand():
    """The room is 9 x 4 x 2.5 m, the camera at (1, 2.5, 1.2), f = (50, 55), c = (30, 25)."""
    depth = depth_of(room(), views((1.0, 2.5, 1.2)))
    assert depth[25, 30] == pytest.approx(8.0)
    # 20 rows below the principal point the ray falls 20/55 m per metre of depth: floor at 1.2 * 55 / 20.
    assert depth[45, 30] == pytest.approx(1.2 * 55 / 20)
    # 30 columns left it moves 30/50 m to the left per metre: the left wall is 1.5 m away, the right one 2.5 m.
    assert depth[25, 0] == pytest.approx(1.5 * 50 / 30)
    assert depth[25, 60] == pytest.approx(2.5 * 50 / 30)
    assert depth[0, 30] == pytest.approx(1.3 * 55 / 25)


def test_a_box_and_a_ball_have_the_depth_reckoned_by_hand():
    builder = room()
    builder.add(BOX, (4.0, 2.0, 0.5), (0.5, 0.4, 0.5), 0.0, 9, GREY)
    builder.add(BALL, (3.0, 2.0, 1.5), (0.3,) * 3, 0.0, 9, GREY)
    depth = depth_of(builder, views((1.0, 2.0, 0.5)))
    assert depth[25, 30] == pytest.approx(2.5)  # the box's front face at x = 3.5
    assert depth[25, 37] == pytest.approx(2.5)  # 2.5 * 7 / 50 = 0.35 m to the right: still the face
    assert depth[25, 39] > 2.6  # 0.45 m: past its edge
    depth = depth_of(builder, views((1.0, 2.0, 1.5)))
    assert depth[25, 30] == pytest.approx(1.7)  # 2 m to the centre less the radius
    # 5 columns right: d = (1, 0.1) and |t d - (2, 0)| = 0.3, so 1.01 t^2 - 4 t + 3.91 = 0.
    assert depth[25, 35] == pytest.approx((4 - math.sqrt(16 - 4 * 1.01 * 3.91)) / 2.02)


def test_a_turned_box_shows_its_edge():
    builder = open_air()
    builder.add(BOX, (3.0, 0.0, 0.0), (0.4, 0.4, 1.0), math.pi / 4, 9, GREY)
    assert depth_of(builder, views((0, 0, 0)))[25, 30] == pytest.approx(3.0 - 0.4 * math.sqrt(2))


def test_a_cylinder_and_a_cone_have_the_depth_reckoned_by_hand():
    builder = open_air()
    builder.add(CYLINDER, (3.0, 0.0, 0.0), (0.5, 0.5, 1.0), 0.0, 9, GREY)
    depth = depth_of(builder, views((0, 0, 0)))
    assert depth[25, 30] == pytest.approx(2.5)
    # 5 columns right: (t - 3)^2 + (0.1 t)^2 = 0.25.
    assert depth[25, 35] == pytest.approx((6 - math.sqrt(36 - 4 * 1.01 * 8.75)) / 2.02)
    assert depth[0, 30] == pytest.approx(2.5) if 2.5 * 25 / 55 < 1 else np.isinf(depth[0, 30])  # 1.14 m up: over it
    # From 1.5 m above its foot's centre line the top, 1 m high, is met where the ray has fallen by 0.5 m.
    assert depth_of(builder, views((0, 0, 1.5)))[35, 30] == pytest.approx(0.5 * 55 / 10)
    builder = open_air()
    builder.add(CONE, (3.0, 0.0, 0.0), (0.5, 0.1, 1.0), 0.0, 9, GREY)
    assert depth_of(builder, views((0, 0, 0)))[25, 30] == pytest.approx(2.7)  # half way up the radius is 0.3


@pytest.mark.parametrize("seed", range(3))
def test_every_hit_is_the_first_point_inside_a_solid_and_misses_meet_none(seed):
    rng = np.random.default_rng(seed)
    table = some_solids(rng).table()
    camera = views((0, 0, 0), size=(24, 32), focal=(20.0, 20.0), centre=(15.5, 11.5))
    rays = camera.rays(CPU)
    depth = cast(table[None], camera, rays)[0][0].numpy().astype(float)
    d = np.stack([part[0].numpy() for part in (rays.x, rays.y, rays.z)], -1).astype(float)
    end = np.where(np.isfinite(depth), depth, 8.0)
    before = d[..., None, :] * (end[..., None] * np.linspace(0.0, 1.0, 400))[..., None]
    assert not inside(table, before, -2e-3).any(), "something nearer was passed through"
    hit = np.isfinite(depth)
    assert 0.1 < hit.mean() < 0.95
    assert inside(table, d[hit] * depth[hit][:, None], 2e-3).all(), "a hit lies on no solid"


def test_a_thin_pole_far_away_is_hit_exactly():
    """A pole of 2 cm at 30 m, where float32 would cancel in the textbook quadratic."""
    builder = open_air()
    builder.add(CYLINDER, (30.0, 0.0, 0.0), (0.02, 0.02, 1.0), 0.0, 9, GREY)
    camera = views((0, 0, 0), size=(3, 41), focal=(20_000.0, 20_000.0), centre=(20.0, 1.0))
    depth = depth_of(builder, camera)[1]
    x = (np.arange(41) - 20) / 20_000
    a = 1 + x**2
    seen = np.abs(x) * 30 < 0.019
    truth = (30 - np.sqrt(900 - a[seen] * (900 - 0.02**2))) / a[seen]
    assert seen.sum() > 20
    np.testing.assert_allclose(depth[seen], truth, atol=1e-3)


def test_solids_are_found_the_same_in_a_batch_and_alone():
    tables = [some_solids(np.random.default_rng(seed), count).table() for seed, count in ((1, 5), (2, 12))]
    one = views((0, 0, 0.2))
    both = type(one)(
        *(np.concatenate([getattr(one, name)] * 2) for name in ("rotation", "origin", "fx", "fy", "cx", "cy")), 48, 64
    )
    padded = pad_tables(tables)
    depth, ids = cast(padded, both, both.rays(CPU))
    for index, table in enumerate(tables):
        alone, alone_ids = cast(table[None], one, one.rays(CPU))
        np.testing.assert_allclose(depth[index], alone[0], rtol=1e-5)
        instances = [t[i.numpy(), COLUMN["instance"]] for t, i in ((padded[index], ids[index]), (table, alone_ids[0]))]
        np.testing.assert_array_equal(*instances)


def test_what_is_beside_or_behind_the_camera_does_not_hide_what_is_before_it():
    builder = room()
    builder.add(BOX, (0.5, 2.0, 1.25), (0.2, 0.2, 0.2), 0.3, 9, GREY)  # behind
    builder.add(CYLINDER, (1.3, 2.45, 1.25), (0.3, 0.3, 1.25), 0.0, 9, GREY)  # partly beside the camera
    depth = depth_of(builder, views((1.0, 2.0, 1.2), rotation=AHEAD))
    assert depth[25, 30] == pytest.approx(8.0) and depth[25, 0] < 0.5
