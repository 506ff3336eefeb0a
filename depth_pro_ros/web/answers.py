"""What one photo gives: pictures to look at, depth to hover over, clouds to turn, and the files to keep.

Everything is written into a folder of its own. What a person looks at is thinned to what a screen shows;
the files to keep have every pixel.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from depth_pro_ros.errors import ImageError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import files, glb, layers, pictures
from depth_pro_ros.records import DepthMap

SCREEN_SIDE = 1280
VIEW_POINTS, KEPT_POINTS = 250_000, 2_000_000
VIEW_REACH = 1.5  # the cloud to turn ends at this multiple of the depth that the colours span


@dataclass(frozen=True)
class View:
    """The cloud to turn: its file, and how far the camera was from the middle of it, in metres."""

    path: Path
    distance_m: float


@dataclass(frozen=True)
class Answer:
    """One photo's depth and where its files go: `folder`, each under `stem` and an ending of its own."""

    rgb: np.ndarray
    result: DepthMap
    folder: Path
    stem: str

    @property
    def depth_m(self) -> np.ndarray:
        """Return the depth (H, W) float32 in metres."""
        return self.result.depth_m

    def path(self, ending: str) -> Path:
        """Return the file of that ending."""
        return self.folder / f"{self.stem}{ending}"

    def pictures(self) -> tuple[Path, Path]:
        """Write the photo and its depth in colours, both of the same size for a screen, and return their files."""
        photo, coloured = self.path("_photo.png"), self.path("_depth.png")
        width, height = screen_size(self.rgb.shape[1], self.rgb.shape[0])
        files.write_picture(photo, cv2.resize(self.rgb, (width, height), interpolation=cv2.INTER_AREA))
        span = pictures.depth_range(self.depth_m) or (None, None)
        files.write_picture(coloured, pictures.colour_depth(self.on_screen(), *span))
        return photo, coloured

    def on_screen(self) -> np.ndarray:
        """Return the depth of the pixels that the screen shows, nearest ones: no depth is made up at an edge."""
        size = screen_size(self.depth_m.shape[1], self.depth_m.shape[0])
        return cv2.resize(self.depth_m, size, interpolation=cv2.INTER_NEAREST)

    def values(self) -> Path:
        """Write the depth under the cursor and return its file; `pack_values` says what is in it."""
        path = self.path("_values.bin")
        with files.atomic_file(path) as file:
            file.write(pack_values(self.on_screen()))
        return path

    def view(self) -> View | None:
        """Write the cloud to turn in the browser and return it; None when no depth is known.

        It ends a little behind what the colours span: a few points at the horizon would make the rest a dot.
        """
        span = pictures.depth_range(self.depth_m)
        if span is None:
            return None
        points, rgb = self._cloud(VIEW_POINTS)
        near = points[..., 2] <= VIEW_REACH * span[1]
        points, rgb = points[near], rgb[near]
        path = self.path("_view.glb")
        glb.write_glb(path, points, rgb)
        return View(path, float(np.linalg.norm((points.min(axis=0) + points.max(axis=0)) / 2)))

    def cut_out(self) -> tuple[Path, float] | None:
        """Write the photo's foreground on nothing (PNG with alpha); return its file and the metres where it ends.

        None where depth has no foreground: known nowhere, or the same everywhere.
        """
        try:
            found = layers.separate(self.depth_m)
        except ImageError:
            return None
        path = self.path("_cutout.png")
        files.write_pixels(path, np.dstack((self.rgb, found.foreground.astype(np.uint8) * 255)))
        return path, found.split_m

    def downloads(self) -> list[Path]:
        """Write the files to keep and return them: 16-bit PNG in millimetres, NPZ, PLY and GLB."""
        png, npz, ply, cloud = (self.path(ending) for ending in ("_depth_mm.png", ".npz", ".ply", ".glb"))
        files.write_png_mm(png, self.depth_m)
        files.write_npz(npz, self.result)
        points, rgb = self._cloud(KEPT_POINTS)
        files.write_ply(ply, points, rgb)
        glb.write_glb(cloud, points, rgb)
        return [png, npz, ply, cloud]

    def _cloud(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points (h, w, 3) in metres and their colours, every k-th pixel so that there are about `most`."""
        stride = math.ceil(math.sqrt(max(1.0, self.depth_m.size / most)))
        thinned = pinhole.subsample(self.result.intrinsics, stride)
        return pinhole.unproject(self.depth_m[::stride, ::stride], thinned), self.rgb[::stride, ::stride]


def screen_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) shrunk to SCREEN_SIDE at the longer side, the aspect kept; a small image stays."""
    scale = min(1.0, SCREEN_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def pack_values(depth_m: np.ndarray) -> bytes:
    """Return depth (H, W) for the page's script: width and height as uint32, then float32 rows, little-endian.

    NaN is unknown and +Inf beyond the range, as everywhere.
    """
    height, width = depth_m.shape
    return struct.pack("<II", width, height) + np.ascontiguousarray(depth_m, "<f4").tobytes()
