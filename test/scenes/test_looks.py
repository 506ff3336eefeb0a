"""Patterns against averages reckoned by hand, sizes of materials, and what air, lens and film do."""

import math

import numpy as np
import pytest
import torch

from depth_pro_ros.scenes.effects import Film, Fog, _blur, curve
from depth_pro_ros.scenes.layout import BOX, Builder
from depth_pro_ros.scenes.materials import MATERIALS, M
from depth_pro_ros.scenes.patterns import band, cell_hash, noise, smooth_noise, step, stripes
from depth_pro_ros.scenes.surfaces import Hits, Solids


def test_stripes_are_averaged_over_the_footprint():
    x = torch.tensor([0.005, 0.05, 0.1, 0.06])
    footprint = torch.tensor([0.001, 0.001, 0.02, 0.4])
    # Stripes [0, 0.01) of every 0.1 m: inside, outside, half of [0.09, 0.11) less 0.01, and the average.
    expected = torch.tensor([1.0, 0.0, 0.5, 0.1])
    torch.testing.assert_close(stripes(x, 0.1, 0.01, footprint), expected, atol=1e-5, rtol=0)


def test_steps_and_bands_are_averaged_over_the_footprint():
    torch.testing.assert_close(step(torch.tensor([-1.0, 0.0, 0.025, 1.0]), torch.full((4,), 0.1)),
                               torch.tensor([0.0, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(band(torch.tensor([0.0, 0.05, 0.2]), 0.05, torch.full((3,), 0.01)),
                               torch.tensor([1.0, 0.5, 0.0]))


@pytest.mark.parametrize("function", [lambda u, v, f: noise(u, v, f, 1.0), lambda u, v, f: smooth_noise(u, v, f, 1.0)])
def test_noise_fades_with_the_footprint_and_has_no_mean(function):
    u, v = (torch.rand(20_000, generator=torch.Generator().manual_seed(k)) * 7 for k in (0, 1))
    near, far = (function(u, v, torch.full_like(u, footprint)) for footprint in (0.001, 0.2))
    assert abs(near.mean()) < 0.06 and 0.3 < near.std() < 0.6 and far.std() < 0.7 * near.std()


def test_cells_have_values_of_their_own_that_do_not_depend_on_the_batch():
    i, j = torch.meshgrid(torch.arange(-20.0, 20), torch.arange(-20.0, 20), indexing="ij")
    values = cell_hash(i.reshape(-1), j.reshape(-1), torch.full((1600,), 0.3))
    assert -1 <= values.min() and values.max() <= 1 and abs(values.mean()) < 0.1 and 0.5 < values.std() < 0.65
    torch.testing.assert_close(cell_hash(i[3, :5], j[3, :5], torch.full((5,), 0.3)), values[120:125])


def wall(material: str, along: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
    """Return the albedo (3, N) of a wall of 8 x 4 m seen with a footprint of 0.5 mm."""
    builder = Builder()
    builder.add(BOX, (0, 0, 2.0), (4.0, 0.1, 2.0), 0.0, M[material], (0.5, 0.4, 0.3), (0.1, 0.1, 0.1))
    solids = Solids(builder.table()[None], torch.device("cpu"))
    rows = torch.zeros(len(along), dtype=torch.int64)
    order, runs = solids.sort(rows)
    hits = Hits(solids, rows, runs, order, (along, torch.full_like(along, -0.1), height))
    surface = hits.surface(steps=[])
    surface.fu.fill_(5e-4)
    surface.fv.fill_(5e-4)
    return MATERIALS[M[material]](surface)


@pytest.mark.parametrize(
    ("material", "period_m", "across"),
    [("brick", 0.25, True), ("brick", 0.065, False), ("wall_tiles", 0.15, True), ("wall_tiles", 0.15, False)],
)
def test_joints_repeat_at_the_size_of_the_material(material, period_m, across):
    """Along a line the joints' distance, by the strongest line of the spectrum of where they are, is the size."""
    n, long = 4096, 16 * period_m
    line = torch.arange(n) * (long / n)
    fixed = torch.full((n,), 0.03)
    colour = wall(material, line - 2.0, fixed) if across else wall(material, fixed, line + 0.5)
    joint = colour[0] < 0.2  # joints are 0.1, bricks and tiles 0.5 and some tone
    edges = np.flatnonzero(np.diff(joint.numpy().astype(int)) == 1)
    np.testing.assert_allclose(np.diff(edges) * long / n, period_m, atol=0.003)
    assert 14 <= len(edges) <= 16


def test_all_materials_give_finite_colours_anywhere():
    generator = torch.Generator().manual_seed(0)
    for name in set(M) - {"sky"}:
        along, height = torch.rand(500, generator=generator) * 8 - 4, torch.rand(500, generator=generator) * 4
        colour = wall(name, along, height)
        assert colour.shape == (3, 500) and torch.isfinite(colour).all() and (colour >= 0).all(), name


def test_fog_hides_what_is_far_in_its_colour():
    light = torch.full((3, 1, 3), 0.8)
    seen = Fog(0.1, 1.0, (0.2, 0.4, 0.6)).over(light, torch.tensor([[0.0, 10.0, math.inf]]))
    torch.testing.assert_close(seen[:, 0, 0], light[:, 0, 0])
    torch.testing.assert_close(seen[:, 0, 2], torch.tensor([0.2, 0.4, 0.6]))
    assert seen[0, 0, 1] == pytest.approx(0.8 * math.exp(-1) + 0.2 * (1 - math.exp(-1)))


def test_blur_keeps_the_mean_and_a_constant_and_spreads_a_point():
    image = torch.zeros(3, 9, 9)
    image[:, 4, 4] = 1.0
    spread = _blur(image.clone(), 0.6)
    assert spread.sum() == pytest.approx(3.0, rel=1e-5) and 0 < spread[0, 4, 5] < spread[0, 4, 4] < 1
    torch.testing.assert_close(_blur(torch.full((3, 5, 6), 0.3), 0.9), torch.full((3, 5, 6), 0.3))


def test_the_curve_rises_and_never_exceeds_white():
    values = curve(torch.linspace(0, 50, 5000))
    assert (values.diff() >= -1e-6).all() and values.max() < 1 + 1e-6
    assert curve(torch.tensor([0.2]))[0] == pytest.approx(0.2 ** (1 / 2.2))


def test_film_adds_what_it_says_and_nothing_else():
    light = torch.full((3, 40, 50), 0.2)
    plain = Film((1.0, 1.0, 1.0), 0.0, 1.0, 0.0, 0.0, (0, 0), 0)
    image = plain.develop(light)
    assert image.shape == (40, 50, 3) and len(torch.unique(image)) == 1
    noisy = Film((1.0, 1.0, 1.0), 0.0, 1.0, 0.0, 0.02, (7, 9), 0).develop(light).float()
    assert noisy.std() == pytest.approx(0.02 * 255, rel=0.1)
    assert noisy.mean() == pytest.approx(image.float().mean(), abs=1)
    dark = Film((1.0, 1.0, 1.0), 0.4, 1.0, 0.0, 0.0, (0, 0), 0).develop(light)
    assert dark[0, 0, 0] < dark[20, 25, 0]
    assert not torch.equal(Film((1.0, 1.0, 1.0), 0.0, 1.0, 0.0, 0.02, (7, 9), 50).develop(light).float(), noisy)
