"""Metric depth against the original's formula in double precision, and its edges."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.inference.metric import to_depth

SIZES = [(64, 64), (200, 120), (1280, 720), (31, 7)]


def original(canonical, width, focal_px, size):
    inverse = F.interpolate((canonical.double() * width / focal_px)[None, None], size=size[::-1], mode="bilinear")
    return (1 / inverse.clamp(1e-4, 1e4))[0, 0].numpy()


def plane(side=64):
    return torch.rand(side, side, generator=torch.Generator().manual_seed(0)) + 0.05


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_original(size):
    canonical = plane()
    before = canonical.clone()
    depth = to_depth(canonical, 200, 150.0, size, 1000.0)
    assert depth.shape == size[::-1] and depth.dtype is torch.float32
    np.testing.assert_allclose(depth.numpy(), original(canonical, 200, 150.0, size), rtol=2e-3)
    assert np.median(np.abs(depth.numpy() / original(canonical, 200, 150.0, size) - 1)) < 2e-6
    assert torch.equal(canonical, before)  # the network's own memory


@pytest.mark.parametrize("size", [(64, 64), (100, 50)])
def test_far_unknown_near_and_negative(size):
    """D = f / (w C) = 0.5 / C: 50 m and 200 m, NaN, zeros, below zero, and nearer than the original allows."""
    for canonical, expected in (
        (0.01, 50.0), (0.0025, math.inf), (math.nan, math.nan), (0.0, math.inf), (-0.0, math.inf), (-1.0, math.inf),
        (1e9, 1e-4),
    ):  # fmt: skip
        depth = to_depth(torch.full((64, 64), canonical), 200, 100.0, size, 100.0).numpy()
        np.testing.assert_allclose(depth, np.full(size[::-1], expected), rtol=1e-5)


def test_other_devices_take_the_same_steps(monkeypatch):
    """PyTorch's own interpolation, as on a GPU, gives what OpenCV's gives."""
    from depth_pro_ros.inference import metric

    canonical = plane()
    by_opencv = to_depth(canonical, 200, 150.0, (90, 50), 1000.0)
    own = F.interpolate(canonical[None, None], size=(50, 90), mode="bilinear")[0, 0]
    monkeypatch.setattr(metric, "_resized", lambda *_: own)
    torch.testing.assert_close(to_depth(canonical, 200, 150.0, (90, 50), 1000.0), by_opencv, rtol=1e-3, atol=0)


@pytest.mark.parametrize("size", [(64, 64), (100, 50), (20, 30)])
@pytest.mark.parametrize(
    "one", [0.2, 1.0, 0.01, 0.00999, 0.010001, 0.0, -1.0, 1e4, 4.999e3, 5e3, 5.001e3, math.nan, math.inf, -math.inf]
)
def test_steps_that_no_pixel_needs_are_skipped_unseen(size, one, monkeypatch):
    """One pixel at, near or beyond an end of the range: what the full steps give, to the bit."""
    canonical = plane() + 0.1
    canonical[20, 30] = one
    found = to_depth(canonical, 200, 100.0, size, 50.0).numpy()
    monkeypatch.setattr("depth_pro_ros.inference.metric._reaches", lambda *_: (True, True))
    np.testing.assert_array_equal(found, to_depth(canonical, 200, 100.0, size, 50.0).numpy())
