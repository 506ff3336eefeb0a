"""A predictor without a network, whose depth is known, and photos with and without EXIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

ESTIMATED_PX = 400.0


def two_planes(width: int, height: int) -> np.ndarray:
    """Return depth (height, width): 1 m in the left half, 4 m in the right, sky above, one unknown pixel."""
    depth = np.where(np.arange(width) < width // 2, 1.0, 4.0).astype(np.float32) * np.ones((height, 1), np.float32)
    depth[: height // 4] = np.inf
    depth[-1, -1] = np.nan
    return depth


class Double:
    """Answers every photo with `two_planes`; remembers what it was asked."""

    def __init__(self, name: str = "double", trained: bool = True) -> None:
        self.description = {"weights": name, "device": "cpu", "precision": "float32", "trained": trained}
        self.asked: list[float | None] = []

    def predict(self, rgb: np.ndarray, focal_px: float | None = None, estimate_focal: bool = False) -> DepthMap:
        """Return the depth of `two_planes` at the focal length given, or at ESTIMATED_PX."""
        assert estimate_focal, "the page shows the estimate beside EXIF's"
        self.asked.append(focal_px)
        height, width = rgb.shape[:2]
        used = focal_px or ESTIMATED_PX
        camera = pinhole.centred(width, height, used)
        return DepthMap(two_planes(width, height), camera, used, ESTIMATED_PX, {"network": 250.0})


def write_photo(path: Path, size: tuple[int, int] = (64, 48), f35_mm: int | None = None, **options: object) -> Path:
    """Write a photo whose red grows to the right and green downwards, with a 35 mm focal length in EXIF if given."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 255, size[0]).astype(np.uint8)
    rgb[..., 1] = np.linspace(0, 255, size[1]).astype(np.uint8)[:, None]
    exif = Image.Exif()
    if f35_mm:
        exif[ExifTags.Base.Orientation] = 1  # Pillow reads no EXIF of a PNG without it
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = f35_mm
    Image.fromarray(rgb).save(path, exif=exif, **options)
    return path
