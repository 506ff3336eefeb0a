"""glibc's memory allocator, told to keep what is freed.

By default glibc gives every large block back to the kernel as soon as it is freed, and the kernel clears each page anew
when the next frame, or the next training step, asks for it. Images, clouds and activations have megabytes: that is
a tenth of a frame of the small network on a CPU, and up to a third of a training step.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # mallopt(3), malloc.h
_LARGEST = 2**31 - 1  # mallopt takes an int

# Environment variable, parameter of mallopt, bytes. A full cloud has 38 MB.
THRESHOLDS = (
    ("MALLOC_MMAP_THRESHOLD_", _MMAP_THRESHOLD, 256 << 20),
    ("MALLOC_TRIM_THRESHOLD_", _TRIM_THRESHOLD, 512 << 20),
    ("MALLOC_TOP_PAD_", _TOP_PAD, 16 << 20),
)
"""What frames need: blocks up to 256 MB stay in the heap, and so does half a gigabyte of free memory."""


def keep_frames() -> bool:
    """Set `THRESHOLDS` in this process; return False, with nothing changed, where the C library is not glibc."""
    return _set({number: size for _, number, size in THRESHOLDS})


def keep_everything() -> bool:
    """Serve every block from the heap and never shrink it, for training; return False where there is no glibc."""
    return _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: _LARGEST, _TOP_PAD: 256 << 20})


def _set(values: dict[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return all([libc.mallopt(number, value) == 1 for number, value in values.items()])
