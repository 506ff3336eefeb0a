"""The figures beside the picture, as HTML: focal lengths, depth, weights. Every text from outside is escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import pictures
from depth_pro_ros.records import DepthMap

PERCENTILES = (5, 50, 95)
LEGEND_STOPS = 17

UNTRAINED = (
    "THE WEIGHTS ARE UNTRAINED: this depth is noise that only shows that the page runs. "
    "Start the page with --weights and a trained checkpoint."
)


def focal_rows(result: DepthMap, origin: str, exif_px: float | None) -> list[tuple[str, str, str]]:
    """Return (name, pixels, 35 mm equivalent) of the focal length used, the network's, and EXIF's where there is one.

    The equivalent compares image diagonals, as EXIF's FocalLengthIn35mmFilm does (CIPA DCG-001).
    """
    found = [(f"used (from {origin})", result.focal_px), ("estimated by the network", result.focal_estimated_px)]
    found.append(("EXIF", exif_px))
    height, width = result.depth_m.shape
    rows = []
    for name, focal_px in found:
        if focal_px is None:
            rows.append((name, "none", ""))
        else:
            rows.append((name, f"{focal_px:.0f} px", f"{pinhole.focal_to_35mm(focal_px, width, height):.1f} mm"))
    return rows


def depth_row(depth_m: np.ndarray) -> str:
    """Return the 5th, 50th and 95th percentile of the known depths, in metres, as one text."""
    known = depth_m[np.isfinite(depth_m)]
    if not known.size:
        return "nothing known"
    low, middle, high = np.percentile(known, PERCENTILES)
    return f"{low:.2f} to {high:.2f} m, median {middle:.2f} m"


def table(
    result: DepthMap, origin: str, exif_px: float | None, description: Mapping[str, Any], cut_m: float | None = None
) -> str:
    """Return the table of figures of one prediction; `cut_m` is where the foreground ends, once that is known."""
    height, width = result.depth_m.shape
    fov_deg = pinhole.fov_from_focal(result.focal_px, width)
    rows = [("focal length", "pixels", "35 mm equivalent"), *focal_rows(result, origin, exif_px)]
    rows += [
        ("field of view", f"{fov_deg:.1f}&deg; across", ""),
        ("depth", depth_row(result.depth_m), ""),
        ("foreground", "" if cut_m is None else f"nearer than {cut_m:.2f} m", ""),
        ("photo", f"{width} x {height} pixels", ""),
        ("weights", html.escape(f"{description['weights']}, {description['device']}, {description['precision']}"), ""),
        ("time", f"{sum(result.timings_ms.values()) / 1e3:.2f} s for the depth", ""),
    ]
    return f'<table class="figures">{"".join(map(_row, rows))}</table>'


def _row(cells: Sequence[str]) -> str:
    name, value, more = cells
    cells = f"<td>{value}</td><td>{more}</td>" if more else f'<td colspan="2">{value}</td>'
    return f"<tr><th>{html.escape(name)}</th>{cells}</tr>"


def legend(depth_m: np.ndarray) -> str:
    """Return the bar of depth's colours, near to far, linear in inverse depth; empty when no depth is known."""
    span = pictures.depth_range(depth_m)
    if span is None:
        return ""
    near, far = span
    stops = 1.0 / np.linspace(1.0 / near, 1.0 / far, LEGEND_STOPS)
    colours = pictures.colour_depth(stops[None], near, far)[0]
    ramp = ", ".join(f"rgb({r},{g},{b})" for r, g, b in colours.tolist())
    middle = 2.0 / (1.0 / near + 1.0 / far)
    labels = "".join(f"<span>{metres:.2f} m</span>" for metres in (near, middle, far))
    return f'<div class="legend"><div style="background: linear-gradient(to right, {ramp})"></div>{labels}</div>'


def notice(text: str, bad: bool = False) -> str:
    """Return a line for people; a bad one is announced by screen readers and stands out."""
    kind, role = ("bad", "alert") if bad else ("good", "status")
    return f'<p class="notice {kind}" role="{role}">{html.escape(text)}</p>' if text else ""
