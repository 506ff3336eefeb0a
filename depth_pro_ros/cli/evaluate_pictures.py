"""The pictures of `evaluate`: the error against the range, and the images with the largest errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.cli import demo_pictures
from depth_pro_ros.evaluation.figures import SetFigures
from depth_pro_ros.evaluation.ranges import EDGES_M

SIZE, LEFT, RIGHT, TOP, BOTTOM = (960, 560), 70, 20, 40, 60  # of the plot and its margins, pixels
TITLE = 24  # the baseline of the first line
FONT, SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.48
PAPER, INK, GRID, BARS = (255, 255, 255), (30, 30, 30), (225, 225, 225), (205, 215, 235)
LINES = {
    "none": ("as predicted", (200, 60, 40)),
    "scale": ("after scale", (40, 120, 190)),
    "scale_shift": ("after scale and shift", (40, 150, 80)),
}
TICKS_M = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MOST_ERROR = 1.0  # the top of the plot; larger errors lie on it
LEAST_SHARE = 1e-4  # of the pixels: ranges with fewer are left out


@dataclass(frozen=True, eq=False)
class Shown:
    """An image with its depth and truth in metres, as demo_pictures draws frames; there is nothing fused."""

    photo: np.ndarray
    depth_m: np.ndarray
    truth_m: np.ndarray | None
    unfused_m: None = None


def error_picture(rgb: np.ndarray, depth_m: np.ndarray, truth_m: np.ndarray | None, trained: bool) -> np.ndarray:
    """Return photo, prediction, truth and relative error in a row, (h, w, 3) uint8 RGB; unknown truth is grey."""
    truth = None if truth_m is None else np.where(truth_m > 0, truth_m, np.float32(np.nan))
    return demo_pictures.depth_picture(Shown(rgb, depth_m, truth), trained)


def range_plot(figures: SetFigures, title: str) -> np.ndarray:
    """Return mean relative error against true depth, (560, 960, 3) uint8 RGB; bars are the share of pixels."""
    picture = np.full((SIZE[1], SIZE[0], 3), PAPER, np.uint8)
    pixels = next(iter(figures.ranges.values())).pixels
    used = np.flatnonzero(pixels > LEAST_SHARE * pixels.sum())
    low, high = math.log(EDGES_M[used[0]]), math.log(EDGES_M[used[-1] + 1])
    means = {align: each.mean for align, each in figures.ranges.items()}
    top = min(MOST_ERROR, max(0.1, 1.1 * max(float(mean[used].max()) for mean in means.values())))

    def place(depth_m: float, height: float) -> tuple[int, int]:
        across = (math.log(depth_m) - low) / (high - low)
        u = LEFT + across * (SIZE[0] - LEFT - RIGHT)
        return round(u), round(SIZE[1] - BOTTOM - min(height, 1.0) * (SIZE[1] - TOP - BOTTOM))

    for index in used:
        near, far = EDGES_M[index : index + 2]
        share = pixels[index] / pixels.max()
        cv2.rectangle(picture, place(near, 0.3 * share), place(far, 0), BARS, cv2.FILLED)
    _axes(picture, place, top, (low, high))
    legend = SIZE[0] - RIGHT - 420
    for align, mean in means.items():
        name, colour = LINES[align]
        points = [place(math.sqrt(EDGES_M[i] * EDGES_M[i + 1]), mean[i] / top) for i in used]
        cv2.polylines(picture, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)
        _write(picture, name, (legend, TITLE), colour)
        legend += cv2.getTextSize(name, FONT, SCALE, 1)[0][0] + 24
    _write(picture, title, (LEFT, TITLE), INK)
    return picture


def _axes(picture: np.ndarray, place, top: float, ends: tuple[float, float]) -> None:
    """Draw the grid, the numbers and the axes' names."""
    for depth_m in (tick for tick in TICKS_M if ends[0] - 1e-9 <= math.log(tick) <= ends[1] + 1e-9):
        cv2.line(picture, place(depth_m, 0), place(depth_m, 1), GRID, 1)
        _write(picture, f"{depth_m:g} m", (place(depth_m, 0)[0] - 16, SIZE[1] - BOTTOM + 20), INK)
    for step in range(6):
        v = place(1.0, step / 5)[1]
        cv2.line(picture, (LEFT, v), (SIZE[0] - RIGHT, v), GRID, 1)
        _write(picture, f"{100 * top * step / 5:.0f} %", (18, v + 5), INK)
    _write(picture, "true depth (bars: share of the pixels); upwards: mean relative error", (LEFT, SIZE[1] - 14), INK)


def _write(picture: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, corner, FONT, SCALE, colour, 1, cv2.LINE_AA)
