"""What a training tells: a progress bar, log.jsonl, and TensorBoard's files where that package is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from depth_pro_ros.errors import OutputError

LOG = "log.jsonl"


class Journal:
    """Writes figures as one JSON object a line; `quiet` leaves out bar and files (processes other than the first).

    Lines are appended: after a resume the steps since the last checkpoint appear twice, and the later line counts.
    """

    def __init__(self, folder: Path, quiet: bool = False):
        self.folder, self.quiet = folder, quiet
        self._bar: tqdm[Any] | None = None
        self._board = None if quiet else _tensorboard(folder)

    def stage(self, name: str, steps: int, step: int) -> None:
        """Show a new stage's progress bar."""
        self._close_bar()
        self._bar = tqdm(total=steps, initial=step, desc=f"stage {name}", unit="step", disable=self.quiet or None)

    def advance(self, shown: dict[str, str]) -> None:
        """Move the bar by a step."""
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(1)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if not self.quiet:
            tqdm.write(line)

    def record(self, kind: str, images: int, **figures: Any) -> None:
        """Append figures to the log, and numbers among them to TensorBoard at `images` seen."""
        if self.quiet:
            return
        try:
            with open(self.folder / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, "images": images, **figures}) + "\n")
        except OSError as error:
            raise OutputError(f"'{self.folder / LOG}' was not written ({error}): make room and resume") from error
        if self._board is not None:
            for name, value in _numbers(figures):
                self._board.add_scalar(f"{kind}/{name}", value, images)

    def picture(self, name: str, rgb: np.ndarray, images: int) -> None:
        """Show an (H, W, 3) uint8 picture in TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, rgb, images, dataformats="HWC")

    def close(self) -> None:
        """Finish bar and files."""
        self._close_bar()
        if self._board is not None:
            self._board.close()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _numbers(figures: dict[str, Any]) -> list[tuple[str, float]]:
    flat = []
    for name, value in figures.items():
        if isinstance(value, dict):
            flat += [(f"{name}/{inner}", number) for inner, number in _numbers(value)]
        elif isinstance(value, int | float):
            flat.append((name, value))
    return flat


def _tensorboard(folder: Path) -> Any:
    """Return TensorBoard's writer, or None without the package (pip install depth_pro_ros[train])."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
