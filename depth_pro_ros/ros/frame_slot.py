"""One thread that works on the newest frames: slots that hold one frame of each source and replace the older one."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
Source = TypeVar("Source", bound=Hashable)


def fair(waiting: Iterable[Source], turns: Mapping[Source, int], at_once: int) -> list[Source]:
    """Return up to `at_once` of the sources that wait, those first whose last turn is longest ago.

    `waiting` is in the order in which they began to wait, which decides between those that have had no turn; `turns`
    numbers the last turn of each other. So no source, however fast, has a second turn while another waits for a first.
    """
    return sorted(waiting, key=lambda source: turns.get(source, -1))[:at_once]


class FrameSlots(Generic[T]):
    """Holds at most one frame of each source; a newer one replaces it.

    Each `take` gives out the frames of up to `at_once` sources, as `fair` chooses them.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._condition = threading.Condition()
        self._frames: dict[Hashable, T] = {}  # in the order in which the sources began to wait
        self._turns: dict[Hashable, int] = {}
        self._counter = itertools.count()
        self._open = True

    def put(self, frame: T, source: Hashable = None) -> bool:
        """Offer a frame; return whether an older one of its source was dropped, which nobody had taken."""
        with self._condition:
            dropped = source in self._frames
            self._frames[source] = frame
            self._condition.notify()
            return dropped

    def take(self) -> list[T]:
        """Wait for frames and return them, one of each source; none once the slots are closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._frames or not self._open)
            chosen = fair(self._frames, self._turns, self._at_once) if self._open else []
            self._turns.update(zip(chosen, self._counter, strict=False))
            return [self._frames.pop(source) for source in chosen]

    def close(self) -> None:
        """Wake whoever waits and give out no more frames."""
        with self._condition:
            self._open = False
            self._condition.notify_all()


class FrameThread(Generic[T]):
    """Calls `work` with the newest frames, again and again, on a thread of its own.

    `min_period_s()` is asked before each turn: with a limit on the rate the thread waits first and then
    takes what is newest, so that a limit never makes frames older. `at_once` is as for FrameSlots.
    """

    def __init__(
        self, work: Callable[[list[T]], None], min_period_s: Callable[[], float] = lambda: 0.0, at_once: int = 1
    ) -> None:
        self.slots: FrameSlots[T] = FrameSlots(at_once)
        self._work = work
        self._min_period_s = min_period_s
        self._stop = threading.Event()
        # A daemon, so that a network that takes minutes on a CPU cannot keep a stopped process alive.
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end after the frames in hand; return whether it ended within `timeout_s`."""
        self._stop.set()
        self.slots.close()
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
            frames = self.slots.take()
            if not frames:
                return
            started = time.monotonic()
            self._work(frames)
