"""The folder OUT.partial, in which an interrupted run is found again.

    OUT.partial/journal.json          what the predictions were made of and with
    OUT.partial/TOPIC/000012.npz      the prediction for an image topic's message 12, whole or not there at all
    OUT.partial/OUT/                  the bag while it is written, which takes the name OUT when it is whole

Meanwhile the predictions take as much of the disk as the depth images will.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.outputs import files
from depth_pro_ros.records import Intrinsics

JOURNAL = "journal.json"


@dataclass(frozen=True)
class Prediction:
    """Depth (H, W) float32 in metres without a range's end, its intrinsics, and whether the network guessed these."""

    depth_m: np.ndarray
    intrinsics: Intrinsics
    estimated: bool


class Spool:
    """The predictions of one bag so far."""

    def __init__(self, out: Path, folder: Path, journal: dict[str, Any]) -> None:
        self.out = out
        self.folder = folder
        self._journal = journal

    @classmethod
    def open(cls, out: Path, made_with: Mapping[str, Any], restart: bool = False) -> Spool:
        """Make or find OUT.partial; `restart` throws away what is in it.

        Raises OutputError when OUT is there already or its folder cannot be written, ConfigurationError when
        OUT.partial was made with something else.
        """
        folder = out.with_name(f"{out.name}.partial")
        if out.exists():
            raise OutputError(f"{out} is there already: give another name, or remove it")
        if restart and folder.exists():
            _remove(folder)
        files.make_folder(folder)
        journal = _read_journal(folder / JOURNAL)
        found = journal.get("made_with")
        if found is not None and found != dict(made_with):
            names = sorted(name for name in {*found, *made_with} if found.get(name) != made_with.get(name))
            told = "; ".join(f"{name}: {found.get(name)} then, {made_with.get(name)} now" for name in names)
            raise ConfigurationError(
                f"{folder} holds the predictions of another run ({told}): give what it was made with to go on with it, "
                "or --restart to begin anew"
            )
        spool = cls(out, folder, {"made_with": dict(made_with), "model": journal.get("model")})
        spool._save()
        _sweep(folder)
        return spool

    @property
    def model(self) -> dict[str, Any] | None:
        """Return the description of the predictor, None before it is known."""
        return self._journal["model"]

    @model.setter
    def model(self, description: Mapping[str, Any]) -> None:
        """Keep the description; raises ConfigurationError when the predictions so far are of other weights."""
        before = (self.model or description)["weights"]
        if before != description["weights"]:
            raise ConfigurationError(
                f"{self.folder} holds predictions of the weights {before}, and these are {description['weights']}: "
                "begin anew with --restart"
            )
        self._journal["model"] = dict(description)
        self._save()

    def _save(self) -> None:
        files.write_json(self.folder / JOURNAL, self._journal)

    def path(self, topic: str, number: int) -> Path:
        """Return the file of a prediction."""
        return self.folder / quote(topic.strip("/"), safe="").replace("%2F", "+") / f"{number:06d}.npz"

    def has(self, topic: str, number: int) -> bool:
        """Return whether a prediction is there."""
        return self.path(topic, number).exists()

    def read(self, topic: str, number: int) -> Prediction:
        """Return a prediction; raises OutputError when its file was damaged since."""
        return _load(self.path(topic, number), _prediction)

    def estimate(self, topic: str, number: int) -> tuple[float, tuple[int, int]] | None:
        """Return the network's focal length as a share of the width, and (w, h); None where camera_info told it."""
        return _load(self.path(topic, number), _estimate)

    def bag_folder(self) -> Path:
        """Return where the bag is to be written, with nothing there."""
        folder = self.folder / self.out.name
        if folder.exists():
            _remove(folder)
        return folder

    def finish(self) -> None:
        """Give the written bag its name, once its data is on the disk, and remove what is no longer needed."""
        folder = self.folder / self.out.name
        try:
            for file in folder.iterdir():
                with open(file, "rb+") as written:
                    os.fsync(written.fileno())
            os.rename(folder, self.out)
        except OSError as error:
            raise OutputError(f"{self.out} cannot be written ({error.strerror or error}): free its name") from error
        _remove(self.folder)

    def discard_if_empty(self) -> None:
        """Remove the folder when no prediction is in it, which leaves nothing behind of a run that failed at once."""
        if self.folder.exists() and not any(self.folder.glob("*/*.npz")):
            _remove(self.folder)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be removed ({error.strerror or error}): remove it by hand") from error


def _read_journal(path: Path) -> dict[str, Any]:
    """Return what a journal says, empty when there is none."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({error}): begin anew with --restart") from error


def _sweep(folder: Path) -> None:
    """Remove the files that a killed run left half written."""
    for half in folder.glob("*/.*.part"):
        half.unlink(missing_ok=True)


def _load(path: Path, take: Callable[[Mapping[str, np.ndarray]], Any]) -> Any:
    """Return what `take` makes of a prediction's file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return take(stored)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise OutputError(f"the prediction {path} is damaged ({error}): remove it and run the command again") from error


def _prediction(stored: Mapping[str, np.ndarray]) -> Prediction:
    depth_m, k = stored["depth_m"], stored["intrinsics"]
    camera = Intrinsics(depth_m.shape[1], depth_m.shape[0], *(float(k[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2))))
    return Prediction(depth_m, camera, "focal_estimated_px" in stored)


def _estimate(stored: Mapping[str, np.ndarray]) -> tuple[float, tuple[int, int]] | None:
    if "focal_estimated_px" not in stored:
        return None
    # A centred principal point lies at (w - 1) / 2, (h - 1) / 2, so the size need not be read with the whole depth.
    k = stored["intrinsics"]
    size = (round(2 * k[0, 2]) + 1, round(2 * k[1, 2]) + 1)
    return float(k[0, 0]) / size[0], size
