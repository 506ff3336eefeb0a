"""The losses against hand-computed numbers, against plain loops, and with everything that must not matter changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training import losses
from depth_pro_ros.training.losses import LOSSES

SSI = ("ssi_mae", "ssi_trimmed_mae", "ssi_mage")
GRADIENT = ("mage", "male", "msge")


def image(*rows, dtype=torch.float64) -> Tensor:
    """Return (1, 1, H, W)."""
    return torch.tensor(rows, dtype=dtype)[None, None]


def everywhere(like: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool)


def random_case(seed=0, shape=(3, 1, 17, 22), dtype=torch.float64, valid=0.85) -> tuple[Tensor, Tensor, Tensor]:
    """Return predicted, target and a mask with a hole, scattered gaps and, in the last image, a large void."""
    generator = torch.Generator().manual_seed(seed)
    predicted, target, chance = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    mask = chance < valid
    mask[0, :, 3:7, 5:11] = False
    mask[-1, :, :, : shape[-1] // 2] = False
    return predicted.to(dtype), target.to(dtype), mask


def test_the_registry_names_every_loss():
    assert set(LOSSES) == {
        *("mae", "trimmed_mae", "mse", "log_mae", "abs_rel", "mage", "male", "msge"),
        *("ssi_mae", "ssi_trimmed_mae", "ssi_mage"),
    }
    assert all(LOSSES[name] is getattr(losses, name) for name in LOSSES)


# -- hand-computed values


@pytest.mark.parametrize(("name", "value"), [("mae", 2.0), ("mse", 14 / 3)])
def test_plain_errors_of_three_pixels(name, value):
    predicted, target = image([1.0, 5.0, 3.0, 9.0]), image([2.0, 3.0, 6.0, 0.0])
    mask = torch.tensor([[[[True, True, True, False]]]])
    assert LOSSES[name](predicted, target, mask).item() == pytest.approx(value, rel=1e-14)


def test_images_count_alike_whatever_their_valid_pixels():
    predicted = torch.tensor([[1.0, 1.0, 1.0, 1.0], [4.0, 0.0, 0.0, 0.0], [7.0, 7.0, 7.0, 7.0]]).view(3, 1, 2, 2)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).view(3, 1, 2, 2) > 0
    assert losses.mae(predicted, torch.zeros(3, 1, 2, 2), mask).item() == 2.5  # (1 + 4) / 2; the third does not count


@pytest.mark.parametrize(("pixels", "dropped"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (35, 7), (100, 20)])
def test_trimming_drops_a_fifth_of_the_valid_pixels(pixels, dropped):
    errors = torch.randperm(pixels, generator=torch.Generator().manual_seed(1)).double()  # 0 .. pixels - 1
    predicted = torch.cat([errors, torch.full((7,), 1e6, dtype=torch.float64)]).view(1, 1, 1, -1).requires_grad_()
    mask = (torch.arange(pixels + 7) < pixels).view(1, 1, 1, -1)
    loss = losses.trimmed_mae(predicted, torch.full_like(predicted, -1.0), mask)
    kept = pixels - dropped
    assert loss.item() == pytest.approx(sum(range(1, kept + 1)) / kept, rel=1e-14)
    loss.backward()
    assert (predicted.grad != 0).sum().item() == kept
    assert not predicted.grad[predicted >= kept].any()


def test_trimming_keeps_the_count_among_equal_errors():
    predicted = torch.full((1, 1, 2, 5), 3.0, dtype=torch.float64, requires_grad=True)
    loss = losses.trimmed_mae(predicted, torch.zeros_like(predicted), everywhere(predicted))
    loss.backward()
    assert loss.item() == 3.0
    assert sorted(predicted.grad.flatten().tolist()) == [0.0] * 2 + [1 / 8] * 8


def test_the_logarithm_goes_on_as_its_tangent():
    predicted, target = image([math.e, 1e-3, 0.0, -1e-3]), image([1.0, 1.0, 1e-3, 1e-3])
    predicted.requires_grad_()
    loss = losses.log_mae(predicted, target, everywhere(target))
    assert loss.item() == pytest.approx((1 + math.log(1e3) + 1 + 2) / 4, rel=1e-12)
    loss.backward()
    np.testing.assert_allclose(predicted.grad.flatten(), [0.25 / math.e, -250, -250, -250], rtol=1e-12)


def test_the_relative_error_is_that_of_the_depth():
    predicted, target = image([0.5, 0.2, 0.0, 0.4]), image([0.25, 0.25, 2e-3, 0.0])  # depths 2 4, 5 4, sky last
    predicted.requires_grad_()
    loss = losses.abs_rel(predicted, target, everywhere(target))
    assert loss.item() == pytest.approx((0.5 + 0.25 + 1 + 1) / 4, rel=1e-12)  # below 1e-3 the prediction counts as 1e-3
    loss.backward()
    np.testing.assert_allclose(predicted.grad.flatten(), [0.25 / 0.5**2 / 4, -0.25 / 0.2**2 / 4, 0, 0], rtol=1e-12)


def test_normalisation_of_five_pixels():
    values = image([1.0, 2.0, 4.0, 8.0, 10.0, math.nan])
    mask = torch.tensor([[[[True] * 5 + [False]]]])
    # median 4, deviations 3 2 0 4 6, their mean 3
    np.testing.assert_allclose(
        losses.ssi_normalise(values, mask).flatten(), [-1, -2 / 3, 0, 4 / 3, 2, 0], rtol=1e-14, atol=0
    )


def test_the_median_of_an_even_number_is_the_lower_of_the_middle_two():
    values = image([1.0, 2.0, 5.0, 8.0])  # median 2, deviations 1 0 3 6, their mean 2.5
    np.testing.assert_allclose(losses.ssi_normalise(values, everywhere(values)).flatten(), [-0.4, 0, 1.2, 2.4])


def test_a_flat_map_is_not_blown_up():
    values = torch.full((1, 1, 4, 4), 0.7)
    assert not losses.ssi_normalise(values, everywhere(values)).any()


# -- independence, invariance, gradients


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masked_pixels_influence_neither_value_nor_gradient(name, dtype):
    predicted, target, mask = random_case(dtype=dtype, shape=(3, 1, 64, 70))
    mask[1] = False
    results = []
    for filled in (0.5, 1e9, -1e9, math.nan, math.inf, -math.inf):
        mine = torch.where(mask, predicted, filled).requires_grad_()
        loss = LOSSES[name](mine, torch.where(mask, target, filled), mask)
        loss.backward()
        results.append((loss.detach(), mine.grad))
    for loss, gradient in results:
        assert torch.isfinite(loss) and loss > 0
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])
        assert not gradient[~mask].any()
        assert torch.isfinite(gradient).all() and gradient[mask].any()


@pytest.mark.parametrize("name", LOSSES)
def test_without_a_valid_pixel_the_loss_is_zero_and_keeps_the_graph(name):
    predicted = torch.full((2, 1, 9, 9), math.nan, requires_grad=True)
    loss = LOSSES[name](predicted, torch.full_like(predicted, math.inf), torch.zeros(2, 1, 9, 9, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(predicted.grad, torch.zeros_like(predicted))


@pytest.mark.parametrize("name", LOSSES)
def test_an_image_without_valid_pixels_changes_nothing(name):
    predicted, target, mask = random_case()
    alone = LOSSES[name](predicted, target, mask)
    beside = [torch.cat([each, torch.zeros_like(each[:1])]) for each in (predicted, target, mask)]
    assert LOSSES[name](*beside).item() == pytest.approx(alone.item(), rel=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    predicted, target, mask = random_case(3, shape=(2, 1, 13, 11))
    if name == "log_mae":
        predicted = predicted - 0.3  # some below the tangent's point
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda values: LOSSES[name](values, target, mask), [predicted], eps=1e-7)


@pytest.mark.parametrize("name", SSI)
@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, -7.5), (0.02, 40.0)])
def test_ssi_losses_are_blind_to_scale_and_shift_of_either_map(name, scale, shift):
    predicted, target, mask = random_case(5)
    loss = LOSSES[name](predicted, target, mask).item()
    assert LOSSES[name](scale * predicted + shift, target, mask).item() == pytest.approx(loss, rel=1e-9)
    assert LOSSES[name](predicted, scale * target + shift, mask).item() == pytest.approx(loss, rel=1e-9)
    assert LOSSES[name](scale * target + shift, target, mask).item() == pytest.approx(0, abs=1e-9)
    assert LOSSES[name](-predicted, target, mask).item() != pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize("name", GRADIENT)
def test_gradient_losses_are_blind_to_a_constant_and_scale_with_the_error(name):
    predicted, target, mask = random_case(6)
    loss = LOSSES[name](predicted, target, mask).item()
    assert LOSSES[name](predicted + 12.5, target, mask).item() == pytest.approx(loss, rel=1e-9)
    assert LOSSES[name](target + 12.5, target, mask).item() == pytest.approx(0, abs=1e-9)
    doubled = LOSSES[name](2 * predicted, 2 * target, mask).item()
    assert doubled == pytest.approx((4 if name == "msge" else 2) * loss, rel=1e-12)


def test_log_mae_of_a_factor_is_its_logarithm():
    _, target, mask = random_case(7)
    target = target + 0.1
    assert losses.log_mae(3 * target, target, mask).item() == pytest.approx(math.log(3), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_and_autocast_count_in_float32(name):
    predicted, target, mask = random_case(8, shape=(2, 1, 24, 24), dtype=torch.bfloat16)
    expected = LOSSES[name](predicted.float(), target.float(), mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](predicted, target, mask)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_nan_at_a_valid_pixel_is_not_hidden(name):
    predicted, target, _ = random_case(9)
    predicted[0, 0, 8, 8] = math.nan
    assert LOSSES[name](predicted, target, everywhere(target)).isnan()


# -- refusals


@pytest.mark.parametrize("name", LOSSES)
def test_maps_of_different_sizes_are_refused(name):
    with pytest.raises(ConfigurationError, match=r"\(1, 1, 8, 8\), \(1, 1, 8, 9\).*shrink the target"):
        LOSSES[name](torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9), torch.zeros(1, 1, 8, 8) == 0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_mask_of_numbers_is_refused(name):
    with pytest.raises(ConfigurationError, match="mask is torch.float32"):
        LOSSES[name](torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
