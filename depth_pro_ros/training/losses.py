"""The losses of Depth Pro's training on canonical inverse depth (arXiv:2410.02073, section 3.2).

Every loss takes `predicted` and `target`, (B, 1, H, W) float, and `mask`, (B, 1, H, W) bool, and returns a scalar: the
mean over those images that have any valid pixel; 0 with zero gradients when none has. Half precision is computed in
float32. What lies under a masked pixel, NaN and inf included, changes neither value nor gradient, and a masked
prediction's gradient is exactly 0. A NaN at a valid pixel makes the loss NaN. The paper gives no weights; the
curriculum does.

The canonical target is C = focal_px / (width_px * depth_m), 0 for the sky.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training.derivatives import derivative_error, laplace, scharr

TRIMMED_SHARE = 0.2  # of an image's valid pixels, those of the largest errors (section 3.2: real data)
LEAST_DEVIATION = 1e-6  # a map flatter than this is not blown up by the normalisation
LOG_FROM = 1e-3  # log_mae: below this canonical inverse depth the logarithm goes on as its tangent

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def mae(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute error, 1/N sum |C - C'| (section 3.2)."""
    predicted, target = _valid(predicted, target, mask)
    return _mean((predicted - target).abs(), mask)


def trimmed_mae(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute error without each image's worst pixels (section 3.2).

    Of n valid pixels floor(0.2 n) are left out; among equal errors at the limit it does not matter which.
    """
    predicted, target = _valid(predicted, target, mask)
    return _trimmed_mean((predicted - target).abs(), mask)


def mse(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error (Tables 12 and 17, stage 2)."""
    predicted, target = _valid(predicted, target, mask)
    return _mean((predicted - target).square(), mask)


def log_mae(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of |g(predicted) - g(target)|, where g is the logarithm that goes on straight below 1e-3.

    Not in the paper. The error is relative, so near and far count alike, and g's slope of 1000 below 1e-3 still pulls
    back outputs that are zero or negative, where the logarithm has none.
    """
    predicted, target = _valid(predicted, target, mask)
    return _mean((_log_or_tangent(predicted) - _log_or_tangent(target)).abs(), mask)


def abs_rel(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean relative error of the depth, |D' - D| / D = |C / C' - 1|, with C' at least 1e-3.

    Not in the paper. Depth that is too large costs more than depth that is too small: beside `log_mae`, which is
    content with the median, it makes a network that is unsure stay on the near side. Sky (C = 0) has no gradient.
    """
    predicted, target = _valid(predicted, target, mask)
    return _mean(torch.where(mask, target / predicted.clamp(min=LOG_FROM) - 1, 0).abs(), mask)


def mage(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute gradient error: Scharr, p = 1, 6 scales (section 3.2; formula in derivatives)."""
    predicted, target = _valid(predicted, target, mask)
    return derivative_error(predicted - target, mask, scharr, power=1)


def male(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute Laplace error: Laplace, p = 1, 6 scales (section 3.2; formula in derivatives)."""
    predicted, target = _valid(predicted, target, mask)
    return derivative_error(predicted - target, mask, laplace, power=1)


def msge(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared gradient error: Scharr, p = 2, 6 scales (section 3.2; formula in derivatives)."""
    predicted, target = _valid(predicted, target, mask)
    return derivative_error(predicted - target, mask, scharr, power=2)


def ssi_mae(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return `mae` of the normalised maps: blind to a positive scale and a shift of either."""
    return mae(*_normalised(predicted, target, mask), mask)


def ssi_trimmed_mae(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return `trimmed_mae` of the normalised maps: blind to a positive scale and a shift of either."""
    return trimmed_mae(*_normalised(predicted, target, mask), mask)


def ssi_mage(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return `mage` of the normalised maps: blind to a positive scale and a shift of either."""
    return mage(*_normalised(predicted, target, mask), mask)


def ssi_normalise(values: Tensor, mask: Tensor) -> Tensor:
    """Return (values - median) / mean |values - median|, both of each image's valid pixels; 0 at the others.

    Section 3.2, after the scale- and shift-invariant losses of Ranftl et al. (arXiv:1907.01341). The median of an even
    number of pixels is the lower of the middle two (torch's), which a positive scale and a shift carry along.
    `values` (B, 1, H, W). A map whose deviation is below 1e-6 is divided by 1e-6 instead.
    """
    _check(values, values, mask)
    values = _at_least_single(values)
    count = mask.sum(dim=(1, 2, 3))
    median = torch.where(mask, values, torch.nan).flatten(1).nanmedian(dim=1).values
    median = torch.where(count > 0, median, 0)
    centred = torch.where(mask, values, 0) - median[:, None, None, None]
    centred = torch.where(mask, centred, 0)
    deviation = centred.abs().sum(dim=(1, 2, 3)) / count.clamp(min=1)
    return centred / deviation.clamp(min=LEAST_DEVIATION)[:, None, None, None]


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        loss.__name__: loss
        for loss in (mae, trimmed_mae, mse, log_mae, abs_rel, mage, male, msge, ssi_mae, ssi_trimmed_mae, ssi_mage)
    }
)


def _valid(predicted: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps with 0 at masked pixels, so that nothing stored there enters any arithmetic."""
    _check(predicted, target, mask)
    predicted = _at_least_single(predicted)
    return torch.where(mask, predicted, 0), torch.where(mask, target.to(predicted.dtype), 0)


def _normalised(predicted: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps normalised, each by its own median and deviation."""
    _check(predicted, target, mask)
    return ssi_normalise(predicted, mask), ssi_normalise(target, mask)


def _check(predicted: Tensor, target: Tensor, mask: Tensor) -> None:
    shapes = [tuple(each.shape) for each in (predicted, target, mask)]
    if predicted.ndim != 4 or predicted.shape[1] != 1 or len(set(shapes)) > 1:
        raise ConfigurationError(
            f"predicted, target and mask are {shapes[0]}, {shapes[1]} and {shapes[2]}; "
            "a loss takes three tensors of one shape (B, 1, H, W): shrink the target to the prediction first"
        )
    if mask.dtype != torch.bool:
        raise ConfigurationError(f"the mask is {mask.dtype}; a loss takes torch.bool, True where valid: compare first")


def _at_least_single(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _mean(error: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over images of the mean over valid pixels; `error` is 0 at the others."""
    count = mask.sum(dim=(1, 2, 3))
    images = (count > 0).sum().clamp(min=1)
    return (error.sum(dim=(1, 2, 3)) / count.clamp(min=1)).sum() / images


def _trimmed_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over images of the mean over the valid pixels of the smallest errors."""
    images = [each[valid] for each, valid in zip(error, mask, strict=True)]
    means = [_mean_of_smallest(each) for each in images if len(each)]
    return torch.stack(means).mean() if means else error.sum() * 0


def _mean_of_smallest(errors: Tensor) -> Tensor:
    """Return the mean of (N,) errors without the largest share; not finite if any error is not."""
    kept = len(errors) - int(TRIMMED_SHARE * len(errors))
    return errors.topk(kept, largest=False, sorted=False).values.mean() + 0 * errors.sum()


def _log_or_tangent(values: Tensor) -> Tensor:
    """Return log(values) where they exceed LOG_FROM, its tangent at LOG_FROM below: smooth once, increasing, finite."""
    above = values > LOG_FROM
    logarithm = torch.where(above, values, LOG_FROM).log()
    return torch.where(above, logarithm, logarithm + values / LOG_FROM - 1)
