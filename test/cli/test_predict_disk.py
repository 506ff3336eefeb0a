"""`predict` on a disk that is full."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cli.test_predict import photo

FULL_DISK = """
import resource, sys
from cli.test_predict import run
from depth_pro_ros.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    run(*sys.argv[2:])
except OutputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("room", [1000, 6000])
def test_a_full_disk_leaves_whole_files_only(tmp_path, room):
    """A limit on a file's size stands for the full disk: write() fails, as it does with ENOSPC."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(here), here])}
    argv = [str(photo(tmp_path / "a.png")), "-o", str(tmp_path / "out")]
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(room), *argv], env=env, capture_output=True, text=True, check=False
    )
    assert child.returncode == 2, child.stderr
    assert "cannot be written" in child.stdout and child.stdout.count("\n") == 1
    left = {p.name: p for p in (tmp_path / "out").iterdir()}
    assert "a.json" not in left and all(not name.startswith(".") for name in left)
    if "a.npz" in left:
        np.load(left["a.npz"])["depth_m"]
