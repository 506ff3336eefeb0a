"""The cached maps are those that split and merge make."""

import pytest
import torch

from depth_pro_ros import network
from depth_pro_ros.inference.token_cache import IMAGE, TokenCache, cut, places
from depth_pro_ros.network.encoder import PATCHES, merge

NANO = network.NetworkConfig(64, 8, 16, 3, 1, (0, 1), (8, 8, 8), 8, head_dim=4)


@pytest.mark.parametrize(("steps", "padding"), [(5, 1), (3, 2), (1, 0)])
def test_places_are_those_of_the_merge(steps, padding):
    grid = 8
    tokens = torch.arange(steps**2 * grid**2, dtype=torch.float32).view(steps**2, grid**2, 1)
    expected = merge(tokens, steps, padding)
    placed = torch.full_like(expected, -1.0)
    for patch, place in zip(tokens, places(grid, steps, padding), strict=True):
        place.target.of(placed).copy_(place.kept.of(patch.view(1, 1, grid, grid)))
    torch.testing.assert_close(placed, expected, rtol=0, atol=0)


@pytest.mark.parametrize("sparing", [False, True])
@torch.inference_mode()
def test_all_patches_one_after_the_other_make_the_encoder_s_maps(sparing):
    net = network.build(NANO)
    net.encoder.sparing = sparing
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cache = TokenCache(net, torch.device("cpu"))
    patches = cut(image, NANO)
    assert all(difference != difference for difference in cache.differences(patches)), "NaN: made of nothing yet"
    for numbers in ([0, 24, 25], [*range(1, 24), *range(26, PATCHES), IMAGE]):
        cache.encode(patches, numbers)
    for ours, theirs in zip(cache.maps, net.encoder(image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert cache.differences(patches) == [0.0] * (PATCHES + 1)


@torch.inference_mode()
def test_a_difference_is_the_mean_over_the_patch_since_it_was_encoded():
    cache = TokenCache(network.build(NANO), torch.device("cpu"))
    patches = torch.zeros(PATCHES, 3, NANO.patch_size, NANO.patch_size)
    cache.encode(patches, [*range(PATCHES), IMAGE])
    patches[3, :, :32] = 0.5  # half of the patch
    patches[34] = -0.25
    differences = cache.differences(patches)
    assert differences[3] == pytest.approx(0.25) and differences[34] == differences[IMAGE] == pytest.approx(0.25)
    assert sum(differences) == pytest.approx(0.75)
