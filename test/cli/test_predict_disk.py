"""`predict` on a disk that is full."""

import numpy as np
import pytest
from cli.full_disk import run_with_room
from cli.test_predict import photo


@pytest.mark.parametrize("room", [1000, 6000])
def test_a_full_disk_leaves_whole_files_only(tmp_path, room):
    child = run_with_room(room, "cli.test_predict", photo(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert child.returncode == 2, child.stderr
    assert "cannot be written" in child.stdout and child.stdout.count("\n") == 1
    left = {p.name: p for p in (tmp_path / "out").iterdir()}
    assert "a.json" not in left and all(not name.startswith(".") for name in left)
    if "a.npz" in left:
        np.load(left["a.npz"])["depth_m"]
