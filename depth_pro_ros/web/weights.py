"""Which weights the page offers, and the one predictor that answers it.

A browser sends the name of a choice, never a path: names are looked up in a table made here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.records import DepthMap

EMBEDDED = "tiny"
SUFFIXES = (".safetensors", ".pt")


def choices(cache: Path, also: str = EMBEDDED) -> dict[str, str]:
    """Return what the page offers, each name with what `Predictor.load` takes: `also` first.

    `also` is the operator's own choice (a name, or a path, offered by its file's name); then come the embedded
    weights and every checkpoint in the `cache` folder: a file, or a folder of transformers with its config.json.
    """
    own = Path(also).name if Path(also).suffix or "/" in also else also
    found = {own: also}
    found.setdefault(EMBEDDED, EMBEDDED)
    entries = sorted(cache.iterdir()) if cache.is_dir() else []
    for entry in entries:
        if entry.suffix in SUFFIXES or (entry / "config.json").is_file():
            found.setdefault(entry.name, str(entry))
    return found


class Worker:
    """The predictor of the weights in use: one at a time, loaded when first asked for, used by one thread at a time."""

    def __init__(self, offered: Mapping[str, str], load: Callable[[str], Any]) -> None:
        self.offered = dict(offered)
        self._load = load
        self._lock = threading.Lock()
        self._name: str | None = None
        self._predictor: Any = None

    def use(self, name: str) -> Mapping[str, Any]:
        """Load the weights of that name unless they are in use, and return the predictor's description.

        Raises ConfigurationError for a name that is not offered, and what loading raises.
        """
        if name not in self.offered:
            raise ConfigurationError(f"weights '{name}' are not offered: choose one of {', '.join(self.offered)}")
        with self._lock:
            if name != self._name:
                self._name = self._predictor = None  # the old ones leave memory before the new ones enter
                self._predictor = self._load(self.offered[name])
                self._name = name
            return dict(self._predictor.description)

    def predict(self, rgb: np.ndarray, focal_px: float | None) -> DepthMap:
        """Return the depth of `rgb` (H, W, 3) uint8 with the network's own focal estimate beside `focal_px`."""
        with self._lock:
            return self._predictor.predict(rgb, focal_px=focal_px, estimate_focal=True)
