"""Frames one after the other: exact at threshold 0, refreshed in time, whole after anything unusual."""

import pytest
import torch

from depth_pro_ros import network
from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference import incremental
from depth_pro_ros.inference.incremental import GREY_LEVEL, IncrementalNetwork
from depth_pro_ros.inference.token_cache import FINE_PATCHES, IMAGE, QUARTER
from depth_pro_ros.network.encoder import PATCHES
from depth_pro_ros.network.simplify import simplify

# As small as the graph gets: every level still has more than one window.
NANO = network.NetworkConfig(64, 8, 16, 2, 1, (0, 1), (8, 8, 8), 8, head_dim=4)
SIDE = NANO.image_size


@pytest.fixture(scope="module", params=["as loaded", "simplified"])
def net(request):
    made = network.build(NANO)
    return simplify(made) if request.param == "simplified" else made


def picture(seed=0):
    coarse = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")


def with_thing(image, top, left, size=30):
    """Return the image with a bright square in it."""
    seen = image.clone()
    seen[:, :, top : top + size, left : left + size] = 0.9
    return seen


def plain(net, image, fov=True):
    with torch.inference_mode():
        return net(image, fov=fov)


def assert_same(found, expected, tolerance=2e-5):
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance * float(expected[0].std()))
    torch.testing.assert_close(found[1], expected[1], rtol=tolerance, atol=tolerance)


def test_a_moving_thing_is_followed_exactly(net):
    follow, room = IncrementalNetwork(net), picture()
    for step in range(5):
        image = with_thing(room, 220, 15 + 45 * step)
        assert_same(follow(image), plain(net, image))
        assert follow.cost.oldest_frames == 0 and follow.cost.largest_difference == 0
    assert 3 <= follow.cost.patches <= 10 and follow.cost.image_encoded
    assert follow.cost.encoder_share == pytest.approx((follow.cost.patches + 2) / 37)
    assert follow.cost.decoder_share < 0.7, "the lateral features of most of the image are kept"


def test_in_float64_nothing_is_left_of_the_difference():
    net, room = network.build(NANO).double(), picture()
    net.compute_dtype = torch.float64
    follow = IncrementalNetwork(net)
    follow(room)
    image = with_thing(room, 100, 80)
    assert_same(follow(image), plain(net, image), tolerance=1e-7)


def test_an_unchanged_frame_costs_nothing_and_gives_the_same_bits(net):
    follow, image = IncrementalNetwork(net), picture()
    first, degrees = follow(image)
    kept = first.clone()
    with torch.inference_mode():
        first.zero_()  # a caller may do with the result what it likes
        degrees.zero_()
    again, angle = follow(image.clone())
    assert torch.equal(again, kept) and float(angle) > 0
    cost = follow.cost
    assert (cost.patches, cost.encoder_share, cost.decoder_share) == (0, 0.0, 0.0)
    assert not cost.image_encoded and not cost.fov_computed


def test_one_pixel_touches_its_patch_of_each_resolution(net):
    follow, image = IncrementalNetwork(net), picture()
    follow(image)
    image[:, :, 5, 5] += 0.5
    image[:, :, 6, 6] += 0.5  # half resolution takes rows 4 and 5, or 6 and 7; quarter takes 1 and 2 of every 4
    assert_same(follow(image), plain(net, image))
    assert follow.cost.patches == 3 and follow.cost.image_encoded


def test_what_is_below_the_threshold_is_refreshed_within_the_stated_frames(net):
    follow, before, after = IncrementalNetwork(net, threshold=255.0, refresh_frames=7), picture(0), picture(1)
    follow(before)
    patches = []
    for _ in range(7):
        result = follow(after)
        patches.append(follow.cost.patches)
        assert follow.cost.oldest_frames < 7
    assert patches == [5] * 7, "35 patches in 7 frames"
    assert follow.cost.oldest_frames == 0 and follow.cost.refresh_error > 0
    assert_same(result, plain(net, after))
    follow(after)
    assert follow.cost.patches == 0 and follow.cost.refresh_error is None


def test_a_slow_drift_is_measured_from_the_frame_that_was_encoded(net):
    follow, image = IncrementalNetwork(net, threshold=1.0, refresh_frames=1000), picture() * 0.5
    follow(image)
    patches = []
    for _ in range(6):
        image = image + 0.4 * GREY_LEVEL
        follow(image)
        patches.append(follow.cost.patches)
        assert follow.cost.largest_difference <= 1.0
    assert [count > 25 for count in patches] == [False, False, True, False, False, True], "2.5 frames and one in turn"


def test_image_encoder_and_field_of_view_keep_their_own_schedules(net):
    follow = IncrementalNetwork(net, image_every=2, fov_every=3)
    seen = []
    for step in range(7):
        follow(picture(step))
        seen.append((follow.cost.image_encoded, follow.cost.fov_computed))
    assert [image for image, _ in seen] == [True, False, True, False, True, False, True]
    assert [fov for _, fov in seen] == [True, False, False, True, False, False, True]


def test_between_its_turns_the_whole_picture_is_not_looked_at_and_then_nothing_is_missed(net):
    follow, room = IncrementalNetwork(net, image_every=3), picture()
    shares = []
    for step in range(7):
        image = with_thing(room, 220, 15 + 30 * step)
        result = follow(image)
        assert {QUARTER, IMAGE}.issubset(follow.cost.encoded) == (step % 3 == 0), "both in the same frame"
        assert {QUARTER, IMAGE}.isdisjoint(follow.cost.encoded) == (step % 3 != 0)
        shares.append(follow.cost.decoder_share)
    assert max(shares[1:3] + shares[4:6]) < 0.5 < min(shares[3], shares[6]), "windows alone, then every map"
    assert_same(result, plain(net, image))
    still = with_thing(room, 220, 15 + 30 * 7)
    for _ in range(3):
        result = follow(still)
    assert_same(result, plain(net, still))
    assert follow.cost.oldest_frames == 0 and follow.cost.patches == 1


@pytest.mark.parametrize("every", [1, 2, 3, 5, 40])
def test_turns_renew_neighbours_together_and_all_in_time(net, every):
    """The half resolution comes last, with the whole picture: no other frame changes what is below everything."""
    follow = IncrementalNetwork(net, threshold=255.0, refresh_frames=every)
    follow(picture())
    seen = []
    for step in range(2 * every if every < 40 else every):
        follow(picture(step + 1))
        seen.append(follow.cost.encoded)
        assert follow.cost.oldest_frames < every
    assert sorted(number for frame in seen[:every] for number in frame) == [*range(PATCHES + 1)]
    assert seen[every:] == seen[:every] or every == 40, "the same turns again"
    assert {QUARTER, IMAGE}.issubset(seen[every - 1])
    for frame in seen[: every - 1]:
        patches = [number for number in frame if number < QUARTER]
        assert patches == [*range(patches[0], patches[0] + len(patches))] if patches else True
        assert len(patches) <= -(-QUARTER // every)
    if every in (2, 3):
        assert all(max(frame) < FINE_PATCHES for frame in seen[: every - 1])


def test_the_field_of_view_is_computed_only_when_asked_for(net):
    follow, first, second = IncrementalNetwork(net), picture(0), picture(1)
    assert follow(first, fov=False)[1] is None
    assert follow.cost.encoder_share == 1.0 and not follow.cost.fov_computed
    assert_same(follow(first), plain(net, first))
    follow(second, fov=False)
    assert_same(follow(second), plain(net, second))


def test_a_batch_is_no_stream_of_frames(net):
    follow, image = IncrementalNetwork(net), picture()
    follow(image)
    batch = torch.cat((image, picture(1)))
    assert_same(follow(batch), plain(net, batch))
    assert follow.nbytes == 0 and follow.cost.patches == 35
    assert_same(follow(image), plain(net, image))
    assert follow.cost.encoder_share == 1.0


def test_reset_and_another_precision_compute_the_next_frame_whole():
    net, image = network.build(NANO), picture()
    follow = IncrementalNetwork(net)
    follow(image)
    net.double().compute_dtype = torch.float64
    assert_same(follow(image), plain(net, image))
    assert follow.cost.patches == 35
    follow.reset()
    assert follow.nbytes == 0
    follow(image)
    assert follow.cost.patches == 35 and follow.nbytes > 0


def test_a_frame_that_fails_is_no_memory_for_the_next(net, monkeypatch):
    follow, image = IncrementalNetwork(net), picture()
    follow(image)
    with monkeypatch.context() as patch:
        patch.setattr(incremental.DecoderCache, "update", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
        with pytest.raises(RuntimeError, match="no memory"):
            follow(picture(1))
    assert_same(follow(image), plain(net, image))
    assert follow.cost.patches == 35


def test_a_wrong_size_is_refused_as_the_network_refuses_it(net):
    with pytest.raises(ConfigurationError, match="takes"):
        IncrementalNetwork(net)(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": -1.0},
        {"threshold": float("nan")},
        {"refresh_frames": 0},
        {"image_every": 31},
        {"image_every": 0},
        {"fov_every": 0},
    ],
)
def test_settings_that_mean_nothing_are_refused(net, settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        IncrementalNetwork(net, **settings)


def test_figures_are_plain_rounded_numbers(net):
    follow = IncrementalNetwork(net)
    follow(picture())
    assert follow.cost.figures() == {
        "patches": 35,
        "image_encoded": True,
        "fov_computed": True,
        "encoder_share": 1.0,
        "decoder_share": pytest.approx(1.0, abs=0.01),
        "oldest_frames": 0,
        "largest_difference": 0.0,
        "refresh_error": None,
    }
