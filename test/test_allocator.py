"""glibc's malloc, as the nodes, the commands and training set it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from depth_pro_ros import allocator

PROGRAM = """
import ctypes, re, sys
from depth_pro_ros import allocator
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def in_heap():
    address = libc.malloc(ctypes.c_size_t(64 << 20))
    heap = next(line for line in open("/proc/self/maps") if line.rstrip().endswith("[heap]"))
    low, high = (int(end, 16) for end in re.match("([0-9a-f]+)-([0-9a-f]+)", heap).groups())
    return low <= address < high
before = in_heap()
print(before, getattr(allocator, sys.argv[1])(), in_heap())
"""


@pytest.mark.parametrize("setting", ["keep_frames", "keep_everything"])
def test_large_buffers_stay_in_the_heap(setting):
    """In a process of its own: a 64 MB block is a mapping of its own before, and part of the heap after."""
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("mallopt is glibc's")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    run = [sys.executable, "-c", PROGRAM, setting]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "True", "True"]


@pytest.mark.parametrize("setting", [allocator.keep_frames, allocator.keep_everything])
def test_another_system_is_left_alone(setting, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert setting() is False
