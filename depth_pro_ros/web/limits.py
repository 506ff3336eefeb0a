"""What the page takes: bounds of a photo in bytes and pixels, looked at before anything is decoded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from depth_pro_ros.errors import ImageError

MEBI, MEGA = 2**20, 10**6


@dataclass(frozen=True)
class Limits:
    """The largest file in MiB and the largest photo in megapixels."""

    max_mb: float = 32.0
    max_megapixels: float = 48.0

    @property
    def max_bytes(self) -> int:
        """Return the largest file in bytes."""
        return int(self.max_mb * MEBI)

    def check(self, path: Path) -> None:
        """Raise ImageError for a file that is empty or too large, that is no image, or that has too many pixels."""
        size = path.stat().st_size
        if size == 0:
            raise ImageError(f"{path.name} is empty (0 bytes): give the photo itself")
        if size > self.max_bytes:
            raise ImageError(
                f"{path.name} has {size / MEBI:.1f} MiB and this page takes {self.max_mb:g}: make it smaller, or "
                "start the page with a larger --max-mb"
            )
        try:
            with warnings.catch_warnings():  # of many pixels, which are counted below
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path) as image:  # reads the header, decodes nothing
                    width, height = image.size
        except Image.DecompressionBombError as error:
            raise ImageError(self._too_many(f"{path.name} has more pixels than Pillow opens")) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"{path.name} is not an image that can be read here: give a JPEG or a PNG") from error
        if width * height > self.max_megapixels * MEGA:
            found = f"{path.name} has {width}x{height} pixels, {width * height / MEGA:.1f} megapixels"
            raise ImageError(self._too_many(found))

    def _too_many(self, found: str) -> str:
        return (
            f"{found}, and this page takes {self.max_megapixels:g} megapixels: make the photo smaller, or start the "
            "page with a larger --max-megapixels"
        )
