"""A labelled image: which files it is made of, and what they hold; and whether a data set's units can be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depth_pro_ros.errors import SourceError
from depth_pro_ros.evaluation.camera_files import Camera
from depth_pro_ros.evaluation.rgbd_files import read_depth, read_disparity, read_mask, read_photo
from depth_pro_ros.geometry.stereo import StereoRig
from depth_pro_ros.records import Intrinsics

MILLIMETRES = 1000.0  # units a metre
SHOWN = 5  # files that an error lists
NEAREST_MEDIAN_M, FARTHEST_MEDIAN_M = 0.05, 200.0  # a data set's median depth outside is taken for wrong units


@dataclass(frozen=True)
class Item:
    """The files of one labelled image, and what their numbers mean; a `rig` says that `depth` holds disparity."""

    name: str
    photo: Path
    depth: Path | None = None
    mask: Path | None = None
    camera: Camera | None = None
    units_per_m: float = MILLIMETRES
    rig: StereoRig | None = None


@dataclass(frozen=True)
class Sample:
    """One labelled image, without distortion.

    rgb (H, W, 3) uint8; depth_m (H, W) float32, 0 unknown, +inf sky; opacity (H, W) float32, 0 to 1, of the
    foreground; intrinsics of the photo. What the data set does not have is None.
    """

    name: str
    rgb: np.ndarray
    depth_m: np.ndarray | None
    opacity: np.ndarray | None
    intrinsics: Intrinsics | None


def read(item: Item) -> Sample:
    """Return the labelled image; raises SourceError that names the file at fault."""
    rgb = read_photo(item.photo)
    height, width = rgb.shape[:2]
    intrinsics = item.rig.left if item.rig else item.camera.intrinsics(width, height) if item.camera else None
    if intrinsics is not None and (intrinsics.width, intrinsics.height) != (width, height):
        raise SourceError(
            f"'{item.photo}' is {width}x{height}, its camera's file says {intrinsics.width}x{intrinsics.height}: "
            "photo, truth and intrinsics must be of one size"
        )
    depth_m = None if item.depth is None else _depth(item, item.depth)
    opacity = None if item.mask is None else read_mask(item.mask)
    truths: tuple[tuple[Path | None, np.ndarray | None], ...] = (item.depth, depth_m), (item.mask, opacity)
    for path, truth in truths:
        if truth is not None and truth.shape != (height, width):
            raise SourceError(
                f"'{path}' is {truth.shape[1]}x{truth.shape[0]}, its photo {width}x{height}: they must be of one size"
            )
    if item.camera is not None:
        rgb, depth_m, opacity = item.camera.undistorted(rgb, depth_m, opacity)
    return Sample(item.name, rgb, depth_m, opacity, intrinsics)


def _depth(item: Item, path: Path) -> np.ndarray:
    """Return the depth (H, W) of the item's file, which has some."""
    depth_m = read_depth(path, item.units_per_m) if item.rig is None else read_disparity(path, item.rig)
    if not (depth_m > 0).any():
        raise SourceError(f"'{path}' has no depth at all (all zero or unknown): remove it with its photo")
    return depth_m


def check_units(items: Sequence[Item], count: int) -> None:
    """Read `count` of the items, evenly spread; raises SourceError for files that cannot be used or wrong units.

    Units are taken for wrong when the median of the images' median depths lies outside 0.05 to 200 m.
    """
    medians, problems = [], []
    for index in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)):
        try:
            depth = read(items[index]).depth_m
        except SourceError as error:
            problems.append(str(error))
            continue
        if depth is not None:
            medians.append(float(np.median(depth[depth > 0])))
    if problems:
        raise SourceError(f"{len(problems)} of the images cannot be used:\n  " + "\n  ".join(problems[:SHOWN]))
    if medians and not NEAREST_MEDIAN_M <= np.median(medians) <= FARTHEST_MEDIAN_M:
        raise SourceError(next(_wrong_units(float(np.median(medians)), i, i.depth) for i in items if i.depth))


def _wrong_units(median_m: float, item: Item, depth: Path) -> str:
    integers = depth.suffix.lower() == ".png"
    floats = "disparity of its calib.txt" if item.rig else "metres"
    taken = f"{item.units_per_m:g} units a metre" if integers else floats
    advice = "give depth_scale (1000: millimetres, 5000: TUM, 256: KITTI)" if integers else "store metres"
    return (
        f"'{depth.parent}': the median depth is {median_m:.4g} m when values are taken as {taken}; expected are "
        f"{NEAREST_MEDIAN_M:g} to {FARTHEST_MEDIAN_M:g} m, so the unit is probably wrong: {advice}"
    )
