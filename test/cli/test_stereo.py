"""`depth_pro_ros stereo` on the motorcycle."""

import json

import cv2
import numpy as np
import pytest

from depth_pro_ros.cli.main import main
from depth_pro_ros.cli.stereo import default_range


@pytest.fixture(scope="module")
def folder(data_dir):
    return data_dir / "stereo_motorcycle"


def test_depth_cloud_picture_and_figures(folder, tmp_path, capsys):
    pair = [str(folder / "left.png"), str(folder / "right.png"), "--calib", str(folder / "calib.json")]
    assert main(["stereo", *pair, "-o", str(tmp_path), "--num-disparities", "64", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "left.json").read_text())
    assert (record["baseline_m"], record["doffs_px"]) == (0.193001, 31.086)
    assert record["matched_share"] > 0.8 and record["searched_px"] == [0, 64]
    depth = np.load(tmp_path / "left.npz")["depth_m"]
    stored = cv2.imread(str(folder / "disp_left_x256.png"), cv2.IMREAD_UNCHANGED)
    truth = np.where(stored > 0, 994.978 * 0.193001 / (stored / 256 + 31.086), np.nan)
    assert np.nanmedian(np.abs(depth - truth) / truth) < 0.004
    millimetres = cv2.imread(str(tmp_path / "left_depth_mm.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(millimetres[np.isfinite(depth)], 1e3 * depth[np.isfinite(depth)], atol=0.51)
    assert (millimetres[np.isnan(depth)] == 0).all()
    assert record["cloud_points"] == np.isfinite(depth).sum()
    assert cv2.imread(str(tmp_path / "left.png")).shape[0] > 400
    assert (tmp_path / "left.ply").stat().st_size > 12 * record["cloud_points"]


def test_one_line_for_people(folder, tmp_path, capsys):
    pair = [str(folder / "left.png"), str(folder / "right.png"), "--calib", str(folder / "calib.json")]
    assert main(["stereo", *pair, "-o", str(tmp_path), "--num-disparities", "64"]) == 0
    line = capsys.readouterr().out
    assert "median" in line and "% of the pixels matched" in line and len(line.splitlines()) == 1


def test_exchanged_images_are_refused(folder, tmp_path, capsys):
    pair = [str(folder / "right.png"), str(folder / "left.png"), "--calib", str(folder / "calib.json")]
    assert main(["stereo", *pair, "-o", str(tmp_path), "--num-disparities", "64"]) == 2
    assert "exchange LEFT and RIGHT" in capsys.readouterr().err
    assert not (tmp_path / "right.json").exists()


def test_an_image_of_another_size_is_refused(folder, tmp_path, capsys):
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), np.zeros((250, 370, 3), np.uint8))
    pair = [str(folder / "left.png"), str(small), "--calib", str(folder / "calib.json")]
    assert main(["stereo", *pair, "-o", str(tmp_path)]) == 2
    assert "the right image is 370x250, the calibration is for 741x500" in capsys.readouterr().err


def test_the_range_follows_the_width():
    assert [default_range(width) for width in (20, 640, 741, 1282)] == [16, 128, 144, 256]
