"""Calibration files of a pair, and the rectification that follows from them, on a real raw stereo rig."""

import json

import cv2
import numpy as np
import pytest
import yaml

from depth_pro_ros.cli import stereo_calibration
from depth_pro_ros.errors import CalibrationError

RECTIFIED = {"width": 64, "height": 48, "fx": 50, "fy": 50, "cx": 31, "cy": 23, "baseline_m": 0.1, "doffs_px": 2.5}
CRITERIA = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 50, 1e-4)


def write(path, values):
    path.write_text(json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values))
    return path


def as_yaml(calibration, side):
    """Return one side of the chessboard's calib.json as camera_calibration writes it."""
    camera = calibration[side]
    matrix = lambda name: {"data": np.ravel(camera[name]).tolist()}  # noqa: E731
    return {
        "image_width": calibration["width"],
        "image_height": calibration["height"],
        "distortion_model": "plumb_bob",
        "distortion_coefficients": matrix("D"),
        "camera_matrix": matrix("K"),
        "rectification_matrix": matrix("R_rect"),
        "projection_matrix": matrix("P"),
    }


def test_json_of_a_rectified_pair(tmp_path):
    calibration = stereo_calibration.read([write(tmp_path / "calib.json", RECTIFIED)])
    assert (calibration.rig.baseline_m, calibration.rig.doffs_px, calibration.rig.left.cx) == (0.1, 2.5, 31.0)
    assert calibration.left is None and calibration.right is None


def test_yaml_and_json_of_a_raw_pair_say_the_same(tmp_path, data_dir):
    file = data_dir / "stereo_chessboard" / "calib.json"
    data = json.loads(file.read_text())
    yamls = [write(tmp_path / f"{side}.yaml", as_yaml(data, side)) for side in ("left", "right")]
    ours, theirs = stereo_calibration.read([file]), stereo_calibration.read(yamls)
    assert ours.rig == theirs.rig and ours.rig.baseline_m == pytest.approx(data["baseline_m"], rel=1e-5)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    for side in ("left", "right"):
        rectified = [getattr(calibration, side).rectify(noise) for calibration in (ours, theirs)]
        np.testing.assert_array_equal(*rectified)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**RECTIFIED, "doffs_px": None}, "TypeError"),
        ({key: value for key, value in RECTIFIED.items() if key != "cx"}, "'cx'"),
        ({**RECTIFIED, "baseline_m": 0}, "baseline is 0"),
        ({**RECTIFIED, "baseline_m": -0.1}, "swapped"),
        ({**RECTIFIED, "fx": -50}, "fx=-50"),
        ([1, 2], "holds a list"),
    ],
)
def test_faults_are_named_with_the_file(tmp_path, values, message):
    with pytest.raises(CalibrationError, match=message) as caught:
        stereo_calibration.read([write(tmp_path / "calib.json", values)])
    assert "calib.json" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CalibrationError, match="none.json: it cannot be read"):
        stereo_calibration.read([tmp_path / "none.json"])


def corners_of(image):
    """Return the 9x6 board's inner corners (54, 2) in rows, or None."""
    found, corners = cv2.findChessboardCorners(image, (9, 6))
    return cv2.cornerSubPix(image, corners, (5, 5), (-1, -1), CRITERIA).reshape(-1, 2) if found else None


def test_rectified_chessboards_match_row_by_row_and_have_their_size(data_dir):
    """Corners of our rectified images: their rows agree, and 25 mm squares come out of Z = f B / d."""
    folder = data_dir / "stereo_chessboard"
    calibration = stereo_calibration.read([folder / "calib.json"])
    rig, across, epipolar, sides = calibration.rig, [], [], []
    for left_file in sorted((folder / "left").iterdir()):
        raw = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in (left_file, folder / "right" / left_file.name)]
        left, right = (
            corners_of(r.rectify(i)) for r, i in zip((calibration.left, calibration.right), raw, strict=True)
        )
        if left is None or right is None:
            continue
        across.append(left_file.name)
        epipolar.append(np.abs(left[:, 1] - right[:, 1]).mean())
        z = rig.left.fx * rig.baseline_m / (left[:, 0] - right[:, 0] + rig.doffs_px)
        xy = (left - (rig.left.cx, rig.left.cy)) / rig.left.fx
        board = (np.column_stack([xy, np.ones(len(z))]) * z[:, None]).reshape(6, 9, 3)
        sides += [np.linalg.norm(np.diff(board, axis=axis), axis=-1).ravel() for axis in (0, 1)]
    sides_mm = 1e3 * np.concatenate(sides)
    print(f"{len(across)} pairs: epipolar error {np.mean(epipolar):.3f} px (worst pair {max(epipolar):.3f}), ", end="")
    print(
        f"square side {np.mean(sides_mm):.2f} mm, median {np.median(sides_mm):.2f} mm, spread {sides_mm.std():.2f} mm"
    )
    assert len(across) >= 12
    assert max(epipolar) <= 0.3
    assert np.mean(sides_mm) == pytest.approx(25.0, abs=0.3)
