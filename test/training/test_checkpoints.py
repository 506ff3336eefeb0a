"""The training state on disk survives a full disk and tells what is wrong with it."""

from __future__ import annotations

import os
import pickle
import resource

import pytest
import torch

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.network import PRESETS
from depth_pro_ros.training import checkpoints

CONFIG = PRESETS["micro"]


def state(recipe, value: float) -> dict:
    return {"recipe": recipe.name, "config": checkpoints.plain(CONFIG), "weights": torch.full((50_000,), value)}


def stored(folder, recipe) -> float:
    return float(checkpoints.read(folder, recipe, CONFIG)["weights"][0])


def files(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_last_state_and_the_one_before_are_kept(tmp_path, recipe):
    for value in (1.0, 2.0, 3.0):
        checkpoints.write(tmp_path, state(recipe, value))
    assert stored(tmp_path, recipe) == 3.0
    assert files(tmp_path) == {checkpoints.LAST, checkpoints.PREVIOUS}
    os.replace(tmp_path / checkpoints.PREVIOUS, tmp_path / checkpoints.LAST)
    assert stored(tmp_path, recipe) == 2.0


@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
def test_a_failure_at_any_point_of_saving_leaves_the_last_good_state(tmp_path, recipe, monkeypatch, call):
    def fails(*args):
        raise OSError(28, "No space left on device")

    checkpoints.write(tmp_path, state(recipe, 1.0))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(CheckpointError, match="No space left.*untouched"):
            checkpoints.write(tmp_path, state(recipe, 2.0))
    assert stored(tmp_path, recipe) == 1.0
    assert files(tmp_path) <= {checkpoints.LAST, checkpoints.PREVIOUS, f".{checkpoints.PREVIOUS}.{os.getpid()}"}
    checkpoints.write(tmp_path, state(recipe, 3.0))
    assert stored(tmp_path, recipe) == 3.0


def test_a_disk_that_takes_no_more_bytes_leaves_the_last_good_state(tmp_path, recipe):
    checkpoints.write(tmp_path, state(recipe, 1.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(CheckpointError, match="untouched"):
            checkpoints.write(tmp_path, state(recipe, 2.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stored(tmp_path, recipe) == 1.0
    assert files(tmp_path) == {checkpoints.LAST}


def test_no_state_to_resume_is_told(tmp_path, recipe):
    with pytest.raises(CheckpointError, match="leave --resume out"):
        checkpoints.read(tmp_path, recipe, CONFIG)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_state_is_told_and_points_to_the_one_before(tmp_path, recipe, damage):
    path = checkpoints.write(tmp_path, state(recipe, 1.0))
    whole = path.read_bytes()
    broken = {"cut": whole[:-30_000], "flipped": b"\0" * 4000 + whole[4000:-2000] + b"\0" * 2000, "empty": b"",
              "text": b"not a checkpoint"}  # fmt: skip
    with pytest.raises(CheckpointError, match="damaged; start anew"):
        path.write_bytes(broken[damage])
        checkpoints.read(tmp_path, recipe, CONFIG)
    (tmp_path / checkpoints.PREVIOUS).write_bytes(whole)
    with pytest.raises(CheckpointError, match=checkpoints.PREVIOUS):
        checkpoints.read(tmp_path, recipe, CONFIG)


def test_a_state_of_another_recipe_or_preset_is_refused(tmp_path, recipe):
    checkpoints.write(tmp_path, {**state(recipe, 1.0), "recipe": "other"})
    with pytest.raises(CheckpointError, match="--recipe other"):
        checkpoints.read(tmp_path, recipe, CONFIG)
    checkpoints.write(tmp_path, state(recipe, 1.0))
    with pytest.raises(CheckpointError, match="embed_dim.*another --output"):
        checkpoints.read(tmp_path, recipe, PRESETS["tiny"])


def test_other_files_of_pytorch_are_refused(tmp_path, recipe):
    torch.save({"weights": torch.zeros(3)}, tmp_path / checkpoints.LAST)
    with pytest.raises(CheckpointError, match="no training state"):
        checkpoints.read(tmp_path, recipe, CONFIG)
    torch.save({"format": checkpoints.FORMAT, "version": 99}, tmp_path / checkpoints.LAST)
    with pytest.raises(CheckpointError, match="version 99"):
        checkpoints.read(tmp_path, recipe, CONFIG)


class Command:
    """What a malicious pickle is made of."""

    def __reduce__(self):
        return os.system, ("touch /tmp/depth_pro_ros_was_here",)


def test_a_state_that_would_run_code_is_not_opened(tmp_path, recipe):
    (tmp_path / checkpoints.LAST).write_bytes(pickle.dumps({"weights": Command()}))
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.read(tmp_path, recipe, CONFIG)
    assert not os.path.exists("/tmp/depth_pro_ros_was_here")
