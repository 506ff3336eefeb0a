"""Filling holes: flat and slanted surroundings by hand, edges of the image, sky, and how far it reaches."""

import numpy as np
import pytest

from depth_pro_ros.propagation.fill import fill

GREY = np.full((64, 96), 128, np.uint8)


def holed(value=0.5, rows=slice(20, 40), columns=slice(30, 60)):
    inverse = np.full((64, 96), value, np.float32)
    inverse[rows, columns] = -1.0
    return inverse


def test_a_hole_in_a_flat_wall_becomes_wall_and_nothing_else_changes():
    inverse = holed()
    filled, distance = fill(inverse, GREY, 40.0)
    np.testing.assert_allclose(filled, 0.5, rtol=1e-5)
    np.testing.assert_array_equal(filled[inverse >= 0], inverse[inverse >= 0])
    assert distance[10, 10] == 0.0 and distance[20, 45] == pytest.approx(1.0, abs=0.1)
    assert distance[29, 45] == pytest.approx(10.0, abs=0.5)


def test_what_is_farther_than_the_reach_stays_unknown():
    inverse = holed()
    filled, distance = fill(inverse, GREY, 4.0)
    assert (filled[distance > 4.0] == -1).all() and (filled[distance <= 2.0] > 0).all()
    assert (filled[25:35, 35:55] == -1).all() and (filled[20:22] > 0).all()


@pytest.mark.parametrize("size", [(64, 96), (61, 97), (3, 5), (1, 1)])
def test_nothing_known_and_everything_known(size):
    grey = np.zeros(size, np.uint8)
    nothing, everything = np.full(size, -1, np.float32), np.full(size, 0.3, np.float32)
    np.testing.assert_array_equal(fill(nothing, grey, 10.0)[0], nothing)
    np.testing.assert_array_equal(fill(everything, grey, 10.0)[0], everything)
    everything[0, 0] = -1.0
    if everything.size > 1:
        np.testing.assert_allclose(fill(everything, grey, 10.0)[0], 0.3, rtol=1e-5)


def test_a_reach_of_nothing_fills_nothing():
    inverse = holed()
    np.testing.assert_array_equal(fill(inverse, GREY, 0.0)[0], inverse)


def test_depth_ends_where_the_image_has_an_edge():
    """A bright near thing stands left of column 47, a dark wall right of it; the hole lies across the edge."""
    truth = np.full((64, 96), 0.2, np.float32)
    truth[:, :47] = 1.0
    grey = np.where(truth > 0.5, 200, 60).astype(np.uint8)
    inverse = truth.copy()
    inverse[:, 38:58] = -1.0
    filled, _ = fill(inverse, grey, 30.0)
    np.testing.assert_allclose(filled, truth, rtol=0.05)
    blind, _ = fill(inverse, GREY, 30.0)
    assert np.abs(blind / truth - 1)[:, 38:58].mean() > 0.2, "without the image's edge there is no telling"


def test_a_slope_goes_on():
    ramp = np.broadcast_to(np.linspace(0.2, 1.0, 96, dtype=np.float32), (64, 96))
    inverse = ramp.copy()
    inverse[28:34, 40:46] = -1.0
    np.testing.assert_allclose(fill(inverse, GREY, 20.0)[0], ramp, rtol=0.05)


@pytest.mark.parametrize("reach", [12.0, 40.0])
def test_sky_is_not_mixed_with_what_stands_before_it(reach):
    inverse = np.full((64, 96), 0.25, np.float32)
    inverse[:32] = 0.0
    inverse[26:38, 20:70] = -1.0
    grey = np.full((64, 96), 40, np.uint8)
    grey[:32] = 220
    filled, _ = fill(inverse, grey, reach)
    assert (filled[:32] == 0).all()
    np.testing.assert_allclose(filled[32:], 0.25, rtol=1e-4)
    blind = fill(inverse, GREY, reach)[0]
    assert ((blind == 0) | (np.abs(blind - 0.25) < 1e-4)).all(), "one or the other, even where the image does not tell"


def test_the_border_of_the_image():
    inverse = np.full((50, 70), 0.5, np.float32)
    inverse[:, 60:] = -1.0
    np.testing.assert_allclose(fill(inverse, GREY[:50, :70], 20.0)[0], 0.5, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (50, 70)])
def test_the_inputs_stay_as_they_are(size):
    inverse, grey = np.full(size, 0.5, np.float32), np.full(size, 90, np.uint8)
    inverse[10:20, 10:40] = -1.0
    before = inverse.copy()
    fill(inverse, grey, 32.0)
    np.testing.assert_array_equal(inverse, before)
    assert (grey == 90).all()
