"""`python -m depth_pro_ros.ros.child NODE --ros-args ...`: a node for this machine alone, tied to who started it.

The process becomes the node (same process id) with settings that can only be made before it starts: the
loopback transport, and on Linux a SIGTERM should its parent end without ending it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from depth_pro_ros.ros.transport import tuned_environment

_PR_SET_PDEATHSIG = 1  # prctl(2); it outlasts execve


def end_with_parent() -> bool:
    """Ask the kernel for a SIGTERM when the parent ends; False, and nothing asked, on another system than Linux."""
    if not sys.platform.startswith("linux"):
        return False
    return ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) == 0


def main(args: Sequence[str] | None = None) -> None:
    """Become the node that the first argument names (a module beside this one), with the other arguments."""
    node, *rest = sys.argv[1:] if args is None else args
    end_with_parent()
    command = [sys.executable, "-m", f"{__package__}.{node}", *rest]
    os.execve(sys.executable, command, tuned_environment(os.environ, loopback=True))


if __name__ == "__main__":
    main()
