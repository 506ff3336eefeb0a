"""Parts of the pyramid: the right sizes, the whole network's own weights, and growth that keeps what was learned."""

import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import PRESETS, build
from depth_pro_ros.training import pyramid

CONFIG = PRESETS["micro"]


def images(level, count=2):
    side = pyramid.input_side(CONFIG, level)
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize(("level", "taken", "given"), [("quarter", 128, 64), ("half", 256, 128), ("full", 512, 512)])
def test_sides(level, taken, given):
    assert pyramid.input_side(CONFIG, level) == taken
    assert pyramid.output_side(CONFIG, level) == given
    with torch.inference_mode():
        assert pyramid.forward(build(CONFIG), images(level), level).shape == (2, 1, given, given)


def test_the_full_level_is_the_network_without_its_last_relu():
    network, image = build(CONFIG, seed=2), images("full")
    network.head[4].bias.data.fill_(-0.1)
    with torch.inference_mode():
        raw = pyramid.forward(network, image, "full")
        assert raw.min() < 0 < raw.max()
        assert torch.equal(raw.relu(), network(image, fov=False)[0])


@torch.inference_mode()
def test_a_part_is_what_the_network_computes_behind_its_coarse_levels():
    """Taken from the whole network's own encoder: the same tokens, cut off behind the same fusion, head moved there."""
    network, image = build(CONFIG, seed=2), images("full")
    half = F.interpolate(image, scale_factor=0.5, mode="bilinear")
    maps = network.encoder(half.repeat_interleave(2, 2).repeat_interleave(2, 3))  # whose half is `half` exactly
    features = network.decoder.fusions[4].resnet2(network.decoder.convs[4](network.encoder.level(4, maps)))
    fusion = network.decoder.fusions[3]
    below = network.decoder.fusions[4].up(features)
    features = fusion.resnet2(fusion.add(below, network.decoder.convs[3](network.encoder.level(3, maps))))
    expected = network.head(fusion.up(features), raw=True)
    torch.testing.assert_close(pyramid.forward(network, half, "half"), expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("prepared", [True, False])
def test_a_new_level_starts_from_what_the_one_below_gives(prepared):
    network = build(CONFIG, seed=2)
    if prepared:
        pyramid.initialise(network)
    maps = network.encoder(images("full", 1))
    lateral = network.lateral(maps)
    below = network.fuse(lateral, maps, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    change = (network.fuse(lateral, maps, 3) - below).std() / below.std()
    assert change < 0.3 if prepared else change > 1


@torch.inference_mode()
@pytest.mark.parametrize(("below", "level"), [("quarter", "half"), ("half", "full"), ("quarter", "full")])
def test_restarted_levels_pass_on_and_coarser_ones_stay(below, level):
    network, fresh = build(CONFIG, seed=2), pyramid.initialise(build(CONFIG, seed=3))
    before = {each: pyramid.forward(network, images(each, 1), each) for each in pyramid.LEVELS}
    pyramid.restart(network, fresh, below, level)
    unchanged = pyramid.LEVELS[: pyramid.LEVELS.index(below) + 1]
    for each in pyramid.LEVELS:
        same = torch.equal(pyramid.forward(network, images(each, 1), each), before[each])
        assert same == (each in unchanged)
    if (below, level) == ("quarter", "half"):
        maps = network.encoder(images("full", 1))
        lateral = network.lateral(maps)
        passed = network.decoder.fusions[4].up(network.fuse(lateral, maps, 4))
        assert (network.fuse(lateral, maps, 3) - passed).std() < 0.3 * passed.std()


def test_nothing_restarts_at_the_level_that_was_trained():
    network, fresh = build(CONFIG, seed=2), build(CONFIG, seed=3)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    pyramid.restart(network, fresh, "half", "half")
    pyramid.restart(network, fresh, "full", "quarter")
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_every_prepared_weight_that_a_level_computes_can_learn():
    """What starts at zero must still get a gradient, or it would stay there."""
    network = pyramid.initialise(build(CONFIG)).train()
    pyramid.forward(network, images("full", 1), "full").sum().backward()
    zero = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
    assert zero == [name for name in zero if ".residual.1." in name], "only what lies behind a zero convolution waits"


def test_the_field_of_view_trains_its_own_branch_alone():
    network = build(CONFIG).train()
    angles = pyramid.fov(network, images("quarter"))
    assert angles.shape == (2,)
    angles.sum().backward()
    touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {"fov"}


@torch.inference_mode()
def test_the_field_of_view_is_the_networks():
    network, image = build(CONFIG, seed=4), images("full")
    quarter = F.interpolate(image, scale_factor=0.25, mode="bilinear")
    torch.testing.assert_close(pyramid.fov(network, quarter), network(image)[1], rtol=1e-5, atol=1e-4)


def test_targets_shrink_over_what_is_valid():
    canonical = torch.tensor([[1.0, 3.0, 9.0, 9.0], [float("nan"), 5.0, 9.0, 9.0]]).expand(1, 1, 2, 4)
    canonical = F.pad(canonical, (0, 0, 0, 2), value=7.0)
    valid = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    valid[..., 0, :2] = valid[..., 1, 1] = valid[..., 2, 2] = True
    target, kept = pyramid.shrink_target(canonical, valid, 2)
    assert kept.tolist() == [[[[True, False], [False, False]]]]
    assert target[0, 0, 0, 0] == 3.0


def test_wrong_sizes_and_levels_are_named():
    network = build(CONFIG)
    with pytest.raises(ConfigurationError, match=r"'half'.*\(2, 3, 128, 128\).*256"):
        pyramid.forward(network, images("quarter"), "half")
    with pytest.raises(ConfigurationError, match="'eighth'.*quarter, half, full"):
        pyramid.input_side(CONFIG, "eighth")
    with pytest.raises(ConfigurationError, match="5 wide.*shrunk to 2"):
        pyramid.shrink_target(torch.zeros(1, 1, 5, 5), torch.ones(1, 1, 5, 5, dtype=torch.bool), 2)


@torch.inference_mode()
def test_tied_encoders_are_one_that_both_become():
    network = build(CONFIG, seed=2)
    tied = pyramid.forward(network, images("quarter"), "quarter", tied=True)
    assert not torch.equal(tied, pyramid.forward(network, images("quarter"), "quarter"))
    pyramid.untie(network)
    torch.testing.assert_close(pyramid.forward(network, images("quarter"), "quarter"), tied)


def test_a_tied_image_encoder_waits():
    network = build(CONFIG).train()
    pyramid.forward(network, images("half", 1), "half", tied=True).sum().backward()
    assert all(parameter.grad is None for parameter in network.encoder.image_encoder.parameters())
    assert network.encoder.patch_encoder.pos_embed.grad.any()
