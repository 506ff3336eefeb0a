"""Signals and deadlines become wishes; the second signal is the system's."""

from __future__ import annotations

import os
import signal

import pytest

from depth_pro_ros.training.stopping import Stopper


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_a_wish_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with Stopper() as stopper:
        assert not stopper.wanted()
        os.kill(os.getpid(), number)
        assert stopper.wanted() and stopper.reason == f"{number.name} was received"
        assert signal.getsignal(number) == before  # so that the next one ends even a hung process
    assert signal.getsignal(number) == before


def test_a_second_interrupt_is_pythons():
    with Stopper() as stopper:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper.wanted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_deadline():
    with Stopper(limit_s=0.0) as stopper:
        assert stopper.wanted() and stopper.reason == "the time limit is reached"
    with Stopper(limit_s=1000.0) as stopper:
        assert not stopper.wanted() and stopper.reason is None
