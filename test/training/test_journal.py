"""What a training tells: lines of JSON, TensorBoard's scalars where there is one, and nothing from quiet processes."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from depth_pro_ros.errors import OutputError
from depth_pro_ros.training import journal
from depth_pro_ros.training.journal import Journal


class Board:
    """Collects what TensorBoard's writer would be given."""

    def __init__(self):
        self.scalars, self.images = [], []

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, image, step, dataformats):
        self.images.append((name, image.shape, step, dataformats))

    def close(self):
        self.closed = True


def test_figures_are_appended_as_lines_of_json(tmp_path):
    for images in (10, 20):
        Journal(tmp_path).record("train", images, stage="a", loss=0.5, terms={"x/mae": 1.0})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[1] == {"kind": "train", "images": 20, "stage": "a", "loss": 0.5, "terms": {"x/mae": 1.0}}
    assert lines[0]["images"] == 10


def test_tensorboard_gets_numbers_and_pictures(tmp_path, monkeypatch):
    board = Board()
    monkeypatch.setattr(journal, "_tensorboard", lambda folder: board)
    log = Journal(tmp_path)
    log.record("train", 7, stage="a", loss=0.5, terms={"x/mae": 1.0})
    log.picture("validation", np.zeros((4, 6, 3), np.uint8), 7)
    log.close()
    assert board.scalars == [("train/loss", 0.5, 7), ("train/terms/x/mae", 1.0, 7)]
    assert board.images == [("validation", (4, 6, 3), 7, "HWC")] and board.closed


def test_a_quiet_process_writes_nothing(tmp_path, capsys):
    log = Journal(tmp_path, quiet=True)
    log.stage("a", 3, 0)
    log.advance({"loss": "1"})
    log.record("train", 1, loss=1.0)
    log.say("hello")
    log.close()
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


def test_a_disk_that_takes_no_more_lines_is_told(tmp_path):
    log = Journal(tmp_path)
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(OutputError, match="make room and resume"):
        log.record("train", 1, loss=1.0)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_the_real_tensorboard_writes_events(tmp_path):
    log = Journal(tmp_path)
    log.record("train", 1, loss=1.0)
    log.close()
    assert list((tmp_path / "tensorboard").glob("events*"))
