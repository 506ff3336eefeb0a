"""Flying pixels: scenes made by hand, planes that must stay whole, and real edges that a resize has blurred."""

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.outputs.flying_pixels import flying_pixels

SHAPE = (60, 80)
SHARE, WIDTH = 0.05, 6.0


def scene(*things, wall=4.0):
    """Return depth of a wall before which (rows, columns, metres) stand."""
    depth = np.full(SHAPE, wall, np.float32)
    for rows, columns, metres in things:
        depth[rows, columns] = metres
    return depth


BOX = (slice(20, 40), slice(30, 50), 2.0)


@pytest.mark.parametrize("wall", [4.0, np.inf])
def test_a_ramp_between_a_box_and_what_is_behind_it_goes(wall):
    """Two pixels on each side of the box hang at thirds of the way in inverse depth; nothing else goes."""
    depth = scene(BOX, wall=wall)
    thirds = [1 / (1 / 2.0 - share * (1 / 2.0 - 1 / wall)) for share in (1 / 3, 2 / 3)]
    expected = np.zeros(SHAPE, bool)
    for step, metres in enumerate(thirds):
        for index in (
            (slice(20, 40), 50 + step),
            (slice(20, 40), 29 - step),
            (19 - step, slice(30, 50)),
            (40 + step, slice(30, 50)),
        ):
            depth[index], expected[index] = metres, True
    np.testing.assert_array_equal(flying_pixels(depth, SHARE, WIDTH), expected)


def test_a_sharp_edge_loses_nothing():
    assert not flying_pixels(scene(BOX), SHARE, WIDTH).any()
    assert not flying_pixels(scene(BOX, wall=np.inf), SHARE, WIDTH).any()


@pytest.mark.parametrize("width", [1, 2, 4, 9])
def test_a_thin_pole_stays_and_its_flanks_go(width):
    depth = scene((slice(None), slice(40, 40 + width), 1.5))
    depth[:, 39] = depth[:, 40 + width] = 2.2
    flying = flying_pixels(depth, SHARE, WIDTH)
    assert flying[:, [39, 40 + width]].all() and flying.sum() == 2 * SHAPE[0]


def test_what_is_off_by_less_than_the_share_stays():
    depth = scene(BOX)
    depth[20:40, 50] = 2.0 * 1.04
    depth[20:40, 29] = 4.0 / 1.04
    assert not flying_pixels(depth, SHARE, WIDTH).any()
    assert flying_pixels(depth, 0.03, WIDTH).sum() == 40


@pytest.mark.parametrize("focal", [60.0, 300.0])
def test_a_floor_up_to_the_horizon_stays(focal):
    """Its depth grows by any factor from row to row, but in inverse depth it is a plane; beyond it is sky."""
    row = np.arange(SHAPE[0])[:, None] - 20.0
    depth = np.broadcast_to(np.where(row > 0, focal * 0.35 / np.maximum(row, 1), np.inf), SHAPE).astype(np.float32)
    flying = flying_pixels(depth, SHARE, WIDTH)
    assert not flying[20 + 2 * int(WIDTH) :].any()
    assert not flying_pixels(depth.T.copy(), SHARE, WIDTH)[:, 20 + 2 * int(WIDTH) :].any()
    wall = np.minimum(depth, focal * 0.35 / 8)  # a wall where the floor is 8 rows below the horizon
    assert not flying_pixels(wall, SHARE, WIDTH).any()


@pytest.mark.parametrize("slope", [0.01, 0.05, 0.2])
def test_a_slanted_wall_stays_at_any_angle(slope):
    inverse = 0.2 + slope * np.arange(SHAPE[1])
    depth = np.broadcast_to((1 / inverse).astype(np.float32), SHAPE)
    assert not flying_pixels(depth, SHARE, WIDTH).any()


def test_the_side_of_a_box_that_is_seen_at_a_slant_stays():
    """Between front and wall lie 16 pixels of the box's side, a plane: much wider than a blurred edge."""
    depth = scene(BOX)
    depth[20:40, 50:66] = 1 / np.linspace(1 / 2.0, 1 / 3.5, 16)
    assert not flying_pixels(depth, SHARE, WIDTH).any()


def test_what_is_unknown_says_nothing():
    depth = scene(BOX)
    depth[20:40, 50] = 2.7
    depth[:, 51:] = np.nan
    depth[0, 0], depth[0, 1] = 0.0, -1.0
    assert not flying_pixels(depth, SHARE, WIDTH).any()


@pytest.mark.parametrize("stride", [2, 3, 8])
def test_a_stride_gives_pixels_of_the_whole(stride):
    rng = np.random.default_rng(3)
    inverse = cv2.resize(rng.uniform(0.05, 1.0, (8, 9)).astype(np.float32), (131, 97), interpolation=cv2.INTER_LINEAR)
    depth = 1 / inverse
    whole = flying_pixels(depth, SHARE, 25.0)
    assert 0.05 < whole.mean() < 0.95
    np.testing.assert_array_equal(flying_pixels(depth, SHARE, 25.0, stride), whole[::stride, ::stride])


def test_the_depth_is_not_changed():
    depth = scene(BOX)
    depth[0, :3] = 0.0, -1.0, np.nan
    before = depth.copy()
    flying_pixels(depth, SHARE, WIDTH)
    np.testing.assert_array_equal(depth, before)


def blurred(depth, factor):
    """Return depth sampled at every `factor`-th pixel and interpolated in inverse depth, as a network's answer is."""
    with np.errstate(divide="ignore"):
        coarse = cv2.resize(1 / depth, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_NEAREST)
        return 1 / cv2.resize(coarse, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)


def on_any_surface(depth, truth, reach):
    """Return where a depth is within SHARE of a true one `reach` pixels away at most, and where all those are known."""
    near, known = np.zeros(depth.shape, bool), np.ones(depth.shape, bool)
    padded = cv2.copyMakeBorder(truth, *(reach,) * 4, cv2.BORDER_REPLICATE)
    for row in range(2 * reach + 1):
        for column in range(2 * reach + 1):
            there = padded[row : row + depth.shape[0], column : column + depth.shape[1]]
            near |= np.abs(depth - there) <= SHARE * np.minimum(depth, there)
            known &= np.isfinite(there)
    return near, known


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("recording", ["rgbd_livingroom_synth", "rgbd_tum_fr1_desk"])
def test_blurred_edges_of_real_depth(data_dir, recording, factor):
    """Flying is what lies off every true surface about it by more than the share; good is all the rest."""
    unit_m = {"rgbd_livingroom_synth": 1 / 1000, "rgbd_tum_fr1_desk": 1 / 5000}[recording]
    files = sorted((data_dir / recording / "depth").glob("*.png"))[::25][:3]
    flying_count = removed = good_count = lost = 0
    for file in files:
        truth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.float32) * np.float32(unit_m)
        truth[truth == 0] = np.nan
        depth = blurred(truth, factor)
        on_surface, known = on_any_surface(depth, truth, factor)
        known &= np.isfinite(depth)
        found = flying_pixels(depth, SHARE, 0.01 * depth.shape[1])
        flying, good = known & ~on_surface, known & on_surface
        flying_count, removed = flying_count + flying.sum(), removed + (flying & found).sum()
        good_count, lost = good_count + good.sum(), lost + (good & found).sum()
    print(f"{recording} blurred {factor} times: {flying_count / (good_count + flying_count):.2%} flying, of which "
          f"{removed / flying_count:.1%} removed; {lost / good_count:.2%} of the good ones lost")  # fmt: skip
    assert flying_count > 400
    assert removed >= 0.95 * flying_count and lost <= 0.008 * good_count


@pytest.mark.parametrize("settings", [(0.0, 6.0, 1), (np.nan, 6.0, 1), (0.05, 0.0, 1), (0.05, 6.0, 0)])
def test_settings_that_mean_nothing(settings):
    with pytest.raises(ConfigurationError, match="leave this filter out"):
        flying_pixels(scene(BOX), *settings)
