"""One thread that works on the newest frame: a slot that holds one frame and replaces the older one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FrameSlot(Generic[T]):
    """Holds at most one frame; a newer one replaces it and the loss is counted."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frame: T | None = None
        self._open = True
        self.dropped = 0

    def put(self, frame: T) -> None:
        """Offer a frame; an older one that nobody has taken is dropped."""
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = frame
            self._condition.notify()

    def take(self) -> T | None:
        """Wait for a frame and return it; None once the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None or not self._open)
            frame, self._frame = self._frame, None
            return frame if self._open else None

    def close(self) -> None:
        """Wake whoever waits and give out no more frames."""
        with self._condition:
            self._open = False
            self._condition.notify_all()


class FrameThread(Generic[T]):
    """Calls `work` with the newest frame, again and again, on a thread of its own.

    `min_period_s()` is asked before each frame: with a limit on the rate the thread waits first and then
    takes what is newest, so that a limit never makes frames older.
    """

    def __init__(self, work: Callable[[T], None], min_period_s: Callable[[], float] = lambda: 0.0):
        self.slot: FrameSlot[T] = FrameSlot()
        self._work = work
        self._min_period_s = min_period_s
        self._stop = threading.Event()
        # A daemon, so that a network that takes minutes on a CPU cannot keep a stopped process alive.
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end after the frame in hand; return whether it ended within `timeout_s`."""
        self._stop.set()
        self.slot.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Return whether the thread has been asked to end."""
        return self._stop.is_set()

    def _loop(self) -> None:
        started = -float("inf")
        while not self._stop.is_set():
            if (wait := started + self._min_period_s() - time.monotonic()) > 0:
                self._stop.wait(wait)
            frame = self.slot.take()
            if frame is None:
                return
            started = time.monotonic()
            self._work(frame)
