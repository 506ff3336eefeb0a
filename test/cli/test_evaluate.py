"""`evaluate` on tiny folders with a stand-in network, and once with the real one in two processes."""

from __future__ import annotations

import argparse
import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from evaluation.made_folders import SIZE, camera, depth_png, pairs, photo

from depth_pro_ros.cli import evaluate, evaluate_images
from depth_pro_ros.cli import main as command_line
from depth_pro_ros.cli.evaluate_sources import HELD_OUT_SEED, FolderImages, SceneImages
from depth_pro_ros.errors import (
    CalibrationError,
    ConfigurationError,
    ImageError,
    InferenceError,
    OutputError,
    SourceError,
)
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

ESTIMATED_PX = 80.0


class FakePredictor:
    """A network that sees 2.5 m everywhere at the focal length of 100 px, and believes that it is 80 px."""

    description = {"weights": "fake", "preset": "none", "trained": True, "input_size": 64}

    def __init__(self, fails_at=None):
        self.seen, self.fails_at = [], fails_at

    def predict(self, rgb, intrinsics=None, focal_px=None, estimate_focal=None):
        if len(self.seen) == self.fails_at:
            raise InferenceError("out of memory")
        self.seen.append(int(rgb[0, 0, 0]))
        height, width = rgb.shape[:2]
        focal = intrinsics.fx if intrinsics else focal_px or ESTIMATED_PX
        depth = np.full((height, width), 2.5 * focal / 100, np.float32)
        return DepthMap(depth, pinhole.centred(width, height, focal), focal, ESTIMATED_PX if estimate_focal else None)


def run(*argv, predictor=None):
    """Run the command as the command line would, with the fake predictor; return its status."""
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    fake = predictor or FakePredictor()
    return evaluate.run(parser.parse_args([str(a) for a in argv]), load=lambda *args: fake)


def report(tmp_path, *argv, predictor=None):
    """Run and return the sets of the JSON."""
    assert run(*argv, "--json", tmp_path / "report.json", predictor=predictor) == 0
    return json.loads((tmp_path / "report.json").read_text())["sets"]


def test_figures_by_hand(tmp_path, capsys):
    (found,) = report(tmp_path, pairs(tmp_path / "set", (2000, 4000)))
    network = found["network"]["none"]
    assert network["abs_rel"] == pytest.approx((0.25 + 0.375) / 2)
    assert network["rmse_m"] == pytest.approx((0.5 + 1.5) / 2)
    assert (network["delta1"], network["delta2"]) == (0.0, 0.5)  # 1.25 is not below 1.25; 1.6 is above 1.5625
    assert found["network"]["scale"]["abs_rel"] == pytest.approx(0.0, abs=1e-7)
    # 2.5 * 80 / 100 = 2 m
    assert found["network"]["other focal"]["abs_rel"] == pytest.approx((0.0 + 0.5) / 2)
    focal = found["focal"]
    assert (focal["median_relative_error"], focal["delta25"], focal["images"]) == (pytest.approx(0.2), 1.0, 2)
    constant = found["baselines"]["best constant (delta1)"]
    assert constant["none"]["delta1"] == 0.5 and constant["scale"]["abs_rel"] == pytest.approx(0.0, abs=1e-7)
    assert sum(found["by_range"]["pixels"]) == 2 * SIZE[0] * SIZE[1]
    text = capsys.readouterr().out
    assert "set: 2 images, layout pairs, focal length given, depth up to 1000 m" in text
    assert "0.3125    1.000" in text and "within 25 % 100.0%" in text


def test_the_focal_length_can_be_estimated_and_must_be_where_it_is_unknown(tmp_path):
    (found,) = report(tmp_path, pairs(tmp_path / "known"), "--focal", "estimated")
    assert found["network"]["none"]["abs_rel"] == pytest.approx(0.25)
    assert found["network"]["other focal"]["abs_rel"] == pytest.approx(0.3125)
    (found,) = report(tmp_path, pairs(tmp_path / "unknown", with_camera=False))
    assert found["focal_length"] == "estimated" and found["focal"] is None
    assert found["network"]["none"]["abs_rel"] == pytest.approx(0.25)
    with pytest.raises(CalibrationError, match="0: its focal length is not known"):
        run(tmp_path / "unknown", "--focal", "given")


def test_a_cap_leaves_out_what_lies_beyond(tmp_path):
    depths = np.full(SIZE[::-1], 2000)
    depths[:3] = 9000
    (found,) = report(tmp_path, pairs(tmp_path / "set", (depths,)), "--max-depth", "5")
    assert found["network"]["none"]["pixels"] == 24
    assert found["network"]["none"]["abs_rel"] == pytest.approx(0.25)
    (found,) = report(tmp_path, tmp_path / "set", "--depth-scale", "500", "--max-depth", "2000")
    assert found["network"]["none"]["abs_rel"] == pytest.approx((1.5 / 4 + 15.5 / 18) / 2)


def test_a_cap_before_everything_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no known depth up to 1.0 m"):
        run(pairs(tmp_path / "set"), "--max-depth", "1")


def test_a_limit_spreads_over_the_set(tmp_path):
    folder = pairs(tmp_path / "set", (1000,) * 6)
    fake = FakePredictor()
    assert run(folder, "--limit", "3", predictor=fake) == 0
    assert fake.seen == [50, 52, 54]


def test_masks(tmp_path, capsys):
    photo(tmp_path / "set" / "rgb" / "a.png")
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:, 4:] = 255
    (tmp_path / "set" / "mask").mkdir()
    cv2.imwrite(str(tmp_path / "set" / "mask" / "a.png"), mask)
    (found,) = report(tmp_path, tmp_path / "set", "-o", tmp_path / "out")
    assert found["boundary_recall"] == 0.0 and found["network"] == {} and found["baselines"] == {}
    assert [path.name for path in (tmp_path / "out" / "set").iterdir()] == ["images.csv"]
    assert "boundary recall of the masks 0.0000" in capsys.readouterr().out


def test_files_of_a_set(tmp_path):
    folder, other = pairs(tmp_path / "a" / "set", (2000, 4000, 3000)), pairs(tmp_path / "b" / "set")
    assert run(folder, other, "-o", tmp_path / "out", "--worst", "2") == 0
    names = sorted(path.name for path in (tmp_path / "out" / "set").iterdir())
    assert names == ["error_by_range.png", "images.csv", "worst_1_1.png", "worst_2_0.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["set", "set_#2"]
    with open(tmp_path / "out" / "set" / "images.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["0", "1", "2"]
    assert [float(row["none_abs_rel"]) for row in rows] == pytest.approx([0.25, 0.375, 1 / 6])
    assert rows[0]["focal_true_px"] == "100.0" and rows[0]["boundary_recall"] == ""
    plot = cv2.imread(str(tmp_path / "out" / "set" / "error_by_range.png"))
    assert plot.shape == (560, 960, 3)


def test_several_sets_are_compared_after_scale_and_shift(tmp_path, capsys):
    steps = np.repeat([[2000], [4000]], 3, axis=0) * np.ones((1, SIZE[0]))
    steps[0, 0] = 1000  # so that even the best rows err
    for name in "ab":
        pairs(tmp_path / name, (steps,))
    first, second = report(tmp_path, tmp_path / "a", tmp_path / "b")
    lines = capsys.readouterr().out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("AbsRel after"))
    for line, name, found in zip(lines[start + 1 :], "ab", (first, second), strict=False):
        label, mine, rows, ratio = line.split()
        assert label == name and float(ratio) > 1
        assert float(mine) == pytest.approx(found["network"]["scale_shift"]["abs_rel"], abs=1e-4)
        best = min(row["scale_shift"]["abs_rel"] for key, row in found["baselines"].items() if "rows" in key)
        assert float(rows) == pytest.approx(best, abs=1e-4)
        over = found["over_baselines"]["AbsRel over that of the best rows, both after scale and shift"]
        assert float(ratio) == pytest.approx(over, abs=1e-3)


def render(kind, seeds, height, width):
    """Return a world of one plane at 2 m, seen by a camera of f 100 px across and 150 px down."""
    number = len(seeds)
    return SimpleNamespace(
        rgb=torch.full((number, height, width, 3), seeds[0] % 7, dtype=torch.uint8),
        depth_m=torch.full((number, height, width), 2.0),
        focal_x_px=torch.full((number,), 100.0),
        focal_y_px=torch.full((number,), 150.0),
    )


def test_scenes(tmp_path, monkeypatch):
    monkeypatch.setattr("depth_pro_ros.scenes.render", render)
    fake = FakePredictor()
    (found,) = report(tmp_path, "scenes:robot", "--count", "3", "--size", "64", predictor=fake)
    assert found["world"] == "robot" and found["first_seed"] == HELD_OUT_SEED == 30_000_000
    assert fake.seen == [seed % 7 for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + 3)]
    assert found["network"]["none"]["abs_rel"] == pytest.approx(0.25)
    assert found["network"]["other focal"]["abs_rel"] == pytest.approx(0.0, abs=1e-7)
    true, estimated = (2 * np.degrees(np.arctan(32 / f)) for f in (100, 80))
    assert found["fov_median_error_deg"] == pytest.approx(estimated - true)
    assert found["baselines"]["best rows (delta1)"]["none"]["delta1"] == 1.0
    assert found["over_baselines"]["delta1 over that of the best rows"] == 0.0
    assert found["seam_ratio"] is None  # an even depth has no gradient to compare with
    sample = SceneImages("robot", 1, side=64, render=render).read(0)
    assert (sample.intrinsics.fx, sample.intrinsics.fy, sample.intrinsics.cx) == (100.0, 150.0, 31.5)


@pytest.mark.parametrize(
    "argv, says",
    [
        (["scenes:moon"], "there is no world 'moon'"),
        (["scenes:robot", "--first-seed", "9999999"], "are trained on"),
        (["scenes:robot", "--size", "16"], "32 pixels"),
    ],
)
def test_scenes_that_cannot_be(argv, says):
    with pytest.raises(ConfigurationError, match=says):
        run(*argv)


def test_seams_on_a_wall(tmp_path, capsys):
    class Stepped(FakePredictor):
        def predict(self, rgb, **kwargs):
            result = super().predict(rgb, **kwargs)
            result.depth_m[:] *= np.exp(0.001 * np.arange(64))
            result.depth_m[:, 13 * 2 :] *= np.exp(0.01)
            return result

    assert run("seams", "--json", tmp_path / "r.json", predictor=Stepped()) == 0
    # Across, one edge at each of 6 joints and 55 others of 61; down, nothing changes: (6 * 1 + 10) / 12 over 55 / 110.
    expected = (16 / 12) / (55 / 110)
    assert json.loads((tmp_path / "r.json").read_text())["wall_seam_ratio"] == pytest.approx(expected, rel=1e-3)
    assert f"{expected:.3f}" in capsys.readouterr().out


def all_zero(folder):
    depth_png(folder / "depth" / "1.png", 0)


def wrong_unit(folder):
    camera(folder, depth_scale=1)


def damaged(folder):
    (folder / "rgb" / "1.png").write_bytes(b"")


@pytest.mark.parametrize(
    "spoil, says", [(all_zero, "no depth at all"), (wrong_unit, "the unit is probably wrong"), (damaged, "as a photo")]
)
def test_bad_sets_end_before_anything_is_predicted_or_written(tmp_path, capsys, spoil, says):
    folder = pairs(tmp_path / "set")
    spoil(folder)
    argv = ["evaluate", str(folder), "-o", str(tmp_path / "out"), "--json", str(tmp_path / "r.json")]
    assert command_line.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("depth_pro_ros: ") and says in error and "Traceback" not in error
    assert not (tmp_path / "out").exists() and not (tmp_path / "r.json").exists()


def test_a_folder_that_does_not_exist(capsys):
    assert command_line.main(["evaluate", "/nowhere"]) == 2
    assert "there is no folder '/nowhere'" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_before_anything_is_predicted(tmp_path):
    (tmp_path / "file").write_text("")
    fake = FakePredictor()
    for option in (["-o", tmp_path / "file"], ["--json", tmp_path / "file" / "r.json"]):
        with pytest.raises(OutputError, match="file"):
            run(pairs(tmp_path / "set"), *option, predictor=fake)
    assert fake.seen == []


def test_an_interrupted_evaluation_goes_on(tmp_path):
    folder = pairs(tmp_path / "set", (2000, 4000, 3000))
    whole = report(tmp_path, folder, "--max-depth", "50")
    arguments = (folder, "-o", tmp_path / "out", "--max-depth", "50")
    with pytest.raises(InferenceError, match="2: out of memory"):
        run(*arguments, predictor=FakePredictor(fails_at=2))
    progress = tmp_path / "out" / "set" / evaluate_images.PROGRESS
    assert [path.name for path in progress.parent.iterdir()] == [progress.name]
    with open(progress, "a", encoding="utf-8") as file:
        file.write('{"name": "2", "dep')  # a line cut short
    with pytest.raises(ConfigurationError, match="of another evaluation"):
        run(folder, "-o", tmp_path / "out", "--max-depth", "40")
    rest = FakePredictor()
    assert report(tmp_path, *arguments, "--worst", "0", predictor=rest) == whole
    assert rest.seen == [52]
    assert not progress.exists()


def test_an_error_names_its_image(tmp_path):
    class Blind(FakePredictor):
        def predict(self, rgb, **kwargs):
            result = super().predict(rgb, **kwargs)
            result.depth_m[0] = np.nan
            return result

    with pytest.raises(Exception, match="0: the prediction is NaN"):
        run(pairs(tmp_path / "set"), predictor=Blind())


def test_sets_know_themselves(tmp_path):
    images = FolderImages(pairs(tmp_path / "set"), limit=1)
    assert (images.name, images.names(), images.has_cameras, len(images)) == ("set", ["0"], True, 1)
    with pytest.raises(SourceError):
        len(FolderImages(tmp_path / "none"))


@pytest.mark.slow
def test_processes_give_the_same_as_one(tmp_path, capsys):
    folder = pairs(tmp_path / "set", (2000, 4000, 3000))
    results = []
    for workers in ("1", "2"):
        argv = ["evaluate", str(folder), "--weights", "micro", "--device", "cpu", "--precision", "float32"]
        assert command_line.main([*argv, "--workers", workers, "--json", str(tmp_path / "r.json")]) == 0
        results.append(json.loads((tmp_path / "r.json").read_text()))
        assert "THE WEIGHTS ARE UNTRAINED" in capsys.readouterr().err
    one, two = (result["sets"][0]["network"]["none"] for result in results)
    assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.slow
def test_an_error_in_a_process_is_told(tmp_path, capsys):
    folder = pairs(tmp_path / "set", (1000,) * 41)
    damaged(folder)  # not among the images that are read beforehand
    assert command_line.main(["evaluate", str(folder), "--weights", "micro", "--workers", "2"]) == 2
    assert "1.png' cannot be read as a photo" in capsys.readouterr().err
