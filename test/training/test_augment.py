"""Augmentation keeps the camera's geometry right, changes what it says, and is each image's own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.standin import render

from depth_pro_ros.training.augment import COLUMNS, generator, prepare
from depth_pro_ros.training.curriculum import NO_AUGMENTATION, Augmentation
from depth_pro_ros.training.data import Raw, raw_scenes

FOV = 70.0


def tilted_plane(side: int) -> Raw:
    """Return a plane whose inverse depth is 0.5 + 0.3 x + 0.1 y at x, y in [-1, 1] across the image."""
    along = (torch.arange(side) + 0.5) / side * 2 - 1
    inverse = 0.5 + 0.3 * along[None, :] + 0.1 * along[:, None]
    rgb = (inverse * 255).round().to(torch.uint8)[..., None].expand(-1, -1, 3)
    return Raw(rgb[None], inverse[None], torch.ones(1, side, side, dtype=torch.bool), torch.tensor([FOV]))


def test_without_augmentation_an_image_is_only_scaled_to_minus_one_to_one():
    raw = raw_scenes(render("x", [3, 4], 64, 64))
    image, canonical, mask, fov = prepare(raw, torch.rand(2, COLUMNS), NO_AUGMENTATION, 64)
    assert torch.allclose(image, raw.rgb.permute(0, 3, 1, 2) / 127.5 - 1, atol=1e-6)
    focal_over_width = 0.5 / torch.tan(torch.deg2rad(raw.fov_deg) / 2)
    assert torch.allclose(canonical[:, 0], raw.inverse_m * focal_over_width[:, None, None])
    assert torch.allclose(fov, raw.fov_deg) and bool(mask.all())


@pytest.mark.parametrize("off_centre", [True, False])
def test_a_crop_shows_what_a_longer_lens_sees(off_centre):
    side, zoom = 256, 0.6
    only_zoom = replace(NO_AUGMENTATION, zoom=1.0, zoom_least=zoom, off_centre=off_centre)
    uniform = torch.zeros(1, COLUMNS)
    uniform[0, 1:4] = torch.tensor([0.0, 1.0, 0.25])  # the least zoom; the crop at the far right, a bit up
    _, canonical, _, fov = prepare(tilted_plane(side), uniform, only_zoom, side)
    offset = np.array([1.0, -0.5]) * (1 - zoom) * off_centre
    along = (np.arange(side) + 0.5) / side * 2 - 1
    inverse = 0.5 + 0.3 * (zoom * along[None, :] + offset[0]) + 0.1 * (zoom * along[:, None] + offset[1])
    focal_over_new_width = 0.5 / math.tan(math.radians(FOV) / 2) / zoom
    assert fov.item() == pytest.approx(2 * math.degrees(math.atan(0.5 / focal_over_new_width)), abs=1e-4)
    pixel = 0.4 * 2 / side * focal_over_new_width  # what the nearest pixel may be off
    assert np.abs(canonical[0, 0].numpy() - inverse * focal_over_new_width).max() < pixel


def test_a_smaller_image_averages_the_large_ones_pixels():
    raw = raw_scenes(render("x", [5], 64, 64))
    strength = replace(NO_AUGMENTATION, zoom=1e-9)  # the resampling of crops, without a crop
    image = prepare(raw, torch.ones(1, COLUMNS) - 1e-6, strength, 32)[0]
    large = raw.rgb.permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(image, torch.nn.functional.avg_pool2d(large, 2), atol=1e-4)


def test_image_and_labels_move_together():
    raw = tilted_plane(128)  # its grey tells its inverse depth
    strength = replace(NO_AUGMENTATION, flip=0.5, zoom=1.0, zoom_least=0.5, off_centre=True)
    for seed in range(8):
        uniform = torch.rand((1, COLUMNS), generator=generator(seed))
        image, canonical, _, fov = prepare(raw, uniform, strength, 64)
        inverse = canonical / (0.5 / torch.tan(torch.deg2rad(fov) / 2))
        assert (image[:, :1] * 0.5 + 0.5 - inverse).abs().max() < 0.02


def test_a_flip_mirrors_left_and_right():
    flip = replace(NO_AUGMENTATION, flip=1.0)
    raw = tilted_plane(32)
    straight, mirrored = (prepare(raw, torch.zeros(1, COLUMNS), s, 32) for s in (NO_AUGMENTATION, flip))
    for a, b in zip(straight[:3], mirrored[:3], strict=True):
        assert torch.equal(a.flip(-1), b)
    assert torch.equal(straight[3], mirrored[3])


def test_unknown_pixels_stay_unknown():
    raw = tilted_plane(64)
    raw.known[:, :, :32] = False
    _, _, mask, _ = prepare(raw, torch.zeros(1, COLUMNS), NO_AUGMENTATION, 32)
    assert not mask[..., :16].any() and bool(mask[..., 16:].all())


def test_colours_change_the_image_and_never_the_labels():
    raw = raw_scenes(render("x", [1, 2, 3, 4], 64, 64))
    strong = Augmentation(flip=0, zoom=0, colour=1.0, blur=1.0, noise=1.0)
    uniform = torch.rand((4, COLUMNS), generator=generator(0))
    plain, changed = (prepare(raw, uniform, strength, 64) for strength in (NO_AUGMENTATION, strong))
    assert (plain[0] - changed[0]).abs().mean(dim=(1, 2, 3)).min() > 0.01
    assert changed[0].abs().max() <= 1 and changed[0].isfinite().all()
    for a, b in zip(plain[1:], changed[1:], strict=True):
        assert torch.equal(a, b)


def test_an_image_does_not_depend_on_its_batch():
    raw = raw_scenes(render("x", range(6), 96, 96))
    uniform = torch.rand((6, COLUMNS), generator=generator(1))
    strength = Augmentation(blur=0.5, noise=0.7)
    whole = prepare(raw, uniform, strength, 40)
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        alone = prepare(Raw(raw.rgb[part], raw.inverse_m[part], raw.known[part], raw.fov_deg[part]),
                        uniform[part], strength, 40)  # fmt: skip
        for a, b in zip(whole, alone, strict=True):
            assert torch.allclose(a[part].float(), b.float(), atol=1e-6)


def test_chances_are_kept():
    raw = Raw(torch.full((1, 8, 8, 3), 128, dtype=torch.uint8).expand(2000, -1, -1, -1), torch.ones(2000, 8, 8),
              torch.ones(2000, 8, 8, dtype=torch.bool), torch.full((2000,), FOV))  # fmt: skip
    strength = Augmentation(flip=0, zoom=0.3, off_centre=False, colour=0.6, blur=0, noise=0)
    image, _, _, fov = prepare(raw, torch.rand((2000, COLUMNS), generator=generator(2)), strength, 8)
    plain = raw.rgb[0, 0, 0, 0] / 127.5 - 1
    assert (fov < FOV - 1e-3).float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert ((image[:, :, 0, 0] - plain).abs() > 1e-4).any(1).float().mean().item() == pytest.approx(0.6, abs=0.04)


def test_generators_differ_for_every_tuple_of_numbers():
    tuples = [(1,), (1, 0), (0, 1), (1, 0, 0), (2, 3), (3, 2)]
    draws = {float(torch.rand((), generator=generator(*numbers))) for numbers in tuples}
    assert len(draws) == len(tuples)
