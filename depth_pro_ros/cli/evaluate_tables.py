"""The figures of a set as text for people, as plain values for JSON, and by image as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from depth_pro_ros.cli.evaluate_journal import Record
from depth_pro_ros.evaluation import guesses
from depth_pro_ros.evaluation.depth import DepthMetrics
from depth_pro_ros.evaluation.figures import OTHER_FOCAL, SetFigures
from depth_pro_ros.evaluation.ranges import EDGES_M

COLUMNS = {
    "abs_rel": ("AbsRel", "{:.4f}"),
    "rmse_m": ("RMSE m", "{:.3f}"),
    "log10": ("log10", "{:.4f}"),
    "delta1": ("delta1", "{:.4f}"),
    "delta2": ("delta2", "{:.4f}"),
    "delta3": ("delta3", "{:.4f}"),
    "si_log": ("SI-log", "{:.4f}"),
}
ALIGNED = {"none": "", "scale": ", scale", "scale_shift": ", scale and shift"}
WIDTH = 40


def depth_table(figures: SetFigures, baselines: guesses.Table, focal: str) -> str:
    """Return the rows of the network and of the baselines; empty when the set has no depth.

    `focal` says which focal length the network's rows were made with, "given" or "estimated".
    """
    if not figures.depth:
        return ""
    other = "estimated" if focal == "given" else "given"
    rows = [(f"network{end}", figures.depth[align]) for align, end in ALIGNED.items()]
    if OTHER_FOCAL in figures.depth:
        rows.insert(1, (f"network, focal length {other}", figures.depth[OTHER_FOCAL]))
    for align in ("none", "scale_shift"):
        rows += [(f"{name}{ALIGNED[align]}", row[align]) for name, row in baselines.items()]
    return "\n".join([_header(), *(_row(*row) for row in rows)])


def _header() -> str:
    return " " * WIDTH + "".join(f"{title:>9}" for title, _ in COLUMNS.values())


def _row(name: str, metrics: DepthMetrics) -> str:
    return f"{name:<{WIDTH}}" + "".join(f"{form.format(getattr(metrics, n)):>9}" for n, (_, form) in COLUMNS.items())


def other_lines(figures: SetFigures, baselines: guesses.Table) -> list[str]:
    """Return a line for each figure that is no row of the table."""
    lines = []
    if figures.boundary_f1 is not None:
        lines.append(f"boundary F1 against the depth {figures.boundary_f1:.4f}")
    if figures.boundary_recall is not None:
        lines.append(f"boundary recall of the masks {figures.boundary_recall:.4f}")
    if figures.focal is not None:
        focal = figures.focal
        lines.append(
            f"focal length: median error {focal.median_relative_error:.1%}, within 25 % {focal.delta25:.1%}, within "
            f"50 % {focal.delta50:.1%} of {focal.images}; field of view: median error "
            f"{figures.fov_median_error_deg:.2f} degrees"
        )
    if figures.seams is not None:
        lines.append(f"seams: gradient at the patches' joints over that elsewhere on planes {figures.seams.ratio:.3f}")
    ratios = over_baselines(figures, baselines)
    for name, ratio in ratios.items():
        lines.append(f"{name}: {ratio:.3f}")
    return lines


def over_baselines(figures: SetFigures, baselines: guesses.Table) -> dict[str, float]:
    """Return how many times the best baselines' delta1 and aligned AbsRel the network's are; {} without depth."""
    if not figures.depth or not baselines:
        return {}
    ratios = {}
    for name in (guesses.CONSTANT, guesses.BY_ROW):
        best = max(row["none"].delta1 for label, row in baselines.items() if label.startswith(name))
        if best > 0:
            ratios[f"delta1 over that of the {name}"] = figures.depth["none"].delta1 / best
    aligned = guesses.least(baselines, guesses.BY_ROW, "scale_shift")
    if aligned:
        ratio = figures.depth["scale_shift"].abs_rel / aligned
        ratios[f"AbsRel over that of the {guesses.BY_ROW}, both after scale and shift"] = ratio
    return ratios


def comparison(sets: Iterable[tuple[str, SetFigures, guesses.Table]]) -> str:
    """Return one row for each set that has depth: aligned AbsRel of the network and of the best rows."""
    lines = [f"{'AbsRel after scale and shift':<{WIDTH}}{'network':>10}{'best rows':>11}{'ratio':>8}"]
    for name, figures, baselines in sets:
        rows = guesses.least(baselines, guesses.BY_ROW, "scale_shift")
        if figures.depth and rows:
            mine = figures.depth["scale_shift"].abs_rel
            lines.append(f"{name:<{WIDTH}}{mine:>10.4f}{rows:>11.4f}{mine / rows:>8.3f}")
    return "\n".join(lines)


def plain(figures: SetFigures, baselines: guesses.Table) -> dict[str, Any]:
    """Return all figures as values that JSON can hold; None is what the set's truth does not allow."""
    by_range = {
        "edges_m": EDGES_M.tolist(),
        "pixels": next((each.pixels.tolist() for each in figures.ranges.values()), []),
        "abs_rel": {align: _finite(each.mean.tolist()) for align, each in figures.ranges.items()},
    }
    return {
        "images": figures.images,
        "network": {row: asdict(metrics) for row, metrics in figures.depth.items()},
        "baselines": {n: {align: asdict(m) for align, m in row.items()} for n, row in baselines.items()},
        "over_baselines": over_baselines(figures, baselines),
        "boundary_f1": figures.boundary_f1,
        "boundary_recall": figures.boundary_recall,
        "focal": None if figures.focal is None else asdict(figures.focal),
        "fov_median_error_deg": figures.fov_median_error_deg,
        "seam_ratio": None if figures.seams is None else _finite([figures.seams.ratio])[0],
        "by_range": by_range,
    }


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def by_image(records: Sequence[Record]) -> str:
    """Return a CSV with one line for each image: unaligned and aligned figures, boundaries and focal length."""
    names = [f"{row}_{column}" for row in ALIGNED for column in COLUMNS]
    extra = ["boundary_f1", "boundary_recall", "focal_estimated_px", "focal_true_px", "fov_error_deg"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", *names, *extra])
    for figures in (record.figures for record in records):
        depth = [getattr(figures.depth[r], c) if r in figures.depth else "" for r in ALIGNED for c in COLUMNS]
        focal = asdict(figures.focal).values() if figures.focal else ("", "", "")
        boundaries = ("" if value is None else value for value in (figures.boundary_f1, figures.boundary_recall))
        table.writerow([figures.name, *depth, *boundaries, *focal])
    return text.getvalue()
