"""Approximations: where they must be exact, what they leave alone, what they save, and that they are told."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from depth_pro_ros.inference import Predictor
from depth_pro_ros.inference.quality import PLANS, QUALITIES, approximated
from depth_pro_ros.network import PRESETS, build
from depth_pro_ros.network.layers import Upsample2x
from depth_pro_ros.network.simplify import simplify

MICRO = PRESETS["micro"]
APPROXIMATE = QUALITIES[1:]


class Colours(nn.Module):
    """Stands for the patch encoder: a token is the mean colour of its own pixels, whatever lies around it."""

    def forward(self, image, hooks=(), hooked=0, wanted=None):
        colours = F.avg_pool2d(image, MICRO.token_size).flatten(2).transpose(1, 2)
        tokens = colours.repeat(1, 1, MICRO.embed_dim // 3 + 1)[..., : MICRO.embed_dim]
        return tokens, [(number + 2) * tokens[:hooked] for number in range(len(hooks))]


def ramp():
    """An image that changes evenly from place to place, differently in each colour."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, MICRO.image_size),) * 2, indexing="ij")
    return torch.stack((x, y, 0.5 * x - 0.5 * y))[None]


@torch.inference_mode()
def test_maps_show_each_token_where_the_whole_network_has_it():
    """Of tokens without surroundings nothing is approximated, but that the coarser ones were enlarged."""
    network = build(replace(MICRO, stem="conv"))  # whose patches are cut before they are embedded
    network.encoder.patch_encoder = Colours()
    image = torch.rand(2, 3, MICRO.image_size, MICRO.image_size, generator=torch.Generator().manual_seed(0))
    exact = network.encoder(image)
    balanced = approximated(network, "balanced")[0]._maps(image)
    for found, expected in zip(balanced, exact, strict=True):
        torch.testing.assert_close(found, expected)
    smooth = network.encoder(ramp())
    fast = approximated(network, "fast")[0]._maps(ramp())
    assert fast[0].shape[2:] == (2 * MICRO.grid,) * 2
    torch.testing.assert_close(fast[0], F.avg_pool2d(smooth[0], 2), rtol=0, atol=1e-4)
    for found, expected in zip(fast[1:], smooth[1:], strict=True):
        torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("folded", [False, True])
@torch.inference_mode()
def test_of_a_wall_of_one_colour_the_middle_is_exact(folded):
    """All maps are even then, if tokens do not know their place and doublings repeat pixels: it has no finer detail.

    Only the border sees the other padding.
    """
    network = build(MICRO)
    for encoder in (network.encoder.patch_encoder, network.encoder.image_encoder):
        encoder.pos_embed.zero_()
    for module in network.modules():
        if isinstance(module, Upsample2x):
            module.weight.copy_(module.weight[..., :1, :1].expand_as(module.weight))
    network = simplify(network) if folded else network
    image = torch.full((1, 3, MICRO.image_size, MICRO.image_size), 0.3)
    exact, angle = network(image)
    middle = exact.shape[-1] // 2
    for quality in APPROXIMATE:
        found, found_angle = approximated(network, quality)[0](image)
        assert found.shape[-1] * 2 == exact.shape[-1] and found.dtype is torch.float32
        assert exact[0, 0, middle, middle] > 0.01
        torch.testing.assert_close(found[0, 0, middle // 2, middle // 2], exact[0, 0, middle, middle])
        torch.testing.assert_close(found_angle, angle, rtol=1e-5, atol=1e-4)


@torch.inference_mode()
def test_the_field_of_view_is_not_approximated_and_may_be_left_out():
    network = simplify(build(MICRO))
    for quality in APPROXIMATE:
        run = approximated(network, quality)[0]
        torch.testing.assert_close(run(ramp())[1], network(ramp())[1], rtol=1e-5, atol=1e-4)
        assert run(ramp(), fov=False)[1] is None


@torch.inference_mode()
def test_patches_at_a_time_change_memory_not_results():
    network = simplify(build(MICRO))
    run = approximated(network, "balanced")[0]
    whole = run(ramp())[0]
    for network.patch_batch in (3, 16):
        torch.testing.assert_close(run(ramp())[0], whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("quality", "share"), [("balanced", 0.7), ("fast", 0.4)])
@torch.inference_mode()
def test_operations_are_saved(quality, share):
    """Counted by PyTorch."""
    network, counts = simplify(build(MICRO)), []
    for run in (network, approximated(network, quality)[0]):
        with FlopCounterMode(display=False) as counter:
            run(ramp(), fov=False)
        counts.append(counter.get_total_flops())
    assert counts[1] < share * counts[0]


def test_an_approximation_is_told_in_log_and_description():
    told = []
    predictor = Predictor.load("micro", device="cpu", precision="float32", quality="fast", log=told.append)
    assert predictor.description["quality"] == "fast" and PLANS["fast"].told in told[0]
    depth = predictor.predict((ramp()[0].permute(1, 2, 0).numpy() * 127 + 128).astype("uint8")[:120, :200])
    assert depth.depth_m.shape == (120, 200)
    full = Predictor.load("micro", device="cpu", precision="float32", log=told.append)
    assert "quality" not in full.description and len(told) == 1
