"""Photos from files: pixels as a person sees them, and the focal length that the camera wrote into EXIF."""

from __future__ import annotations

import glob
import math
import os
import re
import struct
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from depth_pro_ros.errors import ImageError, SourceError
from depth_pro_ros.geometry import pinhole

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What a folder is searched for; a file that is named itself may have any suffix that Pillow can read."""

HDR_SUFFIXES = (".exr", ".hdr", ".pfm", ".pic")
"""Files of floating point, whose white nobody knows."""

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError, Image.DecompressionBombError)
"""What Pillow raises on files that are no images, damaged, cut short or too large."""

_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # EXIF FocalPlaneResolutionUnit: inch, cm, mm, um
_FULL_16_BIT = 257.0  # 65535 / 255


@dataclass(frozen=True)
class Photo:
    """`rgb` (H, W, 3) uint8, upright; the focal length in its pixels by EXIF, and the tag it came from, or None."""

    rgb: np.ndarray
    focal_px: float | None
    focal_tag: str | None


def find(inputs: Iterable[Path | str], suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return the files that `inputs` name, each once: files as given, folders' images in natural order.

    Folders are not descended into, and are searched for `suffixes`. A path that does not exist may be a pattern
    (`*`, `?`, `[...]`, and `**` for folders at any depth). Raises SourceError for a path that does not exist, and for
    a folder or pattern without an image.
    """
    found: dict[Path, Path] = {}
    for entry in map(Path, inputs):
        if entry.is_dir():
            files = _with(suffixes, entry.iterdir())
            if not files:
                raise SourceError(f"the folder {entry} holds no image: it is searched for {' '.join(suffixes)}")
        elif entry.exists():
            files = [entry]
        elif glob.has_magic(str(entry)):
            matches = [Path(name) for name in glob.glob(str(entry.expanduser()), recursive=True)]
            files = _with(suffixes, matches) if glob.has_magic(entry.suffix or "*") else _with(None, matches)
            if not files:
                raise SourceError(f"no image matches {entry}: correct the pattern, or give files or folders")
        else:
            raise SourceError(f"{entry} does not exist: give image files, or folders that hold some")
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _with(suffixes: Sequence[str] | None, paths: Iterable[Path]) -> list[Path]:
    """Return the files among `paths` in natural order, only those with one of the suffixes if any are given."""
    files = [path for path in paths if path.is_file() and (suffixes is None or path.suffix.lower() in suffixes)]
    return sorted(files, key=lambda path: (str(path.parent), natural(path)))


def natural(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key of a file's name that puts img2 before img10, whatever the case."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def read(path: Path | str) -> Photo:
    """Read a photo with EXIF's orientation applied and any colour model turned into RGB, 8 bits.

    Transparency is laid over white, as most viewers do. Raises ImageError when the file is no image, is empty,
    damaged or cut short, holds more pixels than Pillow's guard against decompression bombs lets pass
    (about 179 million), or is of floating point.
    """
    try:
        if not os.stat(path).st_size:
            raise ValueError("it is empty, with 0 bytes")
        with warnings.catch_warnings():  # 100 megapixels are a large photo, and no attack yet
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                focal = exif_focal(image.getexif(), *image.size)
                rgb = to_rgb(ImageOps.exif_transpose(image))
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        bright = Path(path).suffix.lower() in HDR_SUFFIXES
        advice = "map its tones to 8 bits (a JPEG or PNG) first" if bright else "convert it to JPEG or PNG"
        raise ImageError(f"{path} cannot be read as a photo ({reason}): {advice}") from error
    return Photo(rgb, *(focal or (None, None)))


def to_rgb(image: Image.Image) -> np.ndarray:
    """Return (H, W, 3) uint8 of a Pillow image of any mode but floating point, which is a ValueError.

    16-bit grey (and Pillow's 32-bit integers, which hold it) is scaled from 0..65535 to 0..255.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating point, which has no known white")
    if image.mode.startswith("I"):
        grey = np.clip(np.rint(np.asarray(image) / _FULL_16_BIT), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.array(image.convert("RGB"))


def exif_focal(exif: Image.Exif, width: int, height: int) -> tuple[float, str] | None:
    """Return the focal length in pixels of a `width` x `height` image, and the EXIF tag that gave it, or None.

    FocalLengthIn35mmFilm comes first and compares *diagonals* (f35 * hypot(w, h) / hypot(36, 24)), as CIPA
    DCG-001 defines it and as Depth Pro does; tools that compare widths (f35 * w / 36) find 4 % less for 4:3
    and 5 % more for 16:9. Without it, FocalLength and the focal plane's resolution give
    f_mm * pixels per mm, scaled if the image was resized since. A value that is absent, zero, or not a
    number counts as not given.
    """
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    f35_mm = _positive(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if f35_mm:
        return pinhole.focal_from_35mm(f35_mm, width, height), "FocalLengthIn35mmFilm"
    f_mm = _positive(tags.get(ExifTags.Base.FocalLength))
    density = _positive(tags.get(ExifTags.Base.FocalPlaneXResolution))
    unit_mm = _UNIT_MM.get(tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if not (f_mm and density and unit_mm):
        return None
    taken = [_positive(tags.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
    resized = max(width, height) / max(taken) if all(taken) else 1.0
    return f_mm * density / unit_mm * resized, "FocalLength"


def _positive(value: object) -> float | None:
    """Return an EXIF number as float, or None when it is absent, no number, zero, negative, NaN or infinite."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
