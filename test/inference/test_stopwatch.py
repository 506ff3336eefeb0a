"""Stages in milliseconds: by the clock on a CPU, by marks in the queue on a GPU, whose stand-ins count here."""

import time

import torch

from depth_pro_ros.inference.stopwatch import Stopwatch


def test_laps_are_told_apart():
    watch = Stopwatch(torch.device("cpu"))
    time.sleep(0.02)
    watch.lap("slow")
    watch.lap("quick")
    laps = watch.laps_ms()
    assert list(laps) == ["slow", "quick"] and laps["slow"] >= 20 > laps["quick"] >= 0


def test_a_gpu_is_waited_for_once_and_asked_for_the_time_between_marks(monkeypatch):
    calls = []

    class Event:
        made = 0

        def __init__(self, enable_timing):
            assert enable_timing
            self.number = Event.made
            Event.made += 1

        def record(self):
            calls.append(self.number)

        def elapsed_time(self, later):
            calls.append((self.number, later.number))
            return 10.0 * later.number

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("drained"))
    watch = Stopwatch(torch.device("cuda"))
    watch.lap("preprocess")
    watch.lap("network")
    assert watch.laps_ms() == {"preprocess": 10.0, "network": 20.0}
    assert calls == [0, 1, 2, "drained", (0, 1), (1, 2)]


def test_other_queues_are_drained_at_each_lap(monkeypatch):
    drained = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: drained.append(True))
    watch = Stopwatch(torch.device("mps"))
    watch.lap("network")
    assert len(drained) == 2 and watch.laps_ms()["network"] >= 0
