"""Messages of one stamp from many topics, brought together: what a node took in, with all that it gave out for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from depth_pro_ros.ros.stamps import nanoseconds

KEPT_BYTES = 512 << 20
KEPT_OUTPUTS = 8


@dataclass(frozen=True)
class Arrival:
    """A message, its age when it came (its stamp against the clock), and when that was."""

    message: Any
    age_ms: float
    arrived_s: float

    @property
    def stamp_ns(self) -> int:
        """Return the message's stamp in nanoseconds."""
        return nanoseconds(self.message.header)

    @property
    def size(self) -> int:
        """Return the bytes of the message's data, 0 for one without, such as camera_info."""
        return len(getattr(self.message, "data", ()))


class StampMatcher:
    """A frame is complete when every one of `needed` outputs has come; its inputs are given along if still kept.

    Of the inputs, data is kept up to `kept_bytes`, the oldest forgotten first, and of the outputs a few stamps:
    a slow network cannot fill the memory with images that it never looks at. A frame that is complete ends the
    wait for all older ones.
    """

    def __init__(self, needed: Iterable[str], kept_bytes: int = KEPT_BYTES) -> None:
        self._needed = set(needed)
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._heavy: deque[tuple[int, str]] = deque()  # stamp and topic of inputs with data, in order of arrival
        self._inputs: dict[int, dict[str, Arrival]] = {}
        self._outputs: dict[int, dict[str, Arrival]] = {}

    def add_input(self, topic: str, arrival: Arrival) -> None:
        """Keep what went into the node."""
        stamp_ns = arrival.stamp_ns
        self._inputs.setdefault(stamp_ns, {})[topic] = arrival
        if arrival.size:
            self._heavy.append((stamp_ns, topic))
            self._bytes += arrival.size
        while self._bytes > self._kept_bytes and len(self._heavy) > 1:
            oldest_ns, heavy_topic = self._heavy.popleft()
            self._bytes -= self._inputs[oldest_ns].pop(heavy_topic).size

    def add_output(self, topic: str, arrival: Arrival) -> None:
        """Keep what came out of the node."""
        self._outputs.setdefault(arrival.stamp_ns, {})[topic] = arrival
        while len(self._outputs) > KEPT_OUTPUTS:
            del self._outputs[min(self._outputs)]

    def take_complete(self) -> list[dict[str, Arrival]]:
        """Return topic → arrival of each frame that is complete, oldest first, and forget all up to the last."""
        complete = [stamp for stamp in sorted(self._outputs) if self._needed <= self._outputs[stamp].keys()]
        frames = [{**self._inputs.get(stamp, {}), **self._outputs[stamp]} for stamp in complete]
        if complete:
            self._forget_until(complete[-1])
        return frames

    def _forget_until(self, stamp_ns: int) -> None:
        self._outputs = {s: parts for s, parts in self._outputs.items() if s > stamp_ns}
        self._inputs = {s: parts for s, parts in self._inputs.items() if s > stamp_ns}
        self._heavy = deque(key for key in self._heavy if key[0] > stamp_ns)
        self._bytes = sum(self._inputs[stamp][topic].size for stamp, topic in self._heavy)
