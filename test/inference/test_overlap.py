"""The order in which encoders start and are waited for; queues on the CPU write it down."""

import contextlib

import pytest
import torch

from depth_pro_ros.inference.overlap import overlap
from depth_pro_ros.network import PRESETS, build


class Queue:
    """Writes down when it is entered, left and joined."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    @contextlib.contextmanager
    def begin(self):
        self.log.append(f"{self.name} begins")
        yield
        self.log.append(f"{self.name} is queued")

    def join(self):
        self.log.append(f"{self.name} is joined")


@pytest.fixture
def both():
    """Return a network, one that overlaps, and what happens to its queues."""
    log = []
    plain, overlapped = build(PRESETS["micro"]), build(PRESETS["micro"])
    overlapped.encoder.patch_encoder.register_forward_hook(lambda *_: log.append("patches are encoded"))
    return plain, overlap(overlapped, (Queue("image", log), Queue("fov", log))), log


IMAGE = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.inference_mode()
def test_the_results_are_the_same_and_small_encoders_start_first(both):
    plain, overlapped, log = both
    for fov in (True, False):
        log.clear()
        for found, expected in zip(overlapped(IMAGE, fov=fov), plain(IMAGE, fov=fov), strict=True):
            assert (found is None) == (expected is None)
            if found is not None:
                torch.testing.assert_close(found, expected)
        assert log == [
            *("image begins", "image is queued"),
            *(("fov begins", "fov is queued") if fov else ()),
            "patches are encoded",
            "image is joined",
            *(("fov is joined",) if fov else ()),
        ]


@torch.inference_mode()
def test_what_a_failed_frame_began_is_not_taken_for_the_next_one(both):
    plain, overlapped, log = both

    def fail(*_):
        raise torch.OutOfMemoryError("pretended")

    failing = overlapped.encoder.patch_encoder.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        overlapped(IMAGE)
    failing.remove()
    assert log[-2:] == ["image is joined", "fov is joined"]
    quarter = IMAGE[..., :128, :128]
    torch.testing.assert_close(overlapped.encoder.image_encoder(quarter)[0], plain.encoder.image_encoder(quarter)[0])
