"""The network's input against the published steps, written out with PyTorch."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.inference import preprocess
from depth_pro_ros.inference.preprocess import to_input

CPU, META = torch.device("cpu"), torch.device("meta")


def published(rgb, side):
    x = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].double() / 255
    return F.interpolate((x - 0.5) / 0.5, size=(side, side), mode="bilinear", align_corners=False).float()


@pytest.mark.parametrize("size", [(30, 50), (64, 64), (200, 90), (63, 300), (1, 1), (720, 1280)])
def test_equals_the_published_steps(size):
    """Larger, smaller, equal and mixed; what is left is the rounding of coordinates."""
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    x = to_input([rgb], 64, CPU)
    assert x.shape == (1, 3, 64, 64) and x.dtype is torch.float32
    torch.testing.assert_close(x, published(rgb, 64), rtol=0, atol=2e-4)
    assert (x - published(rgb, 64)).abs().mean() < 2e-6


@pytest.mark.parametrize(("size", "bands"), [((720, 1280), 16), ((1080, 1920), 8), ((480, 1280), 1), ((1537, 600), 1)])
def test_bands_of_rows_are_resized_as_the_whole(size, bands):
    rgb = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert preprocess._bands(size[0], 512) == bands
    whole = cv2.resize(rgb.astype(np.float32), (512, 512), interpolation=cv2.INTER_LINEAR)
    whole = whole * np.float32(2 / 255) - np.float32(1)
    np.testing.assert_array_equal(to_input([rgb], 512, CPU)[0].permute(1, 2, 0).numpy(), whole)


def test_the_ends_of_the_scale_are_exact():
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[...] = (255, 0, 51)
    for side in (4, 8):
        x = to_input([rgb, rgb], side, CPU)
        assert x.shape == (2, 3, side, side)
        np.testing.assert_allclose(x[1, :, 3, 3], [1.0, -1.0, -0.6], atol=1e-6)


def test_the_image_is_not_written_to():
    rgb = np.full((8, 8, 3), 7, np.uint8)
    rgb.setflags(write=False)
    to_input([rgb], 8, CPU)
    assert (rgb == 7).all()


def test_rows_of_any_layout():
    rgb = np.random.default_rng(1).integers(0, 256, (40, 60, 6), dtype=np.uint8)
    view = rgb[::-2, :, ::2]
    torch.testing.assert_close(to_input([view], 16, CPU), to_input([np.ascontiguousarray(view)], 16, CPU))


def test_a_device_resizes_the_bytes_by_itself(monkeypatch):
    """What is sent are bytes, a quarter of the floats; the arithmetic is the CPU's."""
    sent = []
    monkeypatch.setattr(preprocess, "upload", lambda pixels, device: sent.append(pixels) or torch.from_numpy(pixels))
    rgb = np.random.default_rng(2).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    x = to_input([rgb], 32, META)
    assert sent[0].dtype == np.uint8
    torch.testing.assert_close(x, to_input([rgb], 32, CPU), rtol=0, atol=1e-5)


def test_upload_to_cuda_is_pinned_and_does_not_wait(monkeypatch):
    calls = []

    def to(self, device, non_blocking=False):
        calls.append((device.type, non_blocking))
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: calls.append("pinned") or self)
    monkeypatch.setattr(torch.Tensor, "to", to)
    preprocess.upload(np.zeros((2, 2, 3), np.uint8), torch.device("cuda"))
    assert calls == ["pinned", ("cuda", True)]
