"""`depth_pro_ros bag` taken up again after it was interrupted."""

import os

import pytest
from cli.bag_maker import KnownPredictor, camera, messages, read, run, write

from depth_pro_ros.cli import bag_output
from depth_pro_ros.errors import ConfigurationError, OutputError

DEPTH, INFO_OUT = "/camera/depth/image_rect", "/camera/depth/camera_info"


def test_an_interrupted_run_goes_on_and_ends_as_if_it_never_had_been(tmp_path, capsys):
    old = write(tmp_path / "in", camera(6, with_info=False))
    assert run(old, tmp_path / "whole") == 0
    first = KnownPredictor(fail={4: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(old, tmp_path / "out", predictor=first)
    assert not (tmp_path / "out").exists() and (tmp_path / "out.partial").is_dir()
    half = tmp_path / "out.partial" / "camera+image_raw" / ".000004.npz.abcd.part"
    half.write_bytes(b"killed while writing")
    capsys.readouterr()
    second = KnownPredictor()
    second.calls = [None] * 4  # so that the fifth image gets its own estimate again
    assert run(old, tmp_path / "out", predictor=second) == 0
    assert len(second.calls) == 6
    assert "4 of 6 images are done" in capsys.readouterr().err
    assert read(tmp_path / "out") == read(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()
    assert sorted(os.listdir(tmp_path / "out")) == ["metadata.yaml", "out.mcap"]


def test_a_run_that_was_interrupted_in_writing_predicts_nothing_again(tmp_path, monkeypatch):
    old = write(tmp_path / "in", camera())
    with monkeypatch.context() as patched:
        patched.setattr(bag_output, "depth_cdr", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(old, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out.partial")) == ["camera+image_raw", "journal.json"]
    last = KnownPredictor()
    assert run(old, tmp_path / "out", predictor=last) == 0
    assert last.calls == [] and len(read(tmp_path / "out")[DEPTH]) == 4


def test_predictions_of_other_settings_are_not_mixed(tmp_path):
    old = write(tmp_path / "in", camera())
    with pytest.raises(KeyboardInterrupt):
        run(old, tmp_path / "out", predictor=KnownPredictor(fail={2: KeyboardInterrupt()}))
    with pytest.raises(ConfigurationError, match=r"focal: auto then, 80\.0 now.*--restart"):
        run(old, tmp_path / "out", "--focal", "80")
    assert run(old, tmp_path / "out", "--focal", "80", "--restart") == 0
    assert {message.k[0] for message in messages(tmp_path / "out", INFO_OUT)} == {80.0}


def test_what_is_made_of_predictions_may_change_between_runs(tmp_path):
    old = write(tmp_path / "in", camera())
    with pytest.raises(KeyboardInterrupt):
        run(old, tmp_path / "out", predictor=KnownPredictor(fail={3: KeyboardInterrupt()}))
    last = KnownPredictor()
    assert run(old, tmp_path / "out", "--encoding", "16UC1", "--storage", "sqlite3", "--cloud", predictor=last) == 0
    assert len(last.calls) == 1
    assert messages(tmp_path / "out", DEPTH)[0].encoding == "16UC1" and (tmp_path / "out" / "out.db3").exists()


def test_a_bag_that_is_there_is_not_overwritten(tmp_path):
    old = write(tmp_path / "in", camera(1))
    assert run(old, tmp_path / "out") == 0
    before = read(tmp_path / "out")
    with pytest.raises(OutputError, match="is there already"):
        run(old, tmp_path / "out")
    assert read(tmp_path / "out") == before


def test_weights_that_changed_behind_their_name_are_noticed(tmp_path):
    """The embedded weights were not trained then, and are now: their name on the command line is the same."""
    old = write(tmp_path / "in", camera())
    untrained = KnownPredictor(fail={2: KeyboardInterrupt()})
    untrained.description = {**KnownPredictor.description, "weights": "known (untrained)"}
    with pytest.raises(KeyboardInterrupt):
        run(old, tmp_path / "out", predictor=untrained)
    with pytest.raises(
        ConfigurationError, match=r"of the weights known \(untrained\), and these are known: begin"
    ):
        run(old, tmp_path / "out")
    assert run(old, tmp_path / "out", "--restart") == 0
