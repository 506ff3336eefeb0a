"""The slot that keeps the newest frame, and the thread that works on it."""

import threading
import time

from depth_pro_ros.ros.frame_slot import FrameSlot, FrameThread


def test_a_newer_frame_replaces_the_older_and_the_loss_is_counted():
    slot = FrameSlot()
    for frame in (1, 2, 3):
        slot.put(frame)
    assert slot.take() == 3 and slot.dropped == 2
    slot.put(4)
    assert slot.take() == 4 and slot.dropped == 2


def test_a_closed_slot_wakes_who_waits():
    slot, taken = FrameSlot(), []
    thread = threading.Thread(target=lambda: taken.append(slot.take()))
    thread.start()
    slot.close()
    thread.join(5)
    assert taken == [None]


def test_the_thread_always_takes_the_newest():
    seen, started, go = [], threading.Event(), threading.Event()

    def work(frame):
        seen.append(frame)
        started.set()
        go.wait(5)

    thread = FrameThread(work)
    thread.slot.put(0)
    started.wait(5)
    for frame in range(1, 10):
        thread.slot.put(frame)
    go.set()
    while len(seen) < 2:
        time.sleep(0.01)
    assert thread.stop(5) and seen == [0, 9] and thread.slot.dropped == 8


def test_stopping_reports_work_that_does_not_end():
    go, busy = threading.Event(), threading.Event()

    def work(frame):
        busy.set()
        go.wait(10)

    thread = FrameThread(work)
    thread.slot.put(0)
    busy.wait(5)
    assert not thread.stop(0.1) and thread.stopping
    go.set()
    assert thread.stop(5)


def test_a_limited_rate_waits_first_and_takes_the_newest_then():
    """Frames every 10 ms under a limit of 100 ms: what is taken was put at most a few ms before."""
    ages, end = [], time.monotonic() + 1.0
    thread = FrameThread(lambda put_at: ages.append(time.monotonic() - put_at), lambda: 0.1)
    while time.monotonic() < end:
        thread.slot.put(time.monotonic())
        time.sleep(0.01)
    thread.stop(5)
    assert 5 <= len(ages) <= 11
    assert sorted(ages)[len(ages) // 2] < 0.05
