"""The slots that keep the newest frame of each source, who gets the next turn, and the thread that works on them."""

import threading
import time

import pytest

from depth_pro_ros.ros.frame_slot import FrameSlots, FrameThread, fair


@pytest.mark.parametrize(
    ("waiting", "turns", "at_once", "chosen"),
    [
        ("ab", {}, 1, "a"),  # who began to wait first
        ("ab", {"a": 1}, 1, "b"),  # who has had no turn at all
        ("abc", {"a": 3, "b": 1, "c": 2}, 1, "b"),  # whose turn is longest ago
        ("abc", {"a": 3, "b": 1, "c": 2}, 2, "bc"),
        ("abc", {}, 9, "abc"),
        ("", {"a": 1}, 2, ""),
    ],
)
def test_the_turn_goes_to_whose_last_one_is_longest_ago(waiting, turns, at_once, chosen):
    assert "".join(fair(waiting, turns, at_once)) == chosen


def served(periods_ms, turn_ms, at_once, until_ms):
    """Return source → times at which it was served, and the ages of its frames, when each sends every so many ms."""
    slots = FrameSlots(at_once)
    times, ages = {name: [] for name in periods_ms}, {name: [] for name in periods_ms}
    sent = 0
    for now in range(0, until_ms, turn_ms):
        for ms in range(sent, now + 1):
            for name, period in periods_ms.items():
                if ms % period == 0:
                    slots.put((name, ms), name)
        sent = now + 1
        if slots._frames:
            for name, put_at in slots.take():
                times[name].append(now)
                ages[name].append(now - put_at)
    return times, ages


def test_a_slow_camera_is_served_at_its_own_rate_beside_a_fast_one():
    """30 Hz and 2 Hz before a network of 100 ms: each slow image has the next turn but one, the fast one the rest."""
    times, ages = served({"fast": 33, "slow": 500}, 100, 1, 10_000)
    assert len(times["slow"]) == 20 and max(ages["slow"]) <= 100
    assert len(times["fast"]) == 80 and max(ages["fast"]) < 33


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_cameras_that_all_wait_have_equal_shares_whatever_their_rates(at_once):
    times, _ = served({"a": 10, "b": 33, "c": 50, "d": 90}, 100, at_once, 12_000)
    counts = [len(at) for at in times.values()]
    assert sum(counts) == 120 * at_once and max(counts) - min(counts) <= 1
    gaps = [later - earlier for at in times.values() for earlier, later in zip(at, at[1:], strict=False)]
    assert max(gaps) == 100 * -(-4 // at_once), "nobody waits for more than one turn of all the others"


def test_a_newer_frame_replaces_the_older_of_its_source_alone_and_the_loss_is_told():
    slots = FrameSlots(at_once=2)
    assert [slots.put(frame) for frame in (1, 2, 3)] == [False, True, True]
    assert slots.put("other", "b") is False
    assert slots.take() == [3, "other"]
    assert slots.put(4) is False and slots.take() == [4]


def test_closed_slots_wake_who_waits():
    slots, taken = FrameSlots(), []
    thread = threading.Thread(target=lambda: taken.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(5)
    assert taken == [[]]
    slots.put(1)
    assert slots.take() == []


def test_the_thread_always_takes_the_newest():
    seen, started, go = [], threading.Event(), threading.Event()

    def work(frames):
        seen.extend(frames)
        started.set()
        go.wait(5)

    thread = FrameThread(work)
    dropped = thread.slots.put(0)
    started.wait(5)
    for frame in range(1, 10):
        dropped += thread.slots.put(frame)
    go.set()
    while len(seen) < 2:
        time.sleep(0.01)
    assert thread.stop(5) and seen == [0, 9] and dropped == 8


def test_the_thread_takes_what_has_gathered_meanwhile_at_once():
    batches, busy, go = [], threading.Event(), threading.Event()

    def work(frames):
        batches.append(frames)
        busy.set()
        go.wait(5)

    thread = FrameThread(work, at_once=2)
    thread.slots.put("front 0", "front")
    busy.wait(5)
    for camera in ("front", "left", "rear"):
        thread.slots.put(f"{camera} 1", camera)
    go.set()
    while len(batches) < 3:
        time.sleep(0.01)
    assert thread.stop(5)
    assert batches == [["front 0"], ["left 1", "rear 1"], ["front 1"]]


def test_stopping_reports_work_that_does_not_end():
    go, busy = threading.Event(), threading.Event()

    def work(frames):
        busy.set()
        go.wait(10)

    thread = FrameThread(work)
    thread.slots.put(0)
    busy.wait(5)
    assert not thread.stop(0.1) and thread.stopping
    go.set()
    assert thread.stop(5)


def test_a_limited_rate_waits_first_and_takes_the_newest_then():
    """Frames every 10 ms under a limit of 100 ms: what is taken was put at most a few ms before."""
    ages, end = [], time.monotonic() + 1.0
    thread = FrameThread(lambda put: ages.append(time.monotonic() - put[0]), lambda: 0.1)
    while time.monotonic() < end:
        thread.slots.put(time.monotonic())
        time.sleep(0.01)
    thread.stop(5)
    assert 5 <= len(ages) <= 11
    assert sorted(ages)[len(ages) // 2] < 0.05
