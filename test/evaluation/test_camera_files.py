"""Cameras from files: every format gives the numbers that it states, and faults are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation.made_folders import camera

from depth_pro_ros.errors import CalibrationError
from depth_pro_ros.evaluation.camera_files import find_camera, read_camera, read_kitti, read_middlebury
from depth_pro_ros.records import Intrinsics

YAML = """
image_width: 8
image_height: 6
camera_matrix: {rows: 3, cols: 3, data: [100, 0, 3.5, 0, 110, 2.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {data: [0.1, 0, 0, 0, 0]}
"""
MIDDLEBURY = (
    "cam0=[400 0 3.5; 0 400 2.5; 0 0 1]\ncam1=[400 0 5.5; 0 400 2.5; 0 0 1]\ndoffs=2\nbaseline=193.001\nwidth=8\n"
)


def test_json(tmp_path):
    found = find_camera(camera(tmp_path, depth_scale=5000, fy=90))
    assert found.intrinsics(1, 1) == Intrinsics(8, 6, 100.0, 90.0, 3.5, 2.5)
    assert found.depth_scale == 5000 and found.distortion == ()


def test_camera_info_yaml(tmp_path):
    (tmp_path / "camera_info.yaml").write_text(YAML)
    found = read_camera(tmp_path)
    assert found.intrinsics(1, 1) == Intrinsics(8, 6, 100.0, 110.0, 3.5, 2.5)
    assert found.distortion == (0.1, 0, 0, 0, 0) and found.depth_scale is None


def test_kitti_takes_the_photos_size(tmp_path):
    (tmp_path / "k.txt").write_text("721.5 0 609.5 0 720.5 172.8 0 0 1\n")
    assert read_kitti(tmp_path / "k.txt").intrinsics(1216, 352) == Intrinsics(1216, 352, 721.5, 720.5, 609.5, 172.8)


def test_middlebury(tmp_path):
    (tmp_path / "calib.txt").write_text(MIDDLEBURY + "height=6\nndisp=64\n")
    rig = read_middlebury(tmp_path / "calib.txt")
    assert rig.left == Intrinsics(8, 6, 400.0, 400.0, 3.5, 2.5)
    assert rig.baseline_m == pytest.approx(0.193001) and rig.doffs_px == 2.0


def test_no_file_is_no_camera_or_an_error(tmp_path):
    assert find_camera(tmp_path) is None
    with pytest.raises(CalibrationError, match="none of intrinsics.json"):
        read_camera(tmp_path)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"fx": 0}, "fx=0"),
        ({"fx": "wide"}, "ValueError"),
        ({"width": 0}, "0x6"),
        ({"depth_scale": -1}, "depth_scale -1"),
        ({"distortion": [0.1, 0.2]}, "coefficients"),
        ({"distortion": [0.1, 0, 0, 0], "distortion_model": "equidistant"}, "equidistant"),
    ],
)
def test_a_faulty_camera_names_its_file_and_fault(tmp_path, changes, says):
    with pytest.raises(CalibrationError, match=says) as error:
        find_camera(camera(tmp_path, **changes))
    assert "intrinsics.json" in str(error.value)


@pytest.mark.parametrize("text", ["{", "[1, 2]", json.dumps({"width": 8})])
def test_no_camera_in_the_file(tmp_path, text):
    (tmp_path / "intrinsics.json").write_text(text)
    with pytest.raises(CalibrationError, match="it needs width"):
        find_camera(tmp_path)


def test_faulty_text_files(tmp_path):
    (tmp_path / "k.txt").write_text("1 2 3")
    with pytest.raises(CalibrationError, match="3 numbers"):
        read_kitti(tmp_path / "k.txt")
    (tmp_path / "calib.txt").write_text(MIDDLEBURY)
    with pytest.raises(CalibrationError, match="height"):
        read_middlebury(tmp_path / "calib.txt")


def test_undistortion_moves_photo_and_truths_alike(tmp_path):
    found = find_camera(camera(tmp_path, fx=5, fy=5, distortion=[0.2, 0, 0, 0]))
    truth = np.arange(48, dtype=np.float32).reshape(6, 8) + 1
    rgb = np.repeat(truth[..., None], 3, axis=2).astype(np.uint8)
    photo, moved, none = found.undistorted(rgb, truth, None)
    assert none is None
    # Pixel (0, 2) lies at x = -0.7, y = -0.1 of the image plane: 1 + 0.2 * 0.5 = 1.1 times as far in the raw image,
    # at u = 3.5 - 3.85 = -0.35, v = 2.5 - 0.55 = 1.95: nearest is the raw pixel (0, 2).
    assert moved[2, 0] == truth[2, 0]
    # The corner lies at (-0.7, -0.5), r^2 = 0.74: 1.148 times as far, at u = -0.52: beyond the raw image.
    assert moved[0, 0] == 0
    inside = (moved > 0)[1:-1, 1:-1]
    assert inside.all()
    assert np.abs(photo[1:-1, 1:-1, 0].astype(float) - moved[1:-1, 1:-1]).max() <= 5  # half a pixel: 0.5 + 0.5 * 8
