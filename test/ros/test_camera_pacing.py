"""When frames are shown, on a clock that the test moves: no test here waits."""

import itertools
import threading

import numpy as np
import pytest

from depth_pro_ros.errors import SourceError
from depth_pro_ros.ros.camera_sources import CameraFrame
from depth_pro_ros.ros.camera_sources.pacing import paced, played


class Stamps:
    """A source of frames with the given stamps, without images."""

    live, description = False, "stamps"

    def __init__(self, *stamps_ns):
        self.stamps_ns = stamps_ns

    def frames(self):
        return (CameraFrame(stamp, np.empty((0, 0, 3), np.uint8)) for stamp in self.stamps_ns)


def test_played_loops_and_stops_at_the_limit():
    assert [frame.stamp_ns for frame in played(Stamps(1, 2, 3), loop=True, limit=7)] == [1, 2, 3, 1, 2, 3, 1]
    assert len(list(played(Stamps(1, 2, 3), loop=False, limit=0))) == 3
    with pytest.raises(SourceError, match="whole pass"):
        list(played(Stamps(), loop=True, limit=0))


class Clock(threading.Event):
    """Stands for both the stop event and the clock: waiting moves the time on."""

    def __init__(self):
        super().__init__()
        self.now_s = 100.0

    def wait(self, timeout=None):
        self.now_s += timeout
        return self.is_set()


def times(monkeypatch, stamps_ns, rate_hz, live=False, busy_s=()):
    """Return when each frame is shown, in seconds from the start, when frame i takes `busy_s[i]` to make."""
    clock = Clock()
    monkeypatch.setattr("depth_pro_ros.ros.camera_sources.pacing.time.monotonic", lambda: clock.now_s)

    def working():
        for frame, busy in itertools.zip_longest(Stamps(*stamps_ns).frames(), busy_s, fillvalue=0.0):
            clock.now_s += busy
            yield frame

    return [round(clock.now_s - 100, 6) for _ in paced(working(), rate_hz, live, clock)]


def test_pace_follows_the_stamps_and_keeps_the_last_gap_over_a_loop(monkeypatch):
    stamps = [0, 50_000_000, 250_000_000, 0, 50_000_000]
    assert times(monkeypatch, stamps, 0.0) == [0.0, 0.05, 0.25, 0.45, 0.5]


def test_a_rate_overrides_the_stamps(monkeypatch):
    assert times(monkeypatch, [0, 50_000_000, 250_000_000], 4.0) == [0.0, 0.25, 0.5]


def test_a_slow_frame_delays_the_rest_without_a_burst(monkeypatch):
    assert times(monkeypatch, [0, 1, 2, 3], 10.0, busy_s=(0.0, 0.5, 0.0, 0.0)) == [0.0, 0.5, 0.6, 0.7]


def test_a_live_source_is_thinned_to_the_rate(monkeypatch):
    shown = times(monkeypatch, range(9), 10.0, live=True, busy_s=(0.04,) * 9)
    assert shown == [0.04, 0.12, 0.2, 0.32]


def test_pacing_ends_when_told_to():
    stop = threading.Event()
    stop.set()
    assert list(paced(Stamps(0, 1).frames(), 1.0, False, stop)) == []
