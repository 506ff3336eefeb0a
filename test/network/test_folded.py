"""Folded layers against the chains of layers that they stand for, in double precision, borders included."""

import pytest
import torch
from torch import nn

from depth_pro_ros.network import folded
from depth_pro_ros.network.folded import BorderedConv, DoubledConv, FoldedHead, exact, phase_kernels
from depth_pro_ros.network.layers import Upsample2x, conv1x1, conv3x3

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = [(5, 8), (1, 1), (2, 3)]


def randomised(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.double().requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def features(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.fixture
def chain():
    """The head of a small network and the projection before it; values that the last ReLU cuts."""
    head = nn.Sequential(
        conv3x3(6, 4), Upsample2x(4, 4, bias=True), conv3x3(4, 5), nn.ReLU(), conv1x1(5, 1, bias=True), nn.ReLU()
    )
    return randomised(conv1x1(6, 6, bias=True)), randomised(head, seed=1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("biased", [True, False])
def test_doubling_and_convolution_are_four_small_convolutions(size, biased):
    doubling, convolution = randomised(Upsample2x(5, 4, bias=biased)), randomised(conv3x3(4, 3, bias=biased), seed=1)
    doubled = DoubledConv(exact(doubling), exact(convolution), convolution.weight)
    x = features(2, 5, *size)
    torch.testing.assert_close(doubled(x), convolution(doubling(x)), **EXACT)


def test_phase_kernels_of_a_known_case():
    """Doubling that repeats a pixel, then a sum over 3 rows: row 2y sees y - 1 once and y twice."""
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[..., 1] = 1
    kernels = phase_kernels(torch.ones(1, 1, 2, 2), kernel)
    assert kernels[0, 0, 0].tolist() == [[0, 1], [0, 2]]
    assert kernels[3, 0, 0].tolist() == [[2, 0], [1, 0]]


def test_a_bias_from_outside_is_taken_off():
    """A constant of 1 through nine ones is 9 inside, 6 at a side, 4 in a corner."""
    ones = torch.ones(1, 3, 3, dtype=torch.float64)
    convolution = BorderedConv(torch.zeros(1, 1, 3, 3), torch.zeros(1), ones, ones)
    found = convolution(torch.zeros(1, 1, 3, 4, dtype=torch.float64))
    assert found[0, 0].tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strip_bytes", [1, 900, 1 << 20])
def test_folded_head(chain, size, raw, strip_bytes, monkeypatch):
    monkeypatch.setattr(folded, "STRIP_BYTES", strip_bytes)
    projection, head = chain
    x = features(2, 6, *size)
    head[4].bias -= head[:5](projection(x)).median()  # the last ReLU must matter
    expected = head[:5](projection(x)) if raw else head(projection(x))
    assert (expected.min() < 0) == raw and expected.max() > 0
    torch.testing.assert_close(FoldedHead(head, projection)(x, raw), expected, **EXACT)
    torch.testing.assert_close(FoldedHead(head)(projection(x), raw), expected, **EXACT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_folds_of_half_precision_weights_are_rounded_once(dtype):
    """What is stored is the nearest number to the product of the weights, not a product of rounded sums."""
    doubling, convolution = randomised(Upsample2x(40, 30)), randomised(conv3x3(30, 3, bias=False), seed=1)
    doubling, convolution = doubling.to(dtype), convolution.to(dtype)
    found = DoubledConv(exact(doubling), exact(convolution), convolution.weight).weight
    wanted = phase_kernels(doubling.weight.double(), convolution.weight.double()).flatten(0, 1)
    assert found.dtype is dtype
    assert ((found.double() - wanted).abs() <= 0.501 * torch.finfo(dtype).eps * wanted.abs() + 1e-5).all()
