"""The multi-scale derivative errors against hand-computed numbers and against plain loops over pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from depth_pro_ros.training import derivatives, losses
from depth_pro_ros.training.derivatives import halve, laplace, scharr, whole_window


def grid(height, width):
    """Return y and x, each (1, 1, H, W) float64."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return y[None, None].double(), x[None, None].double()


def everywhere(like):
    return torch.ones_like(like, dtype=torch.bool)


# -- the operators


def test_scharr_of_a_ramp_is_its_slope():
    y, x = grid(5, 6)
    expected = torch.tensor([2.0, -3.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    torch.testing.assert_close(scharr(2 * x - 3 * y), expected, rtol=0, atol=1e-14)


def test_scharr_of_one_pixel_shows_its_weights():
    values = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    values[..., 2, 2] = 32
    x, y = scharr(values)[0]
    np.testing.assert_array_equal(x, [[3, 0, -3], [10, 0, -10], [3, 0, -3]])  # correlation mirrors the stencil
    np.testing.assert_array_equal(y, x.T)


def test_laplace_of_a_parabola_is_its_second_derivatives():
    y, x = grid(5, 6)
    np.testing.assert_array_equal(laplace(x * x + 3 * y * y - x * y + 7 * x)[0, 0], np.full((3, 4), 2 + 6))


def test_a_window_needs_all_nine_pixels():
    mask = torch.ones(1, 1, 5, 6, dtype=torch.bool)
    mask[..., 0, 0] = False
    mask[..., 4, 3] = False
    expected = [[False, True, True, True], [True, True, True, True], [True, False, False, False]]
    np.testing.assert_array_equal(whole_window(mask)[0, 0], expected)


# -- the next scale


def test_halving_keeps_a_ramp_between_its_pixels():
    _, x = grid(8, 10)
    values, mask = halve(x, everywhere(x))
    assert values.shape == (1, 1, 4, 5)
    assert mask.all()
    np.testing.assert_allclose(values[0, 0, :, 1:-1], np.tile([2.5, 4.5, 6.5], (4, 1)), rtol=1e-14)
    # At the border the tap beyond it is missing: (3*0 + 3*1 + 1*2) / 7
    np.testing.assert_allclose(values[0, 0, :, 0], 5 / 7, rtol=1e-14)


def test_halving_weighs_only_valid_pixels():
    values = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    values[0, 0, 0] = torch.tensor([8.0, 0.0, 0.0, 0.0])
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[0, 0, 0:3, 0:2] = True
    smaller, valid = halve(values, mask)
    # Top left: row weights 3 3 1, columns 3 3 of 8: (7 * 6) / 64 of the weight, 9 / 64 of it on the 8.
    np.testing.assert_array_equal(valid[0, 0], [[True, False], [False, False]])
    np.testing.assert_allclose(smaller[0, 0], [[8 * 9 / 42, 0], [0, 0]], rtol=1e-14)


def test_half_of_the_weight_is_enough():
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True  # of the columns 1 to 4 under pixel 1: 7 of 8 parts; of 3 to 6 under pixel 2: 1 of 8
    np.testing.assert_array_equal(halve(mask.double(), mask)[1][0, 0, 1], [True, True, False, False])
    mask[..., 4] = True  # under pixel 2 now 1 + 3 of 8 parts: half inside, but 7 of 8 of it at the top and bottom
    np.testing.assert_array_equal(halve(mask.double(), mask)[1][0, 0, :, 2], [False, True, True, False])


# -- whole losses


def test_a_small_ramp_gives_its_slope():
    y, x = grid(4, 4)  # one scale: 2 x 2 has no stencil
    difference = 0.5 * x - 0.25 * y
    target, mask = torch.rand_like(x), everywhere(x)
    assert losses.mage(target + difference, target, mask).item() == pytest.approx(0.75, rel=1e-12)
    assert losses.msge(target + difference, target, mask).item() == pytest.approx(0.25 + 0.0625, rel=1e-12)
    assert losses.male(target + difference, target, mask).item() == pytest.approx(0, abs=1e-12)
    assert losses.male(target + 1.5 * x * x, target, mask).item() == pytest.approx(3, rel=1e-12)


def test_a_step_of_one_column():
    _, x = grid(4, 4)
    step = (x >= 2).double()  # each 3 x 3 window straddles it: derivative 1/2 in x, Laplacian +1 or -1
    assert losses.mage(step, torch.zeros_like(x), everywhere(x)).item() == pytest.approx(0.5)
    assert losses.msge(step, torch.zeros_like(x), everywhere(x)).item() == pytest.approx(0.25)
    assert losses.male(step, torch.zeros_like(x), everywhere(x)).item() == pytest.approx(1.0)


def test_a_derivative_across_a_hole_does_not_count():
    _, x = grid(4, 8)
    values = torch.where(x < 4, x, 100 + 3 * x)
    mask = everywhere(x)
    mask[..., 3:5] = False
    one_scale = derivatives.derivative_error(torch.where(mask, values, 0), mask, scharr, 1, scales=1)
    assert one_scale.item() == pytest.approx((1 + 3) / 2)  # windows of columns 0-2 and 5-7 only


@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 2)])
def test_an_image_too_small_for_a_stencil_gives_zero_with_a_graph(shape):
    predicted = torch.rand(2, 1, *shape, requires_grad=True)
    for loss in (losses.mage, losses.male, losses.msge):
        value = loss(predicted, torch.zeros_like(predicted), everywhere(predicted))
        value.backward()
        assert value.item() == 0


@pytest.mark.parametrize(("side", "scales"), [(3, 1), (5, 1), (6, 2), (95, 5), (96, 6), (400, 6)])
def test_scales_end_at_six_or_at_three_pixels(side, scales):
    seen = []

    def operator(values):
        seen.append(values.shape[-1])
        return scharr(values)

    values = torch.rand(1, 1, side, side + 7)
    derivatives.derivative_error(values, everywhere(values), operator, 1)
    assert seen == [(side + 7) // 2**i for i in range(scales)]


# -- plain loops

SCHARR_X = np.array([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]) / 32
REFERENCE = {
    "mage": ((SCHARR_X, SCHARR_X.T), 1),
    "male": ((np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),), 1),
    "msge": ((SCHARR_X, SCHARR_X.T), 2),
}


def halve_by_loops(values, mask):
    height, width = values.shape[0] // 2, values.shape[1] // 2
    result, valid = np.zeros((height, width)), np.zeros((height, width), bool)
    for i, j in itertools.product(range(height), range(width)):
        total = weight = 0.0
        for (a, row), (b, column) in itertools.product(enumerate([1, 3, 3, 1]), repeat=2):
            v, u = 2 * i - 1 + a, 2 * j - 1 + b
            if 0 <= v < values.shape[0] and 0 <= u < values.shape[1] and mask[v, u]:
                total += row * column / 64 * values[v, u]
                weight += row * column / 64
        if weight >= 0.5:
            result[i, j], valid[i, j] = total / weight, True
    return result, valid


def error_by_loops(predicted, target, mask, stencils, power):
    """Return one image's value, or None; derivatives are taken of both maps, not of their difference."""
    maps, means = [(predicted, mask), (target, mask)], []
    for _ in range(6):
        valid = maps[0][1]
        if min(valid.shape) < 3:
            break
        found = []
        for i, j in itertools.product(range(valid.shape[0] - 2), range(valid.shape[1] - 2)):
            window = slice(i, i + 3), slice(j, j + 3)
            if valid[window].all():
                both = [[np.sum(stencil * values[window]) for values, _ in maps] for stencil in stencils]
                found.append(sum(abs(a - b) ** power for a, b in both))
        means += [np.mean(found)] if found else []
        maps = [halve_by_loops(*each) for each in maps]
    return np.mean(means) if means else None


@pytest.mark.parametrize("name", REFERENCE)
def test_losses_equal_plain_loops_over_scales_and_holes(name):
    generator = np.random.default_rng(4)
    predicted, target = generator.uniform(0, 2, (2, 4, 1, 29, 50))
    mask = generator.random((4, 1, 29, 50)) < 0.97
    mask[0, :, 10:18, 12:40] = False
    mask[1] = True
    mask[2, 0] = np.indices((29, 50)).sum(axis=0) % 2 == 0  # a chequerboard: no whole window at full size
    mask[3] = False
    singles = [error_by_loops(*(each[i, 0] for each in (predicted, target, mask)), *REFERENCE[name]) for i in range(4)]
    assert singles[3] is None and singles[2] is not None
    tensors = [torch.from_numpy(each) for each in (np.where(mask, predicted, math.nan), target, mask)]
    assert losses.LOSSES[name](*tensors).item() == pytest.approx(np.mean(singles[:3]), rel=1e-12)
