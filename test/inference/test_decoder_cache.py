"""The decoder's windows against the whole decoder, level by level."""

import pytest
import torch

from depth_pro_ros import network
from depth_pro_ros.inference.decoder_cache import DecoderCache
from depth_pro_ros.inference.windows import Box
from depth_pro_ros.network.simplify import simplify

NANO = network.NetworkConfig(64, 8, 16, 2, 1, (0, 1), (8, 8, 8), 8, head_dim=4)
SIDES = (32, 32, 32, 16, 8, 8)  # of the encoder's maps, for patches of 8 x 8 tokens


@pytest.fixture(params=["as loaded", "simplified"])
def net(request):
    made = network.build(NANO)
    return simplify(made) if request.param == "simplified" else made


def maps_of(seed):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(1, NANO.embed_dim, side, side, generator=random) for side in SIDES]


def decoded(net, maps):
    lateral = net.lateral(maps)
    return net._finest(net.fuse(lateral, maps, 1), maps[0], False).float()


@pytest.mark.parametrize(
    ("fine", "middle", "coarse"),
    [
        ([Box(7, 13, 13, 19)], [], False),
        ([Box(0, 0, 7, 7), Box(25, 25, 32, 32)], [], False),
        ([], [Box(6, 0, 10, 6)], False),
        ([Box(25, 7, 32, 13)], [Box(10, 6, 16, 10)], True),
        ([], [], True),
        ([], [], False),
    ],
)
@pytest.mark.parametrize("strips", [1, 3])
@torch.inference_mode()
def test_following_a_change_equals_decoding_anew(net, fine, middle, coarse, strips):
    net.strips = strips
    before, after = maps_of(0), maps_of(0)
    cache = DecoderCache(net, torch.device("cpu"))
    cache.update(before, [Box(0, 0, 32, 32)], [Box(0, 0, 16, 16)], True)
    torch.testing.assert_close(cache.output, decoded(net, before), rtol=1e-4, atol=1e-5)
    fresh = maps_of(1)
    for number, boxes in ((0, fine), (1, fine), (2, fine), (3, middle)):
        for box in boxes:
            box.of(after[number]).copy_(box.of(fresh[number]))
    if coarse:
        after[4:] = fresh[4:]
    cache.update(after, fine, middle, coarse)
    torch.testing.assert_close(cache.output, decoded(net, after), rtol=1e-4, atol=1e-5)
    assert (cache.computed_share == 0) == (not (fine or middle or coarse))
    if not coarse:
        assert cache.computed_share < 0.6, "a change in a corner is not everywhere"
