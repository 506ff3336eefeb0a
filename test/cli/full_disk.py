"""A command on a full disk: a limit on a file's size stands for it, since write() fails as it does with ENOSPC."""

import os
import subprocess
import sys

CHILD = """
import importlib, resource, sys
from depth_pro_ros.errors import OutputError
run = importlib.import_module(sys.argv[1]).run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    run(*sys.argv[3:])
except OutputError as error:
    print(error)
    sys.exit(2)
"""


def run_with_room(bytes_, module, *argv):
    """Return the process that called `run(*argv)` of a module of the tests, with `bytes_` of room for each file."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(tests), tests])}
    command = [sys.executable, "-c", CHILD, module, str(bytes_), *map(str, argv)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)
