"""Messages of two topics brought together by their stamps: the exact one, else the nearest within a tolerance."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

L = TypeVar("L")
R = TypeVar("R")

KEPT = 10


class StampPairer(Generic[L, R]):
    """Pairs what comes on a left and on a right topic, each message once; stamps grow on each topic.

    Equal stamps are a pair at once. Others, at most `tolerance_ns` apart, are a pair as soon as nothing nearer can
    come: when both topics are past them, or when they are closer than half the shortest gap seen on a topic.
    `unpaired` counts messages that were given up. A stamp that goes back (a bag starts again) forgets everything.
    """

    def __init__(self, tolerance_ns: int = 0, kept: int = KEPT) -> None:
        self._tolerance_ns, self._kept = tolerance_ns, kept
        self._forget()
        self.unpaired = 0

    @property
    def nearest_ns(self) -> int | None:
        """Return how near two messages come that still wait for partners, None when one side has none waiting."""
        lefts, rights = self._waiting
        return min((abs(left - right) for left in lefts for right in rights), default=None)

    def add_left(self, stamp_ns: int, message: L) -> tuple[L, R] | None:
        """Take a message of the left topic; return the pair that is complete now, None while there is none."""
        return self._add(0, stamp_ns, message)

    def add_right(self, stamp_ns: int, message: R) -> tuple[L, R] | None:
        """Take a message of the right topic; return the pair that is complete now, None while there is none."""
        return self._add(1, stamp_ns, message)

    def _forget(self) -> None:
        self._waiting: tuple[OrderedDict, OrderedDict] = (OrderedDict(), OrderedDict())
        self._newest: list[int | None] = [None, None]
        self._shortest_gap_ns = 0

    def _add(self, side: int, stamp_ns: int, message: L | R) -> tuple[L, R] | None:
        newest = self._newest[side]
        if newest is not None and stamp_ns < newest:
            self._forget()
        elif newest is not None and stamp_ns > newest:
            gap = stamp_ns - newest
            self._shortest_gap_ns = min(gap, self._shortest_gap_ns or gap)
        self._newest[side] = stamp_ns
        self._waiting[side][stamp_ns] = message
        if stamp_ns in self._waiting[1 - side]:
            return self._take(stamp_ns, stamp_ns)
        pair = self._nearest_settled()
        if pair is None and len(self._waiting[side]) > self._kept:
            self._give_up(side)
        return pair

    def _nearest_settled(self) -> tuple[L, R] | None:
        """Return the newest pair within the tolerance to which nothing nearer can come, None when there is none."""
        lefts, rights = self._waiting
        near = [(left, right) for left in lefts for right in rights if abs(left - right) <= self._tolerance_ns]
        for left, right in sorted(near, key=lambda pair: (abs(pair[0] - pair[1]), -max(pair))):
            passed = min(self._newest) >= max(left, right)
            if passed or 2 * abs(left - right) <= self._shortest_gap_ns:
                return self._take(left, right)
        return None

    def _take(self, left_ns: int, right_ns: int) -> tuple[L, R]:
        """Return the messages of these stamps; what is older on either side has lost its turn."""
        pair = (self._waiting[0].pop(left_ns), self._waiting[1].pop(right_ns))
        for side, until in enumerate((left_ns, right_ns)):
            while self._waiting[side] and next(iter(self._waiting[side])) < until:
                self._give_up(side)
        return pair

    def _give_up(self, side: int) -> None:
        """Drop the oldest message that waits on `side`."""
        self._waiting[side].popitem(last=False)
        self.unpaired += 1
