"""The estimated focal length over time, held still so that the scale of the depth does not flicker."""

from __future__ import annotations

from collections import deque
from statistics import median


class FocalFilter:
    """Median of the last `window` estimates; once the window is full the median is latched, if `latch`.

    A change of the image's size is another camera: the filter starts anew.
    """

    def __init__(self, window: int = 15, latch: bool = True):
        self._window = window
        self._latch = latch
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._estimates: deque[float] = deque(maxlen=self._window)
        self._size: tuple[int, int] | None = None

    def latched(self, size: tuple[int, int]) -> float | None:
        """Return the focal length that no further estimate for images of `size` (w, h) will change, or None."""
        full = len(self._estimates) == self._window
        return median(self._estimates) if self._latch and full and size == self._size else None

    def update(self, focal_px: float, size: tuple[int, int]) -> float:
        """Take one estimate for an image of `size` (w, h) and return the focal length to use, in its pixels."""
        if size != self._size:
            self.reset()
            self._size = size
        if self.latched(size) is None:
            self._estimates.append(focal_px)
        return median(self._estimates)
