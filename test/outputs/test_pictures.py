"""Depth in colours, and labelled panels: exact colours at known depths, and the shapes of the layout."""

import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.outputs import pictures

# First, middle and last entry of Mikhailov's published table (turbo_colormap_data, times 255).
TURBO_FIRST, TURBO_LAST = (48, 18, 59), (122, 4, 3)
NAN, INF = np.float32(np.nan), np.float32(np.inf)


def test_ends_of_the_range_are_turbos_ends_with_near_warm():
    depth = np.array([[1.0, 4.0, 0.5, 100.0]], np.float32)
    colours = pictures.colour_depth(depth, 1.0, 4.0)[0]
    assert tuple(colours[0]) == TURBO_LAST and tuple(colours[1]) == TURBO_FIRST
    assert tuple(colours[2]) == TURBO_LAST and tuple(colours[3]) == TURBO_FIRST  # beyond the ends: the ends


def test_colour_is_linear_in_inverse_depth():
    # 1/1.6 = 0.625 lies halfway between 1/4 and 1/1; (1 + 4) / 2 = 2.5 m does not.
    ramp = np.linspace(1 / 4, 1.0, 256)
    table = pictures.colour_depth((1 / ramp)[None].astype(np.float32), 1.0, 4.0)[0]
    assert len(np.unique(table, axis=0)) > 250
    (middle,) = pictures.colour_depth(np.array([[1.6]], np.float32), 1.0, 4.0)[0]
    assert middle.tolist() in (table[127].tolist(), table[128].tolist())
    assert middle[1] > 240 and middle[2] < 80  # Turbo's middle is green-yellow


def test_unknown_and_beyond_have_their_own_colours():
    depth = np.array([[NAN, INF, 0.0, -1.0, -INF, 2.0]], np.float32)
    colours = pictures.colour_depth(depth, 1.0, 4.0)[0]
    assert tuple(colours[1]) == pictures.BEYOND_RGB
    for i in (0, 2, 3, 4):
        assert tuple(colours[i]) == pictures.UNKNOWN_RGB
    assert tuple(colours[5]) not in (pictures.UNKNOWN_RGB, pictures.BEYOND_RGB)


def test_all_unknown_is_black_and_all_sky_is_pale():
    assert not pictures.colour_depth(np.full((4, 5), NAN)).any()
    assert (pictures.colour_depth(np.full((4, 5), INF)) == pictures.BEYOND_RGB).all()


def test_range_ignores_strays_and_what_is_not_known():
    depth = np.linspace(2.0, 3.0, 1000, dtype=np.float32).reshape(20, 50)
    depth[0, :5], depth[0, 5:10], depth[0, 10], depth[0, 11] = 1e-3, 900.0, NAN, INF
    near, far = pictures.depth_range(depth)
    assert 1.99 < near < 2.05 and 2.95 < far < 3.01


def test_range_finds_the_one_known_pixel_of_a_large_picture():
    depth = np.full((480, 640), NAN)
    depth[7, 11] = 5.0
    assert pictures.depth_range(depth) == pytest.approx((4.5, 5.5))
    assert pictures.depth_range(np.full((480, 640), NAN)) is None


@pytest.mark.parametrize("near_m, far_m", [(3.0, None), (None, 0.5)])
def test_one_given_end_outside_of_the_depths_still_gives_a_picture(near_m, far_m):
    depth = np.linspace(1.0, 2.0, 100, dtype=np.float32).reshape(10, 10)
    colours = pictures.colour_depth(depth, near_m, far_m)
    expected = TURBO_LAST if near_m else TURBO_FIRST  # everything is nearer than 3 m, farther than 0.5 m
    assert (colours == expected).all()


@pytest.mark.parametrize("near_m, far_m", [(2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, np.inf)])
def test_impossible_range_is_refused(near_m, far_m):
    with pytest.raises(ConfigurationError, match="0 < near < far"):
        pictures.colour_depth(np.ones((2, 2), np.float32), near_m, far_m)


def test_input_is_left_as_it_was():
    depth = np.array([[NAN, INF, 2.0]], np.float32)
    before = depth.copy()
    pictures.colour_depth(depth)
    np.testing.assert_array_equal(depth, before)


def test_panels_stand_in_a_row_at_one_height_and_keep_red_red():
    red = np.zeros((100, 150, 3), np.uint8)
    red[..., 0] = 255
    blue = np.zeros((50, 50, 3), np.uint8)
    blue[..., 2] = 255
    picture = pictures.panels([("truth", red), ("error", blue)])
    assert picture.shape == (126, 150 + 6 + 100, 3) and picture.dtype == np.uint8
    assert (picture[26:, :150] == (255, 0, 0)).all()
    assert (picture[26:, 156:] == (0, 0, 255)).all()
    assert (picture[:26, :150] > 150).any()  # the title's ink


def test_long_title_stays_over_its_own_panel():
    plain = np.zeros((60, 80, 3), np.uint8)
    picture = pictures.panels([("a title much wider than its panel is", plain), ("", plain)])
    assert (picture[:26, :80] > 150).any()
    assert (picture[:26, 80:] == pictures.PAPER_RGB).all()


def test_no_panel_is_refused():
    with pytest.raises(ConfigurationError, match="at least one"):
        pictures.panels([])


def test_side_by_side_has_photo_depth_and_bar():
    photo = np.full((300, 400, 3), (200, 30, 10), np.uint8)
    depth = np.full((150, 200), 4.0, np.float32)
    depth[:, :100] = 1.0
    picture = pictures.side_by_side(photo, depth, near_m=1.0, far_m=4.0)
    assert picture.shape == (326, 400 + 6 + 400 + 6 + 84, 3)
    assert (picture[26:, :400] == (200, 30, 10)).all()
    assert tuple(picture[200, 410]) == TURBO_LAST and tuple(picture[200, 800]) == TURBO_FIRST
    bar = picture[26:, 812 + 8]
    assert tuple(bar[8]) == TURBO_FIRST and tuple(bar[-9]) == TURBO_LAST  # far on top, near at the bottom


def test_side_by_side_without_known_depth_has_no_bar():
    picture = pictures.side_by_side(np.zeros((240, 320, 3), np.uint8), np.full((240, 320), NAN))
    assert picture.shape == (266, 320 + 6 + 320, 3)


def test_side_by_side_makes_small_photos_large_enough_to_read_and_large_ones_small():
    flat = np.ones((30, 40), np.float32)
    assert pictures.side_by_side(np.zeros((30, 40, 3), np.uint8), flat).shape[0] == 240 + 26
    assert pictures.side_by_side(np.zeros((2448, 3264, 3), np.uint8), flat).shape[0] == 720 + 26


@pytest.mark.parametrize("value, label", [(0.4567, "0.46 m"), (3.14, "3.1 m"), (38.6, "39 m")])
def test_labels(value, label):
    assert pictures._metres(value) == label
