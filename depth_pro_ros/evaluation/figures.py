"""All figures of one image, and those of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.evaluation import ranges, seams
from depth_pro_ros.evaluation.boundary import boundary_f1, boundary_recall
from depth_pro_ros.evaluation.depth import ALIGNMENTS, DepthMetrics, aligned_depth, depth_metrics, known, mean_metrics
from depth_pro_ros.evaluation.focal import FocalMetrics, focal_metrics
from depth_pro_ros.evaluation.ranges import RangeErrors, range_errors
from depth_pro_ros.evaluation.rgbd import Sample
from depth_pro_ros.evaluation.seams import SeamSums, seam_sums
from depth_pro_ros.geometry import pinhole

FARTHEST_M = 1000.0  # a prediction beyond counts as this: errors need finite numbers
DENSE = 0.5  # share of known pixels below which a truth (lidar's) has too few neighbours to show its boundaries
OTHER_FOCAL = "other focal"


@dataclass(frozen=True)
class Focal:
    """A focal length in pixels of the photo, estimated, and the true one; with the fields of view's difference."""

    estimated_px: float
    true_px: float
    fov_error_deg: float


@dataclass(frozen=True, eq=False)
class ImageFigures:
    """The figures of one image; what its truth does not allow (nothing but sky, or beyond the cap) is None or empty.

    `depth` has one entry for each alignment, and OTHER_FOCAL: without alignment, at the focal length (given or
    estimated) that was not chosen. `ranges` has one for each alignment.
    """

    name: str
    depth: Mapping[str, DepthMetrics]
    ranges: Mapping[str, RangeErrors]
    boundary_f1: float | None
    boundary_recall: float | None
    focal: Focal | None
    seams: SeamSums | None


@dataclass(frozen=True, eq=False)
class SetFigures:
    """The means over images, each counting alike (`ranges` and `seams`: sums over pixels)."""

    images: int
    depth: Mapping[str, DepthMetrics]
    ranges: Mapping[str, RangeErrors]
    boundary_f1: float | None
    boundary_recall: float | None
    focal: FocalMetrics | None
    fov_median_error_deg: float | None
    seams: SeamSums | None


def image_figures(
    sample: Sample,
    predicted_m: np.ndarray,
    estimated_px: float | None,
    used_px: float,
    max_depth_m: float | None = None,
    exact: bool = False,
) -> ImageFigures:
    """Return the figures of `predicted_m` (H, W), metres, made with the focal length `used_px`.

    `estimated_px` is what the network believes. Depth is proportional to the focal length, so the prediction at the
    other one of true and estimated needs no second pass. `exact` says that the truth is without noise: then
    seams are looked for on its planes.
    """
    predicted = np.minimum(np.asarray(predicted_m, np.float64), FARTHEST_M)
    focal = _focal(sample, estimated_px)
    truth = sample.depth_m
    depth, by_range = {}, {}
    if truth is not None and (valid := known(truth, None, max_depth_m)).any():
        for align in ALIGNMENTS:
            depth[align] = depth_metrics(predicted, truth, None, max_depth_m, align)
            by_range[align] = range_errors(aligned_depth(predicted, truth, align, None, max_depth_m), truth, valid)
        if focal is not None:
            other = focal.true_px if used_px == estimated_px else focal.estimated_px
            depth[OTHER_FOCAL] = depth_metrics(np.minimum(predicted * (other / used_px), FARTHEST_M), truth, None,
                                               max_depth_m)  # fmt: skip
    return ImageFigures(
        name=sample.name,
        depth=depth,
        ranges=by_range,
        boundary_f1=None if truth is None else _f1(predicted, truth),
        boundary_recall=None if sample.opacity is None else boundary_recall(predicted, sample.opacity),
        focal=focal,
        seams=seam_sums(predicted, truth) if exact and truth is not None else None,
    )


def _focal(sample: Sample, estimated_px: float | None) -> Focal | None:
    if sample.intrinsics is None or estimated_px is None:
        return None
    camera = sample.intrinsics
    angles = (pinhole.fov_from_focal(focal_px, camera.width) for focal_px in (estimated_px, camera.fx))
    return Focal(estimated_px, camera.fx, abs(next(angles) - next(angles)))


def _f1(predicted: np.ndarray, truth: np.ndarray) -> float | None:
    """Return the boundary F1 between known pixels, the sky included; None for a truth that is too sparse."""
    valid = truth > 0
    return boundary_f1(predicted, truth, valid) if valid.mean() >= DENSE else None


def set_figures(images: Sequence[ImageFigures]) -> SetFigures:
    """Return the means of at least one image; what no image has is None or empty."""
    focals = [image.focal for image in images if image.focal]
    rows = (*ALIGNMENTS, OTHER_FOCAL)
    by_row = {row: [image.depth[row] for image in images if row in image.depth] for row in rows}
    return SetFigures(
        images=len(images),
        depth={row: mean_metrics(metrics) for row, metrics in by_row.items() if metrics},
        ranges={a: ranges.total(i.ranges[a] for i in images if a in i.ranges) for a in ALIGNMENTS if by_row[a]},
        boundary_f1=_mean([image.boundary_f1 for image in images]),
        boundary_recall=_mean([image.boundary_recall for image in images]),
        focal=focal_metrics([f.estimated_px for f in focals], [f.true_px for f in focals]) if focals else None,
        fov_median_error_deg=float(np.median([f.fov_error_deg for f in focals])) if focals else None,
        seams=_seams([image.seams for image in images if image.seams]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def _seams(images: Sequence[SeamSums]) -> SeamSums | None:
    return seams.total(images) if images else None
