"""One video to a film of the video beside its depth, and on demand each picture's files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.cli.predict_mp4 import ColourRange, film
from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.outputs import pictures
from depth_pro_ros.records import DepthMap

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
"""What is taken for a video; every other file is taken for a photo."""
WHOLE = 0.95  # share of the pictures that the header promises, for some count a few too many
PANEL_HEIGHT = (240, 720)  # of a film, in pixels: the video's own within these

Predict = Callable[[Sequence[np.ndarray]], Sequence[DepthMap]]
Save = Callable[[int, np.ndarray, DepthMap], None]


@dataclass(frozen=True)
class Options:
    """How videos are done.

    `focal` as on the command line; `fps` of the film, None for the video's; each `every`-th picture; `batch` at once.
    """

    focal: str | float = "auto"
    fps: float | None = None
    every: int = 1
    batch: int = 1


@dataclass(frozen=True)
class Video:
    """An open video: pictures per second, how many its header promises (0: it does not tell), the pictures."""

    fps: float
    promised: int
    pictures: Iterator[np.ndarray]


def is_video(path: Path) -> bool:
    """Return whether a file is taken for a video, which its name tells."""
    return path.suffix.lower() in SUFFIXES


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video whose pictures come upright, (H, W, 3) uint8 RGB; raises ImageError when there is none."""
    if path.is_file() and not os.stat(path).st_size:
        raise ImageError(f"{path} cannot be read as a video (it is empty, with 0 bytes): copy it again")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise ImageError(
                f"{path} cannot be read as a video (OpenCV finds no picture in it): convert it to MP4, or copy it again"
            )
        fps, promised = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        yield Video(fps if math.isfinite(fps) else 0.0, max(0, int(promised)), _pictures(capture))
    finally:
        capture.release()


def _pictures(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the pictures up to the end, or to where the file is damaged."""
    while True:
        got, bgr = capture.read()
        if not got:
            return
        yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def process(
    path: Path,
    film_path: Path,
    predictor: Any,
    options: Options,
    save: Save | None = None,
    step: Callable[[int, int], object] = lambda passed, promised: None,
) -> dict[str, Any]:
    """Write the film of a video and return its figures.

    `save` is given each picture's number, RGB and depth; `step` how many pictures were passed, of how many. Raises
    ImageError, CalibrationError or InferenceError, and then leaves no film; OutputError when it cannot be written.
    """
    focal_px = None if options.focal in ("auto", "estimate") else _pixels(options.focal)
    figures, colours = Figures(), ColourRange()
    with open_video(path) as video, film(film_path, rate(video, path, options)) as made:

        def advance(passed: int) -> None:
            figures.passed = passed
            step(passed, video.promised)

        for number, rgb, depth in depths(video, _predict(predictor, focal_px), options, advance):
            figures.add(depth)
            caption = f"depth, focal {depth.focal_px:.0f} px"
            if not predictor.description["trained"]:
                caption = f"UNTRAINED WEIGHTS, {caption}"
            made.add(panel(rgb, depth, caption, colours.follow(depth.depth_m)))
            if save is not None:
                save(number, rgb, depth)
        if not figures.count:
            raise ImageError(f"{path} cannot be read as a video (no picture in it can be decoded): convert it to MP4")
        source = "command line" if focal_px else "network"
        cut_short = figures.passed < WHOLE * video.promised
        return {**figures.values(), "fps": made.fps, "focal_from": source, "cut_short": cut_short}


def _pixels(focal: str | float) -> float:
    """Return a focal length in pixels; EXIF, which videos lack, is a CalibrationError."""
    if isinstance(focal, str):
        raise CalibrationError("a video has no EXIF: give --focal estimate, or a number of pixels")
    return focal


def _predict(predictor: Any, focal_px: float | None) -> Predict:
    """Return what predicts pictures of one camera, whose estimated focal length is filtered over time."""
    from depth_pro_ros.inference import FocalFilter  # imports PyTorch, which the predictor has done

    focal_filter = FocalFilter()
    return lambda images: predictor.predict_batch(
        images, focal_px=focal_px, estimate_focal=True, focal_filter=focal_filter
    )


def rate(video: Video, path: Path, options: Options) -> float:
    """Return the film's pictures per second: what was asked, else so many that time passes as in the video."""
    if options.fps:
        return options.fps
    if video.fps <= 0:
        raise ImageError(f"{path} does not tell how many pictures a second it has: give --fps")
    return video.fps / options.every


def depths(
    video: Video, predict: Predict, options: Options, step: Callable[[int], object]
) -> Iterator[tuple[int, np.ndarray, DepthMap]]:
    """Yield (number, picture, depth) of every n-th picture, predicted so many at a time as the options say.

    `step` is called with how many pictures of the video have been passed.
    """
    waiting: list[tuple[int, np.ndarray]] = []
    for number, rgb in enumerate(video.pictures):
        if number % options.every == 0:
            waiting.append((number, rgb))
        if len(waiting) == options.batch:
            yield from _predicted(waiting, predict)
            waiting = []
        step(number + 1)
    yield from _predicted(waiting, predict)


def _predicted(
    waiting: Sequence[tuple[int, np.ndarray]], predict: Predict
) -> Iterator[tuple[int, np.ndarray, DepthMap]]:
    if waiting:
        for (number, rgb), depth in zip(waiting, predict([rgb for _, rgb in waiting]), strict=True):
            yield number, rgb, depth


class Figures:
    """What a video's record tells, gathered picture by picture; `passed` counts those left out as well."""

    def __init__(self) -> None:
        self.count = self.passed = 0
        self.last: DepthMap | None = None
        self._estimates: list[float] = []
        self._medians: list[float] = []

    def add(self, depth: DepthMap) -> None:
        """Take one picture's depth."""
        self.count += 1
        self.last = depth
        known = depth.depth_m[np.isfinite(depth.depth_m)]
        if known.size:
            self._medians.append(float(np.median(known)))
        if depth.focal_estimated_px is not None:
            self._estimates.append(float(depth.focal_estimated_px))

    def values(self) -> dict[str, Any]:
        """Return the figures as values that JSON can hold."""
        height, width = self.last.depth_m.shape
        return {
            "width": width,
            "height": height,
            "pictures": self.count,
            "passed": self.passed,
            "focal_px": float(self.last.focal_px),
            "focal_estimated_px": median(self._estimates) if self._estimates else None,
            "depth_median_m": median(self._medians) if self._medians else None,
        }


def panel(rgb: np.ndarray, depth: DepthMap, caption: str, span: tuple[float, float] | tuple[None, None]) -> np.ndarray:
    """Return the picture beside its depth."""
    height = min(max(rgb.shape[0], PANEL_HEIGHT[0]), PANEL_HEIGHT[1])
    return pictures.side_by_side(rgb, depth.depth_m, caption, *span, height=height)


def summary(record: dict[str, Any]) -> str:
    """Return one line for people about a video."""
    middle = record["depth_median_m"]
    depth = "no depth known" if middle is None else f"median depth {middle:.2f} m"
    return (
        f"{record['input']}: {record['pictures']} pictures, {depth}, focal {record['focal_px']:.0f} px "
        f"({record['focal_from']}), {record['seconds']:.1f} s -> {record['outputs']['mp4']}"
    )
