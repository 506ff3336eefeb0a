"""The usual errors of a depth map against the truth (Eigen et al., NIPS 2014), with and without alignment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError, ImageError

DELTA = 1.25
ALIGNMENTS = ("none", "scale", "scale_shift")
FLAT = 1e-6  # relative standard deviation of inverse depth below which a prediction shows no structure to scale


@dataclass(frozen=True)
class DepthMetrics:
    """Errors over the `pixels` whose truth is known; p is the predicted depth, t the truth.

    abs_rel: mean |p - t| / t. rmse_m: root of the mean (p - t)^2, metres. log10: mean |log10 p - log10 t|.
    delta1, 2, 3: share of pixels with max(p / t, t / p) < 1.25, 1.25^2, 1.25^3.
    si_log: standard deviation of ln p - ln t, which a scale does not change (Eigen's scale-invariant error, lambda 1,
    its root, without KITTI's factor 100).
    """

    abs_rel: float
    rmse_m: float
    log10: float
    delta1: float
    delta2: float
    delta3: float
    si_log: float
    pixels: int


def depth_metrics(
    predicted_m: np.ndarray,
    truth_m: np.ndarray,
    mask: np.ndarray | None = None,
    max_depth_m: float | None = None,
    align: str = "none",
) -> DepthMetrics:
    """Return the errors of `predicted_m` (h, w) against `truth_m` (H, W), both in metres.

    Pixels count where `known` says so. A prediction of another size is resized bilinearly to the truth's. See
    `aligned_depth` for `align` and for what `max_depth_m` does to predictions. Raises ImageError when no pixel is
    known, or where one is and the prediction is NaN, infinite, zero or negative.
    """
    valid = known(truth_m, mask, max_depth_m)
    predicted = aligned_depth(predicted_m, truth_m, align, mask, max_depth_m)[valid]
    if np.isinf(predicted).any():
        raise ImageError(
            f"the prediction is +inf at {np.isinf(predicted).sum()} pixels whose truth is finite; "
            "give max_depth_m, which caps both, or leave these pixels out by the mask"
        )
    truth = np.asarray(truth_m, np.float64)[valid]
    log_ratio = np.log(predicted / truth)
    factor = np.maximum(predicted / truth, truth / predicted)
    delta1, delta2, delta3 = (float(np.mean(factor < DELTA**power)) for power in (1, 2, 3))
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(predicted - truth) / truth)),
        rmse_m=float(np.sqrt(np.mean((predicted - truth) ** 2))),
        log10=float(np.mean(np.abs(log_ratio)) / np.log(10)),
        delta1=delta1,
        delta2=delta2,
        delta3=delta3,
        si_log=float(np.std(log_ratio)),
        pixels=truth.size,
    )


def mean_metrics(images: Iterable[DepthMetrics]) -> DepthMetrics:
    """Return the mean over images, each counting alike, and the sum of their pixels."""
    rows = np.array([astuple(each) for each in images], np.float64)
    if not len(rows):
        raise ConfigurationError("there are no images to take the mean of; evaluate at least one")
    return replace(DepthMetrics(*rows.mean(axis=0).tolist()), pixels=int(rows[:, -1].sum()))


def known(truth_m: np.ndarray, mask: np.ndarray | None = None, max_depth_m: float | None = None) -> np.ndarray:
    """Return (H, W) bool: where the truth is finite and positive, at most `max_depth_m`, and `mask` is True."""
    truth = _image(truth_m, "truth_m")
    if max_depth_m is not None and not max_depth_m > 0:
        raise ConfigurationError(f"max_depth_m is {max_depth_m}; it is a positive number of metres, or None for no cap")
    valid = np.isfinite(truth) & (truth > 0)
    if max_depth_m is not None:
        valid &= truth <= max_depth_m
    if mask is None:
        return valid
    if np.shape(mask) != truth.shape or np.asarray(mask).dtype != bool:
        raise ImageError(
            f"the mask is {np.asarray(mask).dtype} of {np.shape(mask)}; it must be bool of the size {truth.shape}"
        )
    return valid & mask


def aligned_depth(
    predicted_m: np.ndarray,
    truth_m: np.ndarray,
    align: str = "none",
    mask: np.ndarray | None = None,
    max_depth_m: float | None = None,
) -> np.ndarray:
    """Return the prediction in the truth's size, (H, W) float64 metres, after a fit to the known pixels.

    "none" fits nothing. "scale" multiplies by the median of truth / prediction. "scale_shift" is the affine-invariant
    protocol of MiDaS (Ranftl et al., arXiv:1907.01341): the s and b of the least squares of s / p + b - 1 / t; the
    aligned inverse depth is kept above that of `max_depth_m` or, without one, of the deepest known truth. s is not
    held positive, and a prediction without structure becomes the mean inverse depth. `max_depth_m` caps the result,
    +inf included, in every mode.
    """
    if align not in ALIGNMENTS:
        raise ConfigurationError(f"align is '{align}'; it is one of {', '.join(ALIGNMENTS)}")
    truth, valid = np.asarray(truth_m, np.float64), known(truth_m, mask, max_depth_m)
    if not valid.any():
        raise ImageError(
            f"none of the truth's {truth.size} pixels is known (finite, positive, below the cap, in the mask); "
            "leave this image out, or check its unit"
        )
    predicted = _resized(_image(predicted_m, "predicted_m"), truth.shape)
    _check_prediction(predicted[valid])
    if align == "scale":
        predicted = predicted * np.median(truth[valid] / predicted[valid])
    elif align == "scale_shift":
        predicted = _scaled_and_shifted(predicted, truth, valid, max_depth_m or truth[valid].max())
    return predicted if max_depth_m is None else np.minimum(predicted, max_depth_m)


def _scaled_and_shifted(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray, deepest_m: float) -> np.ndarray:
    """Return depth whose inverse s / p + b is nearest to the truth's inverse, limited to `deepest_m`."""
    with np.errstate(divide="ignore"):  # unknown pixels may hold 0
        inverse = 1 / predicted
    q, z = inverse[valid], 1 / truth[valid]
    variance = np.mean((q - q.mean()) ** 2)
    flat = variance <= (FLAT * q.mean()) ** 2
    scale = 0.0 if flat else np.mean((q - q.mean()) * (z - z.mean())) / variance
    fitted = z.mean() + scale * (inverse - q.mean()) if not flat else np.full_like(inverse, z.mean())
    return 1 / np.maximum(fitted, 1 / deepest_m)


def _check_prediction(predicted: np.ndarray) -> None:
    unusable = np.count_nonzero(~(predicted > 0))
    if unusable:
        raise ImageError(
            f"the prediction is NaN, zero or negative at {unusable} of {predicted.size} pixels whose truth is known; "
            "predict positive metres there, or leave these pixels out by the mask"
        )


def _resized(predicted: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the depth map resized bilinearly to `shape`, pixel centres at integers, no antialiasing."""
    if predicted.shape == shape:
        return predicted
    if not np.isfinite(predicted).all():
        raise ImageError(
            f"the prediction of {predicted.shape} has no finite depth at {np.count_nonzero(~np.isfinite(predicted))} "
            f"pixels, which a resize to the truth's {shape} would spread; predict at the truth's size"
        )
    return cv2.resize(predicted, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _image(values: np.ndarray, name: str) -> np.ndarray:
    """Return a 2-D array as float64, or raise ImageError."""
    image = np.asarray(values, np.float64)
    if image.ndim != 2 or not image.size:
        raise ImageError(f"{name} has the shape {image.shape}; it must be (H, W) in metres, with pixels")
    return image
