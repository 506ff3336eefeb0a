"""How good an estimated focal length is (Depth Pro, arXiv:2410.02073, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import ConfigurationError


@dataclass(frozen=True)
class FocalMetrics:
    """Errors over `images`: the median |f - true| / true, and the shares below 25 % and 50 %."""

    median_relative_error: float
    delta25: float
    delta50: float
    images: int


def focal_metrics(estimated_px: Sequence[float], true_px: Sequence[float]) -> FocalMetrics:
    """Return the errors of focal lengths (N,), each pair in pixels of the same image."""
    error = relative_error(estimated_px, true_px)
    return FocalMetrics(
        median_relative_error=float(np.median(error)),
        delta25=float(np.mean(error < 0.25)),
        delta50=float(np.mean(error < 0.5)),
        images=error.size,
    )


def relative_error(estimated_px: Sequence[float], true_px: Sequence[float]) -> np.ndarray:
    """Return |estimated - true| / true of each image, (N,) float64."""
    estimated, true = np.asarray(estimated_px, np.float64), np.asarray(true_px, np.float64)
    if estimated.shape != true.shape or true.ndim != 1 or not true.size:
        raise ConfigurationError(
            f"there are focal lengths of shapes {estimated.shape} estimated and {true.shape} true; give one of each "
            "per image, and at least one image"
        )
    for name, values in (("estimated", estimated), ("true", true)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ConfigurationError(
                f"an {name} focal length is {values[~(np.isfinite(values) & (values > 0))][0]}; "
                "all are positive and finite pixels: leave out images whose focal length is unknown"
            )
    return np.abs(estimated - true) / true
