"""Several photos through the network at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.cli.predict_video import is_video
from depth_pro_ros.errors import CalibrationError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap


def in_groups(items: Sequence[tuple[Path, str]], batch: int) -> Iterator[list[tuple[Path, str]]]:
    """Yield (path, name) of up to `batch` photos that follow each other, and each video alone; the order is kept."""
    group: list[tuple[Path, str]] = []
    for item in items:
        video = is_video(item[0])
        if group and (video or len(group) == batch):
            yield group
            group = []
        if video:
            yield [item]
        else:
            group.append(item)
    if group:
        yield group


def infer(
    predictor: Any,
    images: Sequence[np.ndarray],
    focals_px: Sequence[float | None],
    note: Callable[[str], None],
) -> list[DepthMap | CalibrationError | InferenceError]:
    """Return the depth of each image, or why it has none.

    Several go through the network at once; where that fails they are tried one by one, so that no photo suffers from
    another, nor from a batch too large for the memory.
    """
    if len(images) > 1:
        sizes = [(rgb.shape[1], rgb.shape[0]) for rgb in images]
        pairs = zip(sizes, focals_px, strict=True)
        try:
            cameras = [None if focal is None else pinhole.centred(*size, focal) for size, focal in pairs]
            return predictor.predict_batch(images, cameras, estimate_focal=True)
        except (CalibrationError, InferenceError) as error:
            note(f"{len(images)} photos at once failed ({error}): they are tried one by one")
    results = []
    for rgb, focal_px in zip(images, focals_px, strict=True):
        try:
            results.append(predictor.predict(rgb, focal_px=focal_px, estimate_focal=True))
        except (CalibrationError, InferenceError) as error:
            results.append(error)
    return results
