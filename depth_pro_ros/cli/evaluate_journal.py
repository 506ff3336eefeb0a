"""What is kept of each finished image, in memory and in a file from which an interrupted evaluation goes on."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.evaluation.depth import DepthMetrics
from depth_pro_ros.evaluation.figures import Focal, ImageFigures
from depth_pro_ros.evaluation.guesses import COLUMNS, ROWS
from depth_pro_ros.evaluation.ranges import RangeErrors
from depth_pro_ros.evaluation.seams import SeamSums


@dataclass(frozen=True, eq=False)
class Record:
    """What stays of an image: its figures, and its thinned truth (96, 32) in metres where there is one."""

    figures: ImageFigures
    truth_m: np.ndarray | None


class Journal:
    """A file with one line for each finished image, behind a line that says what was evaluated."""

    def __init__(self, path: Path, identity: Mapping[str, Any]):
        self.path, self._identity = path, json.loads(json.dumps(identity))

    def read(self) -> dict[str, Record]:
        """Return what is done, by name, and begin the file where there is none; a line cut short does not count.

        Raises ConfigurationError for a file of another evaluation, OutputError for one that cannot be written.
        """
        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        except OSError as error:
            raise OutputError(f"'{self.path}' cannot be read ({error.strerror}): give another --output") from error
        whole = text[: text.rfind("\n") + 1]
        if not whole:
            self._write("w", self._identity)
            return {}
        first, *lines = whole.splitlines()
        if json.loads(first) != self._identity:
            raise ConfigurationError(
                f"'{self.path}' is of another evaluation that was interrupted: repeat that one, delete the file, or "
                "give another --output"
            )
        if whole != text:
            os.truncate(self.path, len(whole.encode("utf-8")))
        records = [from_plain(json.loads(line)) for line in lines]
        return {record.figures.name: record for record in records}

    def add(self, record: Record) -> None:
        """Append a finished image; raises OutputError."""
        self._write("a", to_plain(record))

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _write(self, mode: str, values: Mapping[str, Any]) -> None:
        try:
            with open(self.path, mode, encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise OutputError(
                f"'{self.path}' cannot be written ({error.strerror}): free space, or give another --output"
            ) from error


def to_plain(record: Record) -> dict[str, Any]:
    """Return a record as values that JSON can hold; see `from_plain`."""
    figures, truth = record.figures, record.truth_m
    return {
        "name": figures.name,
        "depth": {row: asdict(metrics) for row, metrics in figures.depth.items()},
        "ranges": {row: [each.pixels.tolist(), each.error.tolist()] for row, each in figures.ranges.items()},
        "boundary_f1": figures.boundary_f1,
        "boundary_recall": figures.boundary_recall,
        "focal": None if figures.focal is None else asdict(figures.focal),
        "seams": None if figures.seams is None else asdict(figures.seams),
        "truth_m": None if truth is None else base64.b64encode(truth.astype("<f4").tobytes()).decode("ascii"),
    }


def from_plain(values: Mapping[str, Any]) -> Record:
    """Return the record that `to_plain` described, to the bit."""
    focal, seams, truth = (values[name] for name in ("focal", "seams", "truth_m"))
    figures = ImageFigures(
        name=values["name"],
        depth={row: DepthMetrics(**metrics) for row, metrics in values["depth"].items()},
        ranges={row: RangeErrors(*map(np.array, each)) for row, each in values["ranges"].items()},
        boundary_f1=values["boundary_f1"],
        boundary_recall=values["boundary_recall"],
        focal=None if focal is None else Focal(**focal),
        seams=None if seams is None else SeamSums(**seams),
    )
    thinned = None if truth is None else np.frombuffer(base64.b64decode(truth), "<f4").reshape(ROWS, COLUMNS)
    return Record(figures, thinned)
