"""Pictures joined into an MP4, which takes its name only when it is whole; and colours that do not flicker in it."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs import pictures

CODEC = "mp4v"  # MPEG-4 part 2, which every build of OpenCV writes and every player but a browser shows
FOLLOW = 0.1  # share of a new picture's range in the range of the colours


class Film:
    """Takes RGB pictures (H, W, 3) uint8 one after the other; the first one sets the size. Made by `film`."""

    def __init__(self, path: Path, fps: float, name: Path) -> None:
        self._path = path
        self._name = name
        self.fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self.count = 0

    def add(self, rgb: np.ndarray) -> None:
        """Append a picture, fitted into the first one's size with its aspect kept; raises OutputError."""
        if self._writer is None:
            height, width = rgb.shape[:2]
            self._size = (width + width % 2, height + height % 2)  # colour is stored for 2 x 2 pixels together
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter_fourcc(*CODEC), self.fps, self._size)
            if not self._writer.isOpened():
                raise OutputError(f"{self._name} cannot be written as a video: give a folder that can be written to")
        self._writer.write(cv2.cvtColor(_fitted(rgb, self._size), cv2.COLOR_RGB2BGR))
        self.count += 1

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


def _fitted(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the picture in the middle of a ground of `size` = (w, h), made smaller where it does not fit."""
    height, width = rgb.shape[:2]
    shrink = min(1.0, size[0] / width, size[1] / height)
    if shrink < 1:
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    if (width, height) == size:
        return rgb
    ground = np.full((size[1], size[0], 3), pictures.PAPER_RGB, np.uint8)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    ground[top : top + height, left : left + width] = rgb
    return ground


@contextmanager
def film(path: Path, fps: float) -> Iterator[Film]:
    """Give a film that is named `path` once the block ended well, and every picture was found in the file again.

    OpenCV does not tell when a disk is full, so the file is counted. Without a picture there is no file.
    """
    aside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    made = Film(aside, fps, path)
    try:
        try:
            yield made
        finally:
            made.close()
        if made.count:
            _check(aside, path, made.count)
            os.replace(aside, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}): give another folder") from error
    finally:
        if aside.exists():
            aside.unlink()


def _check(aside: Path, path: Path, count: int) -> None:
    """Raise OutputError unless the file holds `count` pictures."""
    capture = cv2.VideoCapture(str(aside))
    try:
        held = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()
    if held != count:
        raise OutputError(
            f"{path} cannot be written (of {count} pictures, {held} reached the disk): free space, or give another "
            "folder"
        )


class ColourRange:
    """The (near, far) metres that a film's colours span: they follow the depth slowly, so that nothing flickers."""

    def __init__(self) -> None:
        self._log: np.ndarray | None = None

    def follow(self, depth_m: np.ndarray) -> tuple[float, float] | tuple[None, None]:
        """Return the range for the next picture; (None, None) before any depth was known."""
        span = pictures.depth_range(depth_m)
        if span is not None:
            new = np.log(span)
            self._log = new if self._log is None else (1 - FOLLOW) * self._log + FOLLOW * new
        if self._log is None:
            return None, None
        near, far = (math.exp(value) for value in self._log)
        return near, far
