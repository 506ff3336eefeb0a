"""One photo, depth map or mask from its file: PNG, NPY, NPZ, PFM.

Depth is (H, W) float32 metres along the optical axis, 0 where unknown and +inf in the sky. Every fault is a SourceError
that names the file.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from depth_pro_ros.errors import SourceError
from depth_pro_ros.evaluation.boundary import ALPHA
from depth_pro_ros.geometry.stereo import StereoRig, depth_from_disparity

PHOTOS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
DEPTHS = (".npy", ".npz", ".pfm", ".png")
ARRAYS = ("depth_m", "depth")  # names of a depth array in an .npz
OPAQUE = np.float32(255)


def read_photo(path: Path) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB as the pixels are stored, which is what depth and calibration belong to."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise SourceError(f"'{path}' cannot be read as a photo: it is missing, damaged or no image; replace it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_depth(path: Path, units_per_m: float) -> np.ndarray:
    """Return the depth of a PNG (uint16, `units_per_m`, 0 unknown), or of floating-point metres in NPY, NPZ or PFM.

    In floating point NaN and what is not positive are unknown, and +inf is the sky.
    """
    if path.suffix.lower() == ".png":
        return (_read_uint16(path) / np.float32(units_per_m)).astype(np.float32)
    depth = _read_floats(path)
    return np.where(depth > 0, depth, 0).astype(np.float32)


def read_disparity(path: Path, rig: StereoRig) -> np.ndarray:
    """Return the depth that Middlebury's disparity means, in the rig's left image; +inf disparity is unknown."""
    disparity = _read_floats(path)
    size = (rig.left.height, rig.left.width)
    if disparity.shape != size:
        raise SourceError(f"'{path}' is {_size(disparity)}, its calib.txt says {size[1]}x{size[0]}: they do not belong")
    known = np.isfinite(disparity) & (disparity > 0)
    depth = depth_from_disparity(disparity, rig.left.fx, rig.baseline_m, rig.doffs_px)
    return np.where(known & np.isfinite(depth), depth, 0).astype(np.float32)


def read_mask(path: Path) -> np.ndarray:
    """Return the opacity of the foreground, (H, W) float32 from 0 to 1, of a grey 8-bit image (255 is opaque)."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8 or image.ndim != 2:
        raise SourceError(f"'{path}' is {_found(image)}: a mask has one channel of 8 bits, 0 to 255")
    foreground = image > ALPHA * OPAQUE
    if not foreground.any() or foreground.all():
        raise SourceError(f"'{path}' has no outline (all of it is fore- or background): remove it with its photo")
    return image / OPAQUE


def read_pfm(path: Path) -> np.ndarray:
    """Return (H, W) float32 of a one-channel Portable Float Map; its rows run from the bottom up."""
    try:
        content = path.read_bytes()
        kind, size, scale, pixels = content.split(b"\n", 3)
        width, height = map(int, size.split())
        order = "<" if float(scale) < 0 else ">"
        if kind.strip() != b"Pf":
            raise ValueError(f"it begins with {kind[:8]!r}, a one-channel map with Pf")
        return np.frombuffer(pixels, f"{order}f4", width * height).reshape(height, width)[::-1].astype(np.float32)
    except (OSError, ValueError) as error:
        raise SourceError(f"'{path}' cannot be read as PFM ({error}): replace it") from error


def _read_uint16(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise SourceError(f"'{path}' is {_found(image)}: a depth PNG has one channel of uint16")
    return image


def _read_floats(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".pfm":
        return read_pfm(path)
    try:
        values = np.load(path)
        if isinstance(values, np.lib.npyio.NpzFile):
            with values:
                values = _array(values, path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"'{path}' cannot be read as depth ({error}): replace it") from error
    if values.ndim != 2 or values.dtype.kind != "f" or not values.size:
        raise SourceError(
            f"'{path}' is {values.dtype} of shape {values.shape}: depth is (H, W), floating point, metres"
        )
    return values


def _array(file: np.lib.npyio.NpzFile, path: Path) -> np.ndarray:
    name = next((name for name in ARRAYS if name in file), file.files[0] if len(file.files) == 1 else None)
    if name is None:
        raise SourceError(f"'{path}' holds {file.files}: name the depth array one of {', '.join(ARRAYS)}")
    return file[name]


def _found(image: np.ndarray | None) -> str:
    return "no readable image" if image is None else f"{image.dtype} of shape {image.shape}"


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
