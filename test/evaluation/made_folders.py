"""Tiny RGB-D folders, written file by file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

SIZE = (8, 6)  # w, h


def photo(path: Path, size=SIZE, level=100) -> Path:
    """Write a grey photo of `size` (w, h)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), level, np.uint8))
    return path


def depth_png(path: Path, units, size=SIZE) -> Path:
    """Write a uint16 depth image; `units` is one number, or (h, w) of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.broadcast_to(np.uint16(units), (size[1], size[0])).copy())
    return path


def pfm(path: Path, values: np.ndarray, order: str = "<") -> Path:
    """Write (H, W) floats as a Portable Float Map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sign = -1 if order == "<" else 1
    header = f"Pf\n{values.shape[1]} {values.shape[0]}\n{sign}.0\n".encode()
    path.write_bytes(header + values[::-1].astype(f"{order}f4").tobytes())
    return path


def camera(folder: Path, **changes) -> Path:
    """Write intrinsics.json of f 100 px for SIZE."""
    values = {"width": SIZE[0], "height": SIZE[1], "fx": 100.0, "fy": 100.0, "cx": 3.5, "cy": 2.5, **changes}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "intrinsics.json").write_text(json.dumps(values))
    return folder


def pairs(folder: Path, depths_mm=(2000, 4000), with_camera=True) -> Path:
    """Write a folder of the layout `pairs`, one image for each depth in millimetres."""
    for number, depth in enumerate(depths_mm):
        photo(folder / "rgb" / f"{number}.png", level=50 + number)
        depth_png(folder / "depth" / f"{number}.png", depth)
    return camera(folder) if with_camera else folder
