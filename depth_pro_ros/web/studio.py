"""From a photo's file to everything that the page shows, step by step: the picture first, what takes longer later."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from depth_pro_ros.errors import CalibrationError, DepthProError
from depth_pro_ros.outputs import files
from depth_pro_ros.web import figures
from depth_pro_ros.web.answers import Answer
from depth_pro_ros.web.limits import Limits
from depth_pro_ros.web.weights import Worker

AUTO, ESTIMATED = "EXIF, else estimated", "estimated"
FOCAL_CHOICES = (AUTO, ESTIMATED)
NOT_KNOWN = 0.0

Update = Mapping[str, Any]
"""New values of some parts of the page, by the names of NOTHING."""

NOTHING: Update = {
    "notice": "",
    "pictures": None,
    "legend": "",
    "table": "",
    "values": None,
    "view": None,
    "cut_out": None,
    "downloads": None,
}
"""Every part of the page, empty."""


class Photo(Protocol):
    """What reading a photo gives: pixels (H, W, 3) uint8 upright, EXIF's focal length in them and its tag, or None."""

    @property
    def rgb(self) -> np.ndarray: ...  # noqa: D102
    @property
    def focal_px(self) -> float | None: ...  # noqa: D102
    @property
    def focal_tag(self) -> str | None: ...  # noqa: D102


class Studio:
    """Answers one photo after the other, each into a folder of its own under `folder`."""

    def __init__(self, worker: Worker, read: Callable[[Path], Photo], limits: Limits, folder: Path) -> None:
        self.worker = worker
        self.limits = limits
        self.folder = folder
        self._read = read

    def steps(
        self,
        path: str | None,
        weights: str,
        focal: str = AUTO,
        known_px: float | None = NOT_KNOWN,
        progress: Callable[[float, str], Any] = lambda share, doing: None,
    ) -> Iterator[Update]:
        """Yield updates of the page for the photo at `path` (None: the photo was taken away).

        `weights` is one of the worker's names, `focal` one of FOCAL_CHOICES, `known_px` a focal length that is known
        (0: none); `progress` is told the share that is done and what comes next. What goes wrong for a reason clears
        the page and is its notice.
        """
        if path is None:
            yield NOTHING
            return
        photo = Path(path)
        try:
            yield from self._steps(photo, weights, focal, known_px, progress)
        except DepthProError as error:
            text = str(error).replace(str(photo), photo.name)  # where the server keeps it is nobody's business
            yield {**NOTHING, "notice": figures.notice(text, bad=True)}

    def _steps(
        self, path: Path, weights: str, focal: str, known_px: float | None, progress: Callable[[float, str], Any]
    ) -> Iterator[Update]:
        progress(0.05, "reading the photo")
        self.limits.check(path)
        photo = self._read(path)
        focal_px, origin = choose_focal(photo, focal, known_px)
        progress(0.15, "loading the weights")
        description = self.worker.use(weights)
        progress(0.3, "computing depth")
        result = self.worker.predict(photo.rgb, focal_px)
        answer = Answer(photo.rgb, result, files.make_folder(self.folder / secrets.token_hex(8)), path.stem)
        facts = (result, origin, photo.focal_px, description)
        yield {
            **NOTHING,
            "notice": figures.notice("" if description["trained"] else figures.UNTRAINED, bad=True),
            "pictures": answer.pictures(),
            "legend": figures.legend(answer.depth_m),
            "table": figures.table(*facts),
            "values": answer.values(),
        }
        progress(0.6, "making the point cloud")
        yield {"view": answer.view()}
        progress(0.7, "cutting the foreground out")
        if found := answer.cut_out():
            yield {"cut_out": found[0], "table": figures.table(*facts, cut_m=found[1])}
        progress(0.8, "writing the files")
        yield {"downloads": answer.downloads()}


def choose_focal(photo: Photo, focal: str, known_px: float | None) -> tuple[float | None, str]:
    """Return the focal length in pixels to give to the network (None: its own estimate) and its origin.

    One that is known comes before EXIF's. Raises CalibrationError when it is no focal length.
    """
    if known_px:
        if not (math.isfinite(known_px) and known_px > 0):
            raise CalibrationError(
                f"the focal length was given as {known_px:g} pixels: enter a positive number, or 0 for none"
            )
        return float(known_px), "you"
    if focal == ESTIMATED or photo.focal_px is None:
        return None, "the network"
    return photo.focal_px, f"EXIF {photo.focal_tag}"
