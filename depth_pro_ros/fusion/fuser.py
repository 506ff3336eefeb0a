"""Depth and cues in, fused depth out: the steps of fusion in their order, and the one state that they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from depth_pro_ros.errors import AlignmentError
from depth_pro_ros.fusion import blend
from depth_pro_ros.fusion import field as smooth
from depth_pro_ros.fusion.alignment import AlignmentSettings, align
from depth_pro_ros.fusion.pairs import Pairs, pair
from depth_pro_ros.fusion.scale_filter import (
    COASTING,
    REFUSED,
    TRACKING,
    ScaleEstimate,
    ScaleFilter,
    ScaleFilterSettings,
)
from depth_pro_ros.records import DepthMap, MetricSamples


@dataclass(frozen=True)
class FusionSettings:
    """What fusion does beyond the factor, and how the factor is found and followed.

    `residual_field` corrects the smooth part of the network's error, `pixel_blend` takes each pixel's mean with a
    dense cue, `fit_samples` bounds how many samples the fits look at, and fused depth beyond `max_range_m` is +Inf.
    """

    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    scale_filter: ScaleFilterSettings = field(default_factory=ScaleFilterSettings)
    residual_field: bool = True
    pixel_blend: bool = True
    fit_samples: int = 2000
    max_range_m: float = math.inf


@dataclass(frozen=True)
class Fused:
    """Depth with metric scale, what is known of its error, and the factor with its health.

    `sigma_relative` (H, W) float32 is the depth's relative standard deviation, NaN where it is not finite. Without a
    factor `depth` is the very object that was given, and `sigma_relative` None since nothing is known of the error.
    """

    depth: DepthMap
    sigma_relative: np.ndarray | None
    factor: ScaleEstimate


class Fuser:
    """Ties predicted depth to metric cues, frame after frame. Not safe for use by two threads at once.

    A cue that cannot be used never raises: the factor's state and reason tell, and depth keeps flowing with the
    older factor or as it came. Malformed samples (arrays of different lengths) raise ImageError.
    """

    def __init__(self, settings: FusionSettings | None = None):
        self._settings = settings or FusionSettings()
        self._filter = ScaleFilter(self._settings.scale_filter)

    def reset(self) -> None:
        """Forget the factor."""
        self._filter.reset()

    def update(self, depth: DepthMap, samples: Sequence[MetricSamples], stamp_ns: int) -> ScaleEstimate:
        """Return the factor after cues that came too late for their frame, whose prediction is `depth`."""
        return self._observe(pair(_inverse(depth.depth_m), samples), stamp_ns)

    def fuse(self, depth: DepthMap, samples: Sequence[MetricSamples], stamp_ns: int) -> Fused:
        """Return the depth fused with the cues of its own frame (none, one, or several)."""
        inverse = _inverse(depth.depth_m)
        pairs = pair(inverse, samples)
        factor = self._observe(pairs, stamp_ns)
        if not factor.known:
            return Fused(depth, None, factor)
        log_inverse = _aligned(inverse, factor)
        edge = blend.edge_sigma(log_inverse)
        variance = np.full_like(log_inverse, factor.sigma_log**2 + factor.residual**2)
        if factor.state == TRACKING:
            log_inverse, variance = self._refined(log_inverse, variance, edge, pairs)
        else:
            variance += edge * edge
        return self._result(depth, log_inverse, variance, factor)

    def _observe(self, pairs: Pairs, stamp_ns: int) -> ScaleEstimate:
        """Return the factor after the cue of one frame, if it has one."""
        if not len(pairs):
            return self._filter.current(stamp_ns, COASTING, "no cue gives a sample where depth is predicted")
        try:
            measured = align(self._thinned(pairs), self._settings.alignment)
        except AlignmentError as error:
            return self._filter.current(stamp_ns, REFUSED, str(error))
        return self._filter.update(measured, stamp_ns)

    def _thinned(self, pairs: Pairs) -> Pairs:
        """Return at most `fit_samples` of the pairs, drawn at random but the same ones for the same number."""
        if len(pairs) <= self._settings.fit_samples:
            return pairs
        return pairs[np.random.default_rng(len(pairs)).integers(len(pairs), size=self._settings.fit_samples)]

    def _refined(
        self, log_inverse: np.ndarray, variance: np.ndarray, edge: np.ndarray, pairs: Pairs
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (log z, its variance) after the smooth field and, with a dense cue, the blend."""
        height, width = log_inverse.shape
        if self._settings.residual_field:
            few = self._thinned(pairs)
            residual = np.log(few.measured_inv) - log_inverse.reshape(-1)[few.pixel]
            found = smooth.fit(few, residual, width, height)
            if found is not None:
                correction, variance = found.spread(log_inverse)
                log_inverse = log_inverse + correction
        if self._settings.pixel_blend and len(pairs) >= blend.MIN_SHARE * log_inverse.size:
            return blend.blend(pairs, log_inverse, variance, edge)
        return log_inverse, variance + edge * edge

    def _result(self, depth: DepthMap, log_inverse: np.ndarray, variance: np.ndarray, factor: ScaleEstimate) -> Fused:
        """Return metres and relative sigma; what was unknown or beyond the range stays so."""
        metres, sigma = cv2.exp(-log_inverse), cv2.sqrt(variance)
        finite = np.isfinite(depth.depth_m)
        if not finite.all():
            metres, sigma = np.where(finite, metres, depth.depth_m), np.where(finite, sigma, np.float32(np.nan))
        beyond = metres > self._settings.max_range_m
        if beyond.any():
            metres[beyond], sigma[beyond] = np.inf, np.nan
        return Fused(replace(depth, depth_m=metres), sigma, factor)


def _inverse(depth_m: np.ndarray) -> np.ndarray:
    """Return inverse depth (H, W) float32, 0 where depth is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.reciprocal(depth_m, dtype=np.float32)
    return cv2.patchNaNs(inverse, 0.0)


def _aligned(inverse: np.ndarray, factor: ScaleEstimate) -> np.ndarray:
    """Return log z (H, W) float32, where pixels without depth stand as far as the farthest that has one."""
    known = inverse > 0
    if not known.all():
        inverse = np.where(known, inverse, inverse[known].min() if known.any() else np.float32(1))
    return cv2.log(inverse * factor.ratio(inverse))
