"""What the demo makes of the recorded frames: figures against the truth, the report, the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.outputs import pictures

STAGES = ("decode", "rectify", "preprocess", "network", "metric", "fuse", "messages", "publish")
UNTRAINED = "THE WEIGHTS ARE UNTRAINED: THE DEPTH IS NOISE THAT ONLY SHOWS THAT EVERYTHING RUNS"
COUNTS = {"frames_in": "received", "frames_out": "published", "dropped": "dropped"}


@dataclass(frozen=True)
class Frame:
    """One frame as ros/recorded_frame.py writes it; see `frame_arrays` there for shapes and units."""

    depth_m: np.ndarray
    points: np.ndarray
    colours: np.ndarray
    photo: np.ndarray
    focal_px: float
    believed_focal_px: float
    calibrated: bool
    age_ms: float
    arrived_s: float
    truth_m: np.ndarray | None = None
    unfused_m: np.ndarray | None = None

    @property
    def spread(self) -> float:
        """Return farthest over nearest depth, of the truth where there is one: a bare wall's is near 1, none's 0."""
        span = pictures.depth_range(self.depth_m if self.truth_m is None else self.truth_m)
        return span[1] / span[0] if span else 0.0

    @classmethod
    def read(cls, path: Path) -> Frame:
        """Read a frame's file."""
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] if arrays[name].ndim else arrays[name].item() for name in arrays})


@dataclass
class Tally:
    """The figures of all frames so far, the last frame, and the one with most to show, for the pictures."""

    age_ms: list[float] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    abs_rel: list[float] = field(default_factory=list)
    delta1: list[float] = field(default_factory=list)
    abs_rel_fused: list[float] = field(default_factory=list)
    delta1_fused: list[float] = field(default_factory=list)
    focal_error_percent: list[float] = field(default_factory=list)
    last: Frame | None = None
    shown: Frame | None = None

    def add(self, frame: Frame) -> None:
        """Take in one frame; one without truth replaces none with truth as the last and as the one that is shown."""
        self.age_ms.append(frame.age_ms)
        self.arrived_s.append(frame.arrived_s)
        if frame.calibrated:
            self.focal_error_percent.append(100.0 * abs(frame.believed_focal_px / frame.focal_px - 1.0))
        if frame.truth_m is not None and np.isfinite(frame.truth_m).any():
            plain = frame.depth_m if frame.unfused_m is None else frame.unfused_m
            self._compare(plain, frame.truth_m, self.abs_rel, self.delta1)
            if frame.unfused_m is not None:
                self._compare(frame.depth_m, frame.truth_m, self.abs_rel_fused, self.delta1_fused)
        if self.last is None or self.last.truth_m is None or frame.truth_m is not None:
            self.last = frame
        if self.shown is None or _shows_more(frame, self.shown):
            self.shown = frame

    @staticmethod
    def _compare(depth_m: np.ndarray, truth_m: np.ndarray, errors: list[float], shares: list[float]) -> None:
        shares.append(delta1(depth_m, truth_m))
        if math.isfinite(error := abs_rel(depth_m, truth_m)):
            errors.append(error)

    @property
    def count(self) -> int:
        """Return the number of frames."""
        return len(self.age_ms)

    @property
    def rate_hz(self) -> float | None:
        """Return frames a second between the first arrival and the last, None when no time lies between them."""
        elapsed_s = self.arrived_s[-1] - self.arrived_s[0]
        return (self.count - 1) / elapsed_s if elapsed_s > 0 else None


def _shows_more(frame: Frame, other: Frame) -> bool:
    """Return whether a frame is better to look at: with truth rather than without, then the wider span of depths."""
    return (frame.truth_m is not None, frame.spread) > (other.truth_m is not None, other.spread)


def relative_error(depth_m: np.ndarray, truth_m: np.ndarray) -> np.ndarray:
    """Return |depth - truth| / truth, NaN where either is not a finite, positive depth."""
    known = np.isfinite(depth_m) & np.isfinite(truth_m) & (truth_m > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known, np.abs(depth_m - truth_m) / truth_m, np.nan)


def abs_rel(depth_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Return the mean of |depth - truth| / truth where both are known, NaN where nothing is; no scale is fitted."""
    errors = relative_error(depth_m, truth_m)
    known = np.isfinite(errors)
    return float(errors[known].mean()) if known.any() else math.nan


def delta1(depth_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Return the share of true depths that the prediction meets within a factor of 1.25; unknown depth is a miss."""
    asked = np.isfinite(truth_m) & (truth_m > 0)
    depth, truth = depth_m[asked].astype(np.float64), truth_m[asked].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((np.maximum(depth / truth, truth / depth) < 1.25).mean()) if depth.size else math.nan


def make_report(tally: Tally, status: Mapping[str, str], source: str, path: str | None) -> dict[str, Any]:
    """Return report.json's content from the recorded frames and depth_node's last diagnostics.

    Counts and latencies are depth_node's own; rate and age are measured where the depth arrives. Errors
    against the truth are medians over the frames, and are there only with a truth to compare.
    """
    report: dict[str, Any] = {
        "source": source,
        "path": path,
        "weights": status["weights"],
        "trained": status["trained"] == "True",
        "device": status["device"],
        "precision": status["precision"],
        **{key: int(status[name]) for key, name in COUNTS.items()},
        "frames_lost": int(status["rejected"]) + int(status["failed"]),
        "frames_measured": tally.count,
        "rate_hz": tally.rate_hz,
        "latency_ms": {stage: _from_status(status, stage) for stage in STAGES if f"{stage}_ms_p50" in status},
        "age_ms": dict(zip(("p50", "p95"), np.percentile(tally.age_ms, (50, 95)).tolist(), strict=True)),
        "focal_px": tally.last.focal_px,
        "focal_from": "camera_info" if tally.last.calibrated else "network",
    }
    if tally.abs_rel_fused:
        report |= {name: status.get(name, "") for name in ("scale_state", "scale_reason")}
    for name in ("abs_rel", "delta1", "abs_rel_fused", "delta1_fused", "focal_error_percent"):
        if values := getattr(tally, name):
            report[name] = float(np.median(values))
    return report


def _from_status(status: Mapping[str, str], stage: str) -> dict[str, float]:
    return {share: float(status[f"{stage}_ms_{share}"]) for share in ("p50", "p95")}


def table(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    rate = "-" if report["rate_hz"] is None else f"{report['rate_hz']:.1f} Hz"
    recorded = "" if report["frames_measured"] == report["frames_out"] else f"; {report['frames_measured']} recorded"
    rows = [
        ("source", report["source"] + (f" {report['path']}" if report["path"] else ""), ""),
        ("weights", f"{report['weights']} on {report['device']}, {report['precision']}", ""),
        ("frames in", report["frames_in"], "images that reached depth_node"),
        ("frames out", report["frames_out"], f"with depth, camera_info and cloud{recorded}"),
        ("dropped", report["dropped"], "dropped by design: the newest frame is always taken"),
        *([("lost", report["frames_lost"], "see logs/depth_node.log")] if report["frames_lost"] else []),
        ("rate", rate, "depth images where they arrive"),
        ("latency", "p50       p95", "in depth_node, by stage"),
        *((f"  {stage}", _milliseconds(values), "") for stage, values in report["latency_ms"].items()),
        ("age", _milliseconds(report["age_ms"]), "from the image's stamp to the depth's arrival"),
        ("focal", f"{report['focal_px']:.1f} px", f"from {_ORIGINS[report['focal_from']]}"),
        *_error_rows(report),
        *([("scale", report["scale_state"], report["scale_reason"])] if "scale_state" in report else []),
    ]
    lines = [f"{name:<13}{_fitted(value)}{'   ' + note if note else ''}" for name, value, note in rows]
    return "\n".join([*lines, *([] if report["trained"] else [UNTRAINED])])


_ORIGINS = {"camera_info": "camera_info", "network": "the network's estimate"}


def _fitted(value: object) -> str:
    """Return a value right-aligned to the column of figures; a longer one stays as it is."""
    return f"{value:>20}" if len(str(value)) <= 20 else f"       {value}"


def _milliseconds(values: Mapping[str, float]) -> str:
    return f"{values['p50']:.1f}{values['p95']:>9.1f} ms"


def _error_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of what was compared with the truth."""
    meanings = {
        "abs_rel": ("abs_rel", "{:.3f}", "mean |depth - truth| / truth; median over the frames"),
        "abs_rel_fused": ("  fused", "{:.3f}", "the same after the cues"),
        "delta1": ("delta1", "{:.3f}", "share of the truth met within a factor of 1.25"),
        "delta1_fused": ("  fused", "{:.3f}", "the same after the cues"),
        "focal_error_percent": ("focal error", "{:.1f} %", "of the network's own estimate against camera_info"),
    }
    return [(name, form.format(report[key]), note) for key, (name, form, note) in meanings.items() if key in report]
