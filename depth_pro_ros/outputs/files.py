"""Depth as files: NPZ (everything), 16-bit PNG (millimetres), PLY (cloud), pictures and JSON.

Every file is written aside in its own folder, synced, and renamed: a reader sees the old file or the whole
new one, and a failure leaves neither a half file nor a leftover. Failures are OutputError.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from depth_pro_ros.errors import OutputError
from depth_pro_ros.records import DepthMap

PNG_MAX_M = 65.535
"""The farthest depth that a 16-bit PNG in millimetres can hold, in metres."""
OPTICAL = "optical frame: x right, y down, z forward, metres"


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the name `path` only when the block ends well and the data is on disk."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(aside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): free space, or give another folder"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def make_folder(path: Path | str) -> Path:
    """Return `path` as a folder that exists, made with its parents where needed."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {path} cannot be made ({error.strerror}): give another folder") from error
    return path


def write_npz(path: Path | str, depth: DepthMap) -> None:
    """Write everything of a DepthMap for NumPy.

    `depth_m` (H, W) float32 with NaN and +Inf as they are, `intrinsics` K (3, 3) float64 of that grid,
    `focal_px`, and `focal_estimated_px` where it was asked.
    """
    values = {
        "depth_m": np.asarray(depth.depth_m, np.float32),
        "intrinsics": depth.intrinsics.matrix,
        "focal_px": np.float64(depth.focal_px),
    }
    if depth.focal_estimated_px is not None:
        values["focal_estimated_px"] = np.float64(depth.focal_estimated_px)
    with atomic_file(path) as file:
        np.savez(file, **values)


def depth_to_mm(depth_m: np.ndarray) -> np.ndarray:
    """Return (H, W) uint16 millimetres, rounded, as REP 118's 16UC1: 0 is unknown.

    NaN, +Inf and anything above 65.535 m become 0, since 16 bits hold no farther depth and a clipped one
    would put a wall there. The NPZ keeps them.
    """
    with np.errstate(invalid="ignore"):
        millimetres = np.rint(np.asarray(depth_m, np.float64) * 1000.0)
        held = (millimetres > 0) & (millimetres <= 65535)
    return np.where(held, millimetres, 0).astype(np.uint16)


def write_png_mm(path: Path | str, depth_m: np.ndarray) -> None:
    """Write depth (H, W) in metres as a 16-bit PNG in millimetres; see `depth_to_mm` for what becomes 0."""
    _write_png(path, depth_to_mm(depth_m))


def write_picture(path: Path | str, rgb: np.ndarray) -> None:
    """Write an RGB image (H, W, 3) uint8 as PNG."""
    _write_png(path, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def write_pixels(path: Path | str, pixels: np.ndarray) -> None:
    """Write RGBA (H, W, 4) or grey (H, W) uint8 as PNG, as they are."""
    _write_png(path, cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA) if pixels.ndim == 3 else pixels)


def _write_png(path: Path | str, pixels: np.ndarray) -> None:
    """Write pixels, in OpenCV's channel order, as PNG."""
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise OutputError(f"{path}: OpenCV cannot make a PNG of {pixels.dtype} {pixels.shape}")
    with atomic_file(path) as file:
        file.write(encoded.data)


def write_ply(path: Path | str, points: np.ndarray, rgb: np.ndarray | None = None, frame: str = OPTICAL) -> int:
    """Write points (..., 3) in metres, with colours (..., 3) uint8 RGB if given, as a binary little-endian PLY.

    Only vertices whose three coordinates are finite are written; their number is returned. Coordinates
    stay in their frame, by default the optical one (REP 103), and a comment in the header says which.
    """
    xyz = np.asarray(points, np.float32).reshape(-1, 3)
    known = np.isfinite(xyz).all(axis=1)
    fields, properties = [("xyz", "<f4", 3)], [f"property float {axis}" for axis in "xyz"]
    if rgb is not None:
        colours = np.asarray(rgb, np.uint8).reshape(-1, 3)
        if len(colours) != len(xyz):
            raise OutputError(f"{path}: {len(xyz)} points but {len(colours)} colours: give one colour for each point")
        fields.append(("rgb", "u1", 3))
        properties += [f"property uchar {name}" for name in ("red", "green", "blue")]
    vertices = np.empty(int(known.sum()), np.dtype(fields))
    vertices["xyz"] = xyz[known]
    if rgb is not None:
        vertices["rgb"] = colours[known]
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            f"comment {frame}",
            f"element vertex {len(vertices)}",
            *properties,
            "end_header\n",
        ]
    )
    with atomic_file(path) as file:
        file.write(header.encode("ascii"))
        vertices.tofile(file)
    return len(vertices)


def write_json(path: Path | str, values: Mapping[str, Any]) -> None:
    """Write a mapping as JSON for people and programs; NaN and Inf, which JSON lacks, are a ValueError."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as file:
        file.write(text.encode("utf-8") + b"\n")
