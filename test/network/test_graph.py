"""Parts of the graph against numbers worked out by hand, and the settings that must not change results."""

from dataclasses import replace

import pytest
import torch

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import PRESETS, NetworkConfig, build
from depth_pro_ros.network.encoder import halved, merge, quartered, split


@pytest.mark.parametrize(("steps", "padding", "grid"), [(5, 1, 8), (3, 2, 8), (5, 3, 24), (3, 6, 24)])
def test_splitting_and_merging_gives_each_token_its_own_place(steps, padding, grid):
    """Tokens that carry their position in the image come back in order, without gap or overlap."""
    stride = grid - 2 * padding
    side = grid + (steps - 1) * stride
    positions = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    patches = split(positions, grid, steps)
    assert patches.shape == (steps**2, 1, grid, grid)
    merged = merge(patches.flatten(2).transpose(1, 2), steps, padding)
    assert torch.equal(merged, positions)


def test_published_overlaps():
    """384-pixel patches: stride 288 (25 % overlap) at 1536, 192 (50 %) at 768."""
    ramp = torch.arange(1536.0).expand(1, 1, 1536, 1536)
    assert split(ramp, 384, 5)[:5, 0, 0, 0].tolist() == [0, 288, 576, 864, 1152]
    assert split(ramp[..., :768, :768], 384, 3)[:3, 0, 0, 0].tolist() == [0, 192, 384]


def test_field_of_view_branch_runs_only_when_wanted():
    network = build(PRESETS["micro"])
    calls = []
    network.fov.encoder[0].register_forward_hook(lambda *_: calls.append(1))
    image = torch.zeros(1, 3, 512, 512)
    with torch.inference_mode():
        with_fov, degrees = network(image)
        without, none = network(image, fov=False)
    assert len(calls) == 1 and none is None and degrees.shape == (1,)
    assert torch.equal(with_fov, without)


def test_the_unused_coarsest_unit_is_held_but_not_computed():
    network = build(PRESETS["micro"])
    calls = []
    network.decoder.fusions[4].resnet1.register_forward_hook(lambda *_: calls.append(1))
    network.decoder.fusions[3].resnet1.register_forward_hook(lambda *_: calls.append(3))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 512, 512))
    assert calls == [3]


def test_half_precision_weights_with_float32_arithmetic_are_close():
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        exact, fov = build(PRESETS["micro"])(image)
        rounded, rounded_fov = build(PRESETS["micro"]).set_precision(torch.bfloat16, torch.float32)(image)
    assert rounded.dtype is torch.float32
    assert 0 < (rounded - exact).abs().mean() / exact.std() < 0.02
    assert (rounded_fov - fov).abs().max() < 0.25


def test_field_of_view_is_not_quantised_by_half_precision():
    """In bfloat16 an angle near 60 degrees moves in steps of 0.25; behind a float32 head it does not."""
    small = NetworkConfig(128, 16, 64, 1, 1, (0, 0), (16, 32, 32), 16)
    network = build(small).set_precision(torch.bfloat16, torch.bfloat16)
    with torch.inference_mode():
        lowres = torch.randn(8, 16, 16, 16, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
        angles = network.fov(torch.zeros(8, 3, 128, 128, dtype=torch.bfloat16), lowres)
    assert angles.dtype is torch.float32
    assert not torch.equal(angles, angles.to(torch.bfloat16).float())


def test_gradients_reach_every_weight_that_is_computed():
    network = build(PRESETS["micro"]).train()
    canonical, fov = network(torch.rand(1, 3, 512, 512))
    (canonical.mean() + fov.mean()).backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None]
    assert all(name.startswith("decoder.fusions.4.resnet1.") for name in dead) and len(dead) == 4


def test_same_seed_same_weights_and_the_global_generator_is_untouched():
    state = torch.get_rng_state()
    first, second, other = (build(PRESETS["micro"], seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.head[0].weight, second.head[0].weight)
    assert not torch.equal(first.head[0].weight, other.head[0].weight)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patch_size": 96}, "multiple of 8"),
        ({"heads": 5}, "divisible by heads"),
        ({"hooks": (3, 1)}, "hooks"),
        ({"hooks": (0, 4)}, "hooks"),
        ({"decoder_dim": 12}, "decoder_dim"),
    ],
)
def test_impossible_sizes_are_refused(change, words):
    sizes = {**PRESETS["micro"].as_dict(), **change}
    with pytest.raises(ConfigurationError, match=words):
        NetworkConfig.from_dict(sizes)


def test_wrong_input_size_is_refused():
    with pytest.raises(ConfigurationError, match=r"\(1, 3, 256, 256\).*512"):
        build(PRESETS["micro"])(torch.zeros(1, 3, 256, 256))


def test_convolutional_stem_keeps_the_rest_of_the_graph():
    plain = replace(PRESETS["micro"], stem="linear")
    stemmed = replace(plain, stem="conv")
    names = {config.stem: set(build(config).state_dict()) for config in (plain, stemmed)}
    assert {name for name in names["conv"] ^ names["linear"] if ".patch_embed.proj." not in name} == set()
    canonical, fov_deg = build(stemmed)(torch.zeros(1, 3, 512, 512))
    assert canonical.shape == (1, 1, 512, 512) and fov_deg.shape == (1,)
    assert stemmed.published() == plain


def test_convolutional_stem_keeps_the_variance_of_what_passes():
    tokens = build(PRESETS["tiny"]).encoder.patch_encoder.patch_embed(torch.randn(4, 3, 128, 128))
    assert 0.3 < tokens.std() < 3


def test_a_stem_that_cannot_be_is_refused():
    with pytest.raises(ConfigurationError, match="'fancy' is not one of linear, conv"):
        replace(PRESETS["micro"], stem="fancy")
    with pytest.raises(ConfigurationError, match="token 12 pixels wide.*power of two"):
        replace(PRESETS["micro"], patch_size=96, token_size=12, stem="conv")


@pytest.mark.parametrize("averaged", [True, False])
def test_the_quarter_resolution_averages_sixteen_pixels_or_the_middle_four(averaged):
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blocks = image.view(1, 3, 4, 4, 4, 4)
    blocks = blocks if averaged else blocks[:, :, :, 1:3, :, 1:3]
    config = replace(PRESETS["micro"], averaged_quarter=averaged)
    half, quarter = halved(image, config)
    assert torch.equal(quartered(image, config), quarter)
    torch.testing.assert_close(quarter, blocks.mean((3, 5)), rtol=0, atol=1e-12)
    torch.testing.assert_close(half, image.view(1, 3, 8, 2, 8, 2).mean((3, 5)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("stem", ["linear", "conv"])
@torch.inference_mode()
def test_patches_embedded_together_are_those_embedded_one_by_one(stem):
    """A linear stem embeds the pyramid before it is cut; the encoder must not see a difference."""
    encoder = build(replace(PRESETS["micro"], stem=stem)).double().encoder
    image = torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    half, quarter = halved(image, encoder.config)
    pixels = torch.cat((split(image, 128, 5), split(half, 128, 3), quarter))
    found = encoder._patches(image, half, quarter)
    found = encoder.patch_encoder.patch_embed(found) if stem == "conv" else found
    torch.testing.assert_close(found, encoder.patch_encoder.patch_embed(pixels), rtol=0, atol=1e-12)
