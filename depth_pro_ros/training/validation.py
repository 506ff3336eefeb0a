"""How good the averaged weights are on scenes that are never trained on, at the level being trained."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.evaluation import DepthMetrics, depth_metrics, mean_metrics
from depth_pro_ros.network import DepthPro
from depth_pro_ros.training import pyramid
from depth_pro_ros.training.augment import COLUMNS, prepare
from depth_pro_ros.training.curriculum import NO_AUGMENTATION, Stage
from depth_pro_ros.training.data import Batch, Source
from depth_pro_ros.training.stepping import Compute

AT_ONCE = 8
FIGURES = ("delta1", "abs_rel", "log10", "si_log")  # those that do not change with the unit of depth
PICTURES = 4
SMALLEST = 1e-4  # canonical inverse depth below this counts as this: inference clamps there too
ERROR_RED = 0.5  # relative error that is drawn in full red


@torch.no_grad()
def validate(
    network: DepthPro, stage: Stage, source: Source, count: int, compute: Compute
) -> tuple[dict[str, float], np.ndarray | None]:
    """Return the mean figures over `count` images of `source`, and a picture of the first few (depth stages).

    Depth stages: figures of FIGURES with the focal length given, sky left out. Field-of-view stages:
    median and 90th percentile of the absolute error in degrees.
    """
    if stage.target == "fov":
        errors = [
            (pyramid.fov(network, batch.image).float().cpu() - batch.fov_deg.cpu()).abs()
            for batch in validation_batches(network, stage.level, source, count, compute)
        ]
        error = torch.cat(errors)
        return {"fov_median_error_deg": float(error.median()), "fov_p90_error_deg": float(error.quantile(0.9))}, None
    figures: list[DepthMetrics | None] = []
    rows: list[np.ndarray] = []
    for batch in validation_batches(network, stage.level, source, count, compute):
        with compute.running():
            predicted = pyramid.forward(network, batch.image, stage.level, stage.tied).float().clamp_min(SMALLEST)
        target, mask = pyramid.shrink_target(batch.canonical, batch.mask, predicted.shape[-1])
        figures += [_figures(*one) for one in zip(predicted, target, mask, strict=True)]
        if len(rows) < PICTURES:
            rows += [_row(*one) for one in zip(batch.image, predicted, target, mask, strict=True)]
    mean = mean_metrics([one for one in figures if one is not None])
    return {name: getattr(mean, name) for name in FIGURES}, np.concatenate(rows[:PICTURES])


def validation_batches(
    network: DepthPro, level: str, source: Source, count: int, compute: Compute
) -> Iterator[Batch]:
    """Yield the first `count` images of `source` at the size that `level` takes, as they are, a few at a time."""
    side = pyramid.input_side(network.config, level)
    count = count if source.size is None else min(count, source.size)
    for start in range(0, count, AT_ONCE):
        raw = source.read(np.arange(start, min(start + AT_ONCE, count)))
        prepared = prepare(raw, torch.zeros(len(raw.rgb), COLUMNS), NO_AUGMENTATION, side)
        yield Batch(*prepared, (("validation", 0, len(raw.rgb)),)).to(compute.device)


def _figures(predicted: Tensor, target: Tensor, mask: Tensor) -> DepthMetrics | None:
    """Return one image's figures, or None when none of its pixels counts.

    Depths are 1 / canonical: with the focal length given the factor f_x / w is in both and only ratios matter.
    """
    predicted_m, truth_m = (1 / x[0].clamp_min(SMALLEST).double().cpu().numpy() for x in (predicted, target))
    counts = (mask & (target > SMALLEST))[0].cpu().numpy()
    return depth_metrics(predicted_m, truth_m, counts) if counts.any() else None


def _row(image: Tensor, predicted: Tensor, target: Tensor, mask: Tensor) -> np.ndarray:
    """Return photo, prediction, truth and error side by side, (o, 4 o, 3) uint8 RGB."""
    predicted, target, mask = (x[0].float().cpu().numpy() for x in (predicted, target, mask))
    side = predicted.shape[0]
    photo = ((image.cpu().numpy().transpose(1, 2, 0) + 1) * 127.5).clip(0, 255).astype(np.uint8)
    high = max(float(np.quantile(target, 0.98)), SMALLEST)
    error = np.where((target > SMALLEST) & (mask > 0), np.abs(target / predicted - 1) / ERROR_RED, 0.0)
    panels = (_coloured(predicted / high), _coloured(target / high), _coloured(error))
    return np.concatenate([cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA), *panels], axis=1)


def _coloured(shares: np.ndarray) -> np.ndarray:
    levels = (np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
