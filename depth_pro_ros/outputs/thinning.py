"""Fewer points for the same shape: the mean of each voxel's points, and of those the nearest to the camera."""

from __future__ import annotations

import numpy as np

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.outputs.voxels import pack

REACH = 1 << 19  # voxels either way, a factor of 2 within what their keys can hold


def voxel_means(
    points_m: np.ndarray, voxel_m: float, rgb: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the mean point (M, 3) float32 and colour (M, 3) uint8 of each voxel that holds any of `points_m`.

    points_m (N, 3) finite, in metres; rgb (N, 3) uint8 or None. Voxels are cubes of `voxel_m` metres whose corners lie
    at its multiples, so that a camera at rest gives the same voxels in every frame; they are in the order of x, y, z.
    Raises ConfigurationError for voxels that are too small for the points' extent, or no size at all.
    """
    farthest = float(np.abs(points_m).max(initial=0.0))
    if not voxel_m * REACH > farthest:
        raise ConfigurationError(
            f"voxels of {voxel_m} m for points as far as {farthest:.6g} m; they must be larger than "
            f"{farthest / REACH:.6g} m: take larger voxels or a shorter range"
        )
    index = np.floor(points_m / np.float32(voxel_m)).astype(np.int64)
    keys, voxel, count = np.unique(pack(index), return_inverse=True, return_counts=True)

    def means(columns: np.ndarray) -> np.ndarray:
        sums = [np.bincount(voxel, column, len(keys)) for column in columns.T]
        return np.stack(sums, axis=1) / count[:, None]

    colours = None if rgb is None else np.rint(means(rgb)).astype(np.uint8)
    return means(points_m).astype(np.float32), colours


def nearest(points_m: np.ndarray, most: int) -> np.ndarray:
    """Return the indices, ascending, of those of points (N, 3) that are nearest to the origin, `most` at most."""
    if len(points_m) <= most:
        return np.arange(len(points_m))
    squared = np.einsum("nc,nc->n", points_m, points_m)
    return np.sort(np.argpartition(squared, most)[:most])
