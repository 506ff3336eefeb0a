"""A bounded voxel map in NumPy: points fused by their uncertainty, space seen free carved, the far and old dropped.

A voxel is a row of a table sorted by a 64-bit key that packs its three indices (21 bits each), so that looking up and
merging are searches in a sorted array: about as compact as a hash and vectorised. A voxel holds the weighted mean of
its points, which is finer than its edge, not just that it is occupied.

A truncated signed distance volume of a library was weighed and left out: Open3D's would be the largest dependency
beside PyTorch and neither carves, forgets nor slides along with a flight, and a robot with a GPU that wants surfaces
and distances has nvblox, which takes this package's depth and camera_info as they are.
"""

from __future__ import annotations

import numpy as np

from depth_pro_ros.errors import OutputError

_BITS = 21
_HALF = 1 << (_BITS - 1)  # indices run from -2^20 to 2^20 - 1: 52 km either way for voxels of 5 cm
_ROW = np.dtype([("offset", "f4", 3), ("rgb", "f4", 3), ("weight", "f4"), ("evidence", "f4"), ("seen", "i4")])
BYTES_PER_VOXEL = _ROW.itemsize + 8
_ROOM = 0.95  # a full map is thinned to this share, so that it is not thinned again for every frame


class VoxelMap:
    """Voxels of `voxel_m` metres, at most `max_voxels`, in some fixed frame.

    `evidence` is in frames: one more for each frame that sees the voxel, up to `most_evidence`, one less for each that
    sees through it; a voxel goes when none is left. Between calls the map occupies `len(self) * BYTES_PER_VOXEL`
    bytes, while it takes in a frame up to three times that and the frame.
    """

    def __init__(self, voxel_m: float, max_voxels: int, most_evidence: float = 10.0) -> None:
        self.voxel_m = voxel_m
        self._max_voxels = max_voxels
        self._most_evidence = most_evidence
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._keys = np.empty(0, np.int64)
        self._rows = np.empty(0, _ROW)
        self._frame = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Return the bytes that the voxels occupy."""
        return self._keys.nbytes + self._rows.nbytes

    @property
    def points_m(self) -> np.ndarray:
        """Return each voxel's mean point (N, 3) float64."""
        return (unpack(self._keys) + 0.5) * self.voxel_m + self._rows["offset"]

    @property
    def evidence(self) -> np.ndarray:
        """Return how many frames speak for each voxel (N,) float32."""
        return self._rows["evidence"].copy()

    @property
    def seen_now(self) -> np.ndarray:
        """Return which voxels (N,) bool the newest frame has seen."""
        return self._rows["seen"] == self._frame

    def solid(self, least_evidence: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Return points (N, 3) float64 and colours (N, 3) uint8 of the voxels with that much evidence."""
        kept = self._rows["evidence"] >= least_evidence
        points = (unpack(self._keys[kept]) + 0.5) * self.voxel_m + self._rows["offset"][kept]
        return points, np.rint(np.clip(self._rows["rgb"][kept], 0, 255)).astype(np.uint8)

    def add(self, points_m: np.ndarray, sigma_m: np.ndarray, rgb: np.ndarray | None = None) -> None:
        """Take in one frame: finite points (N, 3), their standard deviations (N,) > 0, colours (N, 3) uint8.

        All points of a frame in one voxel count as one observation, of their mean weight 1 / sigma^2, since the
        errors of neighbouring pixels are not independent. Raises OutputError for points too far from the origin.
        """
        self._frame += 1
        keys, rows = _one_row_a_voxel(points_m, sigma_m, rgb, self.voxel_m)
        rows["seen"] = self._frame
        at = np.searchsorted(self._keys, keys)
        known = at < len(self)
        known[known] = self._keys[at[known]] == keys[known]
        self._fuse(at[known], rows[known])
        self._keys = np.insert(self._keys, at[~known], keys[~known])
        self._rows = np.insert(self._rows, at[~known], rows[~known])

    def _fuse(self, at: np.ndarray, new: np.ndarray) -> None:
        """Bring new rows into the voxels at these places."""
        old = self._rows[at]
        weight = old["weight"] + new["weight"]
        share = (new["weight"] / weight)[:, None]
        for name in ("offset", "rgb"):
            old[name] += share * (new[name] - old[name])
        old["weight"] = weight
        old["evidence"] = np.minimum(old["evidence"] + 1, self._most_evidence)
        old["seen"] = new["seen"]
        self._rows[at] = old

    def carve(self, free: np.ndarray) -> int:
        """Take one frame of evidence from voxels (N,) bool that were seen through; return how many are gone."""
        self._rows["evidence"] -= free
        return self._keep(self._rows["evidence"] > 0)

    def keep_within(self, centre_m: np.ndarray, radius_m: float) -> int:
        """Drop what is farther than `radius_m` from `centre_m` (3,) along any axis; return how many voxels."""
        low, high = (np.floor((centre_m + side * radius_m) / self.voxel_m) for side in (-1, 1))
        index = unpack(self._keys)
        return self._keep(np.all((index >= low) & (index <= high), axis=1))

    def keep_bound(self, centre_m: np.ndarray) -> int:
        """Drop what exceeds `max_voxels`: the longest unseen first, of those the farthest from `centre_m` (3,)."""
        if len(self) <= self._max_voxels:
            return 0
        distance = np.linalg.norm(self.points_m - centre_m, axis=1)
        order = np.lexsort((-distance, self._rows["seen"]))
        kept = np.ones(len(self), bool)
        kept[order[: len(self) - int(_ROOM * self._max_voxels)]] = False
        return self._keep(kept)

    def _keep(self, kept: np.ndarray) -> int:
        dropped = len(kept) - int(np.count_nonzero(kept))
        if dropped:
            self._keys, self._rows = self._keys[kept], self._rows[kept]
        return dropped


def pack(index: np.ndarray) -> np.ndarray:
    """Return sortable keys (N,) int64 of voxel indices (N, 3) int64; raises OutputError outside of +-2^20."""
    if index.size and (index.min() < -_HALF or index.max() >= _HALF):
        raise OutputError(
            f"a voxel index of {index.min()} or {index.max()}; the map reaches {_HALF} voxels from the origin of its "
            "frame: begin a new map nearer to its origin, or take larger voxels"
        )
    x, y, z = (index + _HALF).T
    return (x << (2 * _BITS)) | (y << _BITS) | z


def unpack(keys: np.ndarray) -> np.ndarray:
    """Return voxel indices (N, 3) int64 of keys (N,)."""
    mask = (1 << _BITS) - 1
    return np.stack([keys >> (2 * _BITS), (keys >> _BITS) & mask, keys & mask], axis=1) - _HALF


def _one_row_a_voxel(
    points_m: np.ndarray, sigma_m: np.ndarray, rgb: np.ndarray | None, voxel_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted keys (M,) and rows (M,) of one frame's points."""
    index = np.floor(points_m / voxel_m).astype(np.int64)
    keys = pack(index)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    weight = 1.0 / np.square(sigma_m[order], dtype=np.float64)
    total, count = np.add.reduceat(weight, starts), np.diff(starts, append=len(keys))
    rows = np.zeros(len(starts), _ROW)
    columns = [("offset", points_m - (index + 0.5) * voxel_m)] + ([] if rgb is None else [("rgb", rgb)])
    for name, values in columns:
        rows[name] = np.add.reduceat(values[order] * weight[:, None], starts, axis=0) / total[:, None]
    rows["weight"], rows["evidence"] = total / count, 1.0
    return keys[starts], rows
