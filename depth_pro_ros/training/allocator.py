"""glibc's memory allocator, told to keep what is freed.

A training step allocates and frees the same gigabytes again and again. By default glibc gives blocks of that size back
to the kernel, which must clear every page anew for the next step: up to a third of a step's time on CPUs.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h
_LARGEST = 2**31 - 1  # mallopt takes an int
_TOP_PAD_BYTES = 256 * 2**20


def keep_freed_memory() -> bool:
    """Make malloc serve large blocks from the heap and never shrink it; return whether this C library was told so."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _LARGEST, _TOP_PAD: _TOP_PAD_BYTES}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
