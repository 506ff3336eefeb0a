"""A coloured point cloud as binary glTF 2.0 (GLB), which browsers and 3-D programs open as it is."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs.files import atomic_file

_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942  # glTF 2.0, section 4.4
_ARRAY_BUFFER, _FLOAT, _UNSIGNED_SHORT, _POINTS = 34962, 5126, 5123, 0
_OPTICAL_TO_GLTF = np.array([1.0, -1.0, -1.0], np.float32)


def write_glb(path: Path | str, points: np.ndarray, rgb: np.ndarray) -> int:
    """Write points (..., 3) in metres of the optical frame with colours (..., 3) uint8 RGB; return how many.

    Only points whose three coordinates are finite are written. They are turned by half about x into glTF's axes
    (y up, the camera looks along -z), so that a viewer shows the cloud upright. Raises OutputError.
    """
    xyz = np.asarray(points, np.float32).reshape(-1, 3)
    colours = np.asarray(rgb, np.uint8).reshape(-1, 3)
    if len(colours) != len(xyz):
        raise OutputError(f"{path}: {len(xyz)} points but {len(colours)} colours: give one colour for each point")
    known = np.isfinite(xyz).all(axis=1)
    xyz = xyz[known] * _OPTICAL_TO_GLTF
    body = xyz.astype("<f4").tobytes() + _linear(colours[known]).tobytes()
    header = json.dumps(_document(xyz, len(body)), separators=(",", ":")).encode("ascii")
    header += b" " * (-len(header) % 4)  # chunks end at multiples of four bytes; 20 bytes a point already do
    chunks = struct.pack("<II", len(header), _JSON) + header
    if body:
        chunks += struct.pack("<II", len(body), _BINARY) + body
    with atomic_file(path) as file:
        file.write(struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks)
    return len(xyz)


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Return (N, 4) uint16 RGBA, linear as glTF's COLOR_0 is, of (N, 3) uint8 sRGB (IEC 61966-2-1).

    Sixteen bits, since eight would merge the dark colours.
    """
    level = np.arange(256) / 255.0
    table = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    rgba = np.full((len(srgb), 4), 65535, "<u2")
    rgba[:, :3] = np.rint(table * 65535).astype(np.uint16)[srgb]
    return rgba


def _document(xyz: np.ndarray, size: int) -> dict[str, Any]:
    """Return the JSON part for points (N, 3) in glTF's axes whose binary part has `size` bytes.

    glTF allows neither an empty buffer nor an accessor of nothing: without points the scene has no mesh.
    """
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "depth_pro_ros"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "points"}],
    }
    count = len(xyz)
    if count == 0:
        return document
    material = {"name": "as photographed", "extensions": {"KHR_materials_unlit": {}}}
    attributes = {"POSITION": 0, "COLOR_0": 1}
    bounds = {"min": xyz.min(axis=0).tolist(), "max": xyz.max(axis=0).tolist()}
    colour = {"componentType": _UNSIGNED_SHORT, "normalized": True, "count": count, "type": "VEC4"}
    document["nodes"][0]["mesh"] = 0
    return document | {
        "extensionsUsed": ["KHR_materials_unlit"],
        "materials": [material],
        "meshes": [{"primitives": [{"attributes": attributes, "mode": _POINTS, "material": 0}]}],
        "accessors": [
            {"bufferView": 0, "componentType": _FLOAT, "count": count, "type": "VEC3", **bounds},
            {"bufferView": 1, **colour},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 12 * count, "target": _ARRAY_BUFFER},
            {"buffer": 0, "byteOffset": 12 * count, "byteLength": 8 * count, "target": _ARRAY_BUFFER},
        ],
        "buffers": [{"byteLength": size}],
    }
