"""The demo's pictures of one frame: photo, depth, truth and error in a row; the cloud from two viewpoints."""

from __future__ import annotations

import cv2
import numpy as np

from depth_pro_ros.cli.demo_report import Frame, abs_rel, relative_error
from depth_pro_ros.outputs import cloud_view, pictures

PANEL_HEIGHT = 400
WORST = 0.5  # relative error of the error panel's brightest colour
UNKNOWN_RGB = (70, 74, 82)
UNTRAINED_MARK = "WEIGHTS ARE UNTRAINED: "


def depth_picture(frame: Frame, trained: bool) -> np.ndarray:
    """Return photo and depth (h, w, 3) uint8 RGB and, where there is truth, the truth and the relative error.

    Both depths share the truth's colours, so that a wrong scale shows.
    """
    reference = frame.depth_m if frame.truth_m is None else frame.truth_m
    span = pictures.depth_range(reference) or (1.0, 10.0)
    mark = "" if trained else UNTRAINED_MARK
    images = [("photo", frame.photo)]
    if frame.unfused_m is not None:
        images.append((f"{mark}depth before fusion", _coloured(frame.unfused_m, span)))
        mark = "fused "
    images.append((f"{mark}depth", _coloured(frame.depth_m, span)))
    if frame.truth_m is not None:
        error = abs_rel(frame.depth_m, frame.truth_m)
        images += [
            ("true depth", _coloured(frame.truth_m, span)),
            (f"relative error, mean {error:.0%} (dark 0%, bright {WORST:.0%} and more)", error_colours(frame)),
        ]
    return pictures.panels(images, span, PANEL_HEIGHT)


def error_colours(frame: Frame) -> np.ndarray:
    """Return the relative error (H, W, 3) uint8 RGB from black (0) to pale yellow (WORST); grey where unknown."""
    error = relative_error(frame.depth_m, frame.truth_m)
    known = np.isfinite(error)
    level = np.rint(np.clip(np.where(known, error, 0.0) / WORST, 0.0, 1.0) * 255).astype(np.uint8)
    rgb = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return np.where(known[..., None], rgb, np.uint8(UNKNOWN_RGB))


def cloud_picture(frame: Frame, trained: bool) -> np.ndarray:
    """Return the cloud, which has a point at least, from behind and above the camera, and from straight above."""
    views = cloud_view.two_views(frame.points, frame.colours, size=(1600, 600))
    mark = "" if trained else UNTRAINED_MARK
    half = views.shape[1] // 2
    return pictures.panels([(f"{mark}point cloud", views[:, :half]), ("the same from above", views[:, half:])])


def _coloured(depth_m: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Return depth (H, W) in colours at the panels' height, each pixel kept whole."""
    width = max(1, round(depth_m.shape[1] * PANEL_HEIGHT / depth_m.shape[0]))
    small = cv2.resize(depth_m, (width, PANEL_HEIGHT), interpolation=cv2.INTER_NEAREST)
    return pictures.colour_depth(small, *span)
