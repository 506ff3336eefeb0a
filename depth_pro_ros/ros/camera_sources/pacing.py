"""When to show which frame: loops, limits and the wait between frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from depth_pro_ros.errors import SourceError
from depth_pro_ros.ros.camera_sources.frame import CameraFrame, CameraSource

DEFAULT_GAP_S = 0.1


def played(source: CameraSource, loop: bool, limit: int) -> Iterator[CameraFrame]:
    """Yield the frames of `source`, over and over when `loop`, `limit` at most (0: no limit).

    Raises SourceError when a whole pass gives no frame, which would otherwise spin.
    """
    count = 0
    while True:
        before = count
        for frame in source.frames():
            yield frame
            count += 1
            if limit and count >= limit:
                return
        if not loop:
            return
        if count == before:
            raise SourceError(f"{source.description}: no image could be read in a whole pass; check the files")


def paced(frames: Iterable[CameraFrame], rate_hz: float, live: bool, stop: threading.Event) -> Iterator[CameraFrame]:
    """Yield each frame when it is due, until `stop`: at `rate_hz`, or at the pace of the stamps when that is 0.

    A frame that comes too late delays all after it: no burst makes up for lost time. Where stamps do not
    increase (a loop), the last gap is kept. Of a `live` source, frames that come before they are due are dropped.
    """
    due, gap_s, last_ns = time.monotonic(), 1 / rate_hz if rate_hz else DEFAULT_GAP_S, None
    for frame in frames:
        if last_ns is not None and not rate_hz and frame.stamp_ns > last_ns:
            gap_s = (frame.stamp_ns - last_ns) / 1e9
        next_due = due if last_ns is None else due + gap_s
        if live:
            if stop.is_set():
                return
            if rate_hz and time.monotonic() < next_due:
                continue
        elif stop.wait(max(0.0, next_due - time.monotonic())):
            return
        due, last_ns = max(next_due, time.monotonic() - gap_s if live else time.monotonic()), frame.stamp_ns
        yield frame
