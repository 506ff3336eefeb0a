"""Stamps in milliseconds, brought together."""

import pytest

from depth_pro_ros.ros.stamp_pairing import StampPairer

MS = 1_000_000


def play(pairer, events):
    """Feed "L100 R100 ..." in this order; return the pairs as (left, right) in ms, in the order in which they came."""
    pairs = []
    for event in events.split():
        side, stamp = event[0], int(event[1:])
        add = pairer.add_left if side == "L" else pairer.add_right
        pair = add(stamp * MS, stamp)
        pairs += [pair] if pair else []
    return pairs


@pytest.mark.parametrize("tolerance", [0, 5, 60])
@pytest.mark.parametrize("events", ["L0 R0 L33 R33 L66 R66", "R0 L0 R33 R66 L33 L66", "L0 L33 R0 R33 L66 R66"])
def test_equal_stamps_are_pairs_in_any_order(events, tolerance):
    pairer = StampPairer(tolerance * MS)
    assert [left for left, right in play(pairer, events) if left == right][-1] == 66
    assert all(left == right for left, right in play(StampPairer(tolerance * MS), events))


def test_without_a_tolerance_nothing_else_is_a_pair():
    pairer = StampPairer(0)
    assert play(pairer, "L0 R1 L33 R34 L66 R67") == []
    assert pairer.nearest_ns == MS


def test_cameras_a_little_out_of_step_are_paired_at_once_when_their_period_is_known():
    assert play(StampPairer(5 * MS), "L0 R2 L33") == [(0, 2)]
    pairer = StampPairer(5 * MS)
    play(pairer, "L0 R2 L33")
    assert play(pairer, "R35") == [(33, 35)]


def test_the_nearest_is_taken_and_not_the_first():
    """Right 70 lies within 60 ms of left 100, but 100 is yet to come."""
    assert play(StampPairer(60 * MS), "L0 R0 R30 R70 L100 R101 L200") == [(0, 0), (100, 101)]


def test_beyond_the_tolerance_there_is_no_pair():
    pairer = StampPairer(5 * MS)
    assert play(pairer, "L0 R10 L33 R43 L66 R76 L99") == []
    assert pairer.nearest_ns == 10 * MS


def test_what_was_passed_over_is_counted_and_never_paired():
    pairer = StampPairer(0)
    assert play(pairer, "L0 L33 L66 R66 R0 R33") == [(66, 66)]
    assert pairer.unpaired == 2


def test_a_side_that_never_comes_fills_no_memory():
    pairer = StampPairer(5 * MS, kept=3)
    assert play(pairer, " ".join(f"L{33 * i}" for i in range(50))) == []
    assert pairer.unpaired == 47 and pairer.nearest_ns is None


def test_stamps_that_go_back_start_anew():
    assert play(StampPairer(0), "L1000 R1000 L1033 L0 R0 R33 L33") == [(1000, 1000), (0, 0), (33, 33)]
