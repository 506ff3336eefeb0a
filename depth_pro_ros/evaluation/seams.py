"""Seams: whether depth changes faster where the patches of the network's pyramid meet than elsewhere.

Depth Pro encodes 5 x 5 overlapping patches of the whole resolution and 3 x 3 of half of it, and joins their tokens as
`network.encoder.merge` says: of each inner side of a patch an eighth, or at half resolution a quarter, is cut off.
With patches a quarter of the image wide the joints lie at 7, 13, 19, 25 and at 12, 20 of 32 parts, whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import ImageError

PARTS = 32
JOINTS = (7, 12, 13, 19, 20, 25)  # fine: 7 + 6 k, k = 0..3; middle: 12 + 8 k, k = 0, 1
BAND = 0.25  # of a part to either side of a joint counts as the joint: the decoder smooths what the encoder joins
MARGIN = 1.0  # parts along the image's edge count nowhere: every convolution bends depth there
FLAT = 1e-3  # relative second difference of inverse depth below which the truth is one plane
CLEAR = 0.5  # parts that a plane's pixel keeps from anything else


@dataclass(frozen=True)
class SeamSums:
    """Sums of |d ln depth| across joints and elsewhere, and from how many pairs of neighbours."""

    joint: float
    joint_pairs: int
    elsewhere: float
    elsewhere_pairs: int

    @property
    def ratio(self) -> float:
        """Return the mean gradient at joints over that elsewhere, 1 without seams; NaN where one cannot be told."""
        if not (self.joint_pairs and self.elsewhere_pairs and self.elsewhere):
            return float("nan")
        return self.joint / self.joint_pairs / (self.elsewhere / self.elsewhere_pairs)


def seam_sums(predicted_m: np.ndarray, truth_m: np.ndarray | None = None) -> SeamSums:
    """Return the gradients of ln `predicted_m` (H, W), metres, across joints and elsewhere.

    The picture shows nothing but one smooth wall; or `truth_m` (H, W), free of noise, says where there are planes and
    how depth truly changes on them: then the gradient of ln(prediction / truth) counts, on planes only.
    """
    predicted = np.asarray(predicted_m, np.float64)
    if predicted.ndim != 2 or min(predicted.shape) < PARTS or not (predicted > 0).all():
        raise ImageError(
            f"the prediction is of shape {predicted.shape}, or not positive everywhere; seams need (H, W) metres of "
            f"at least {PARTS} pixels a side"
        )
    log, counts = np.log(predicted), np.isfinite(predicted)
    if truth_m is not None:
        if np.shape(truth_m) != predicted.shape:
            raise ImageError(f"the prediction is {predicted.shape}, the truth {np.shape(truth_m)}: predict at its size")
        counts &= planar(truth_m)
        log = log - np.log(np.where(counts, truth_m, 1.0))
    across, down = _sums(log, counts), _sums(log.T, counts.T)
    return total(SeamSums(*sums) for sums in (across, down))


def total(images: Iterable[SeamSums]) -> SeamSums:
    """Return the sums over images."""
    sums = [(each.joint, each.joint_pairs, each.elsewhere, each.elsewhere_pairs) for each in images]
    return SeamSums(*(sum(column) for column in zip((0.0, 0, 0.0, 0), *sums, strict=True)))


def _sums(log: np.ndarray, counts: np.ndarray) -> tuple[float, int, float, int]:
    """Return a SeamSums' numbers for joints that run down the image, (H, W) each."""
    width = log.shape[1]
    place = np.arange(1, width) * PARTS / width  # of the edge between pixels k - 1 and k
    joint = (np.abs(place[:, None] - JOINTS) <= BAND).any(axis=1)
    inside = (place >= MARGIN) & (place <= PARTS - MARGIN)
    rows = slice(round(MARGIN * len(log) / PARTS), round((PARTS - MARGIN) * len(log) / PARTS))
    pairs = (counts[:, 1:] & counts[:, :-1])[rows] & inside
    log = np.where(counts, log, 0.0)[rows]
    step = np.where(pairs, np.abs(np.diff(log, axis=1)), 0.0)
    at, away = (step[:, which].sum() for which in (joint, ~joint))
    return float(at), int(pairs[:, joint].sum()), float(away), int(pairs[:, ~joint].sum())


def planar(truth_m: np.ndarray) -> np.ndarray:
    """Return (H, W) bool: where the truth is one plane around, whose inverse depth is linear in the image."""
    truth = np.asarray(truth_m, np.float64)
    known = np.isfinite(truth) & (truth > 0)
    inverse = 1 / np.where(known, truth, 1.0)
    bent = ~known
    for axis in (0, 1):
        bend = np.abs(np.diff(inverse, 2, axis=axis))
        middle = (slice(1, -1), slice(None))[:: 1 if axis == 0 else -1]
        bent[middle] |= bend > FLAT * inverse[middle]
    reach = max(1, round(CLEAR * max(truth.shape) / PARTS))
    return cv2.dilate(bent.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) == 0


def smooth_wall(side: int, seed: int) -> np.ndarray:
    """Return a photo (side, side, 3) uint8 RGB of nothing but a painted wall: soft light, faint stains, faint grain."""
    generator = np.random.default_rng(seed)
    x, y = np.meshgrid(*(np.linspace(-1, 1, side),) * 2)
    lamp = generator.uniform(-1.5, 1.5, 2)
    light = 1 / (1 + generator.uniform(0.05, 0.4) * ((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2))
    stains = cv2.resize(generator.normal(0, 0.02, (6, 6)), (side, side), interpolation=cv2.INTER_CUBIC)
    paint = generator.uniform(110, 220) * generator.uniform(0.9, 1.0, 3)
    grain = generator.normal(0, 1.5, (side, side, 1))
    return np.clip(paint * (light * (1 + stains))[..., None] + grain, 0, 255).astype(np.uint8)
