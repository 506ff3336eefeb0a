"""The command sfm on made-up and recorded folders: metric with poses, without a unit otherwise, and bad input."""

import json

import cv2
import numpy as np
import pytest
from matching.panels import CAMERA, ROOM, pose, view

from depth_pro_ros.cli import sequence
from depth_pro_ros.cli.main import main
from depth_pro_ros.cli.sfm import tum
from depth_pro_ros.errors import CalibrationError, SourceError

POSES = [pose(x=0.08 * index, turn=(0, -0.5 * index, 0)) for index in range(8)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder of images with intrinsics.json and poses.txt."""
    (tmp_path / "rgb").mkdir()
    for index, T in enumerate(POSES):
        cv2.imwrite(str(tmp_path / "rgb" / f"{index}.png"), view(ROOM, T)[0])
    names = ("width", "height", "fx", "fy", "cx", "cy")
    (tmp_path / "intrinsics.json").write_text(json.dumps({name: getattr(CAMERA, name) for name in names}))
    (tmp_path / "poses.txt").write_text("# name pose\n" + "".join(f"{i} {tum(T)}\n" for i, T in enumerate(POSES)))
    return tmp_path


def sfm(folder, capsys, *more):
    arguments = ["sfm", str(folder), "--intrinsics", str(folder / "intrinsics.json"), "-o", str(folder / "out")]
    status = main([*arguments, *more])
    return status, capsys.readouterr()


def test_metric_with_poses(folder, capsys):
    status, said = sfm(folder, capsys, "--poses", str(folder / "poses.txt"), "--json")
    record = json.loads(said.out)
    assert status == 0 and record["metric"] and record["unit"] == "metres"
    assert record["path_length"] == pytest.approx(0.56, abs=1e-3) and record["located"] == 8
    ply = (folder / "out" / "landmarks.ply").read_bytes()
    header, body = ply.split(b"end_header\n")
    points = np.frombuffer(body, np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]))
    assert len(points) == record["landmarks"] > 50
    planes = np.array([panel.z for panel in ROOM])
    off = np.abs(points["xyz"][:, 2, None] - planes).min(axis=1)
    assert np.median(off) < 0.03
    kept = sequence.read_poses(folder / "out" / "trajectory.txt")
    assert np.allclose([kept[str(i)] for i in range(8)], POSES, atol=1e-6)
    assert json.loads((folder / "out" / "sfm.json").read_text()) == record


def test_without_poses_it_says_that_there_is_no_scale(folder, capsys):
    status, said = sfm(folder, capsys)
    assert status == 0 and "no scale" in said.out and "landmarks_without_scale.ply" in said.out
    path = sequence.read_poses(folder / "out" / "trajectory.txt")
    moved = [path[str(index)][:3, 3] - path["0"][:3, 3] for index in (3, 7)]
    assert np.linalg.norm(moved[1]) / np.linalg.norm(moved[0]) == pytest.approx(7 / 3, rel=0.05)


def test_bad_input_is_one_line_and_status_2(folder, capsys):
    (folder / "poses.txt").write_text("0 1 2 3\n")
    status, said = sfm(folder, capsys, "--poses", str(folder / "poses.txt"))
    assert status == 2 and "line 1" in said.err and "tx ty tz qx qy qz qw" in said.err
    (folder / "poses.txt").write_text("other 0 0 0 0 0 0 1\n")
    status, said = sfm(folder, capsys, "--poses", str(folder / "poses.txt"))
    assert status == 2 and "none of the images has a pose" in said.err
    (folder / "intrinsics.json").write_text('{"width": 640, "height": 480, "fx": 1, "fy": 1, "cx": 0, "cy": 0}')
    status, said = sfm(folder, capsys)
    assert status == 2 and "320x240, the calibration is for 640x480" in said.err


def test_calibration_files(tmp_path):
    good = tmp_path / "camera.yaml"
    good.write_text(
        "image_width: 640\nimage_height: 480\ndistortion_model: plumb_bob\n"
        "camera_matrix: {data: [500, 0, 320, 0, 501, 240, 0, 0, 1]}\n"
        "distortion_coefficients: {data: [0.1, -0.05, 0, 0, 0]}\n"
    )
    camera = sequence.read_camera(good)
    assert (camera.raw.fx, camera.raw.fy, camera.raw.cx, camera.raw.cy) == (500, 501, 320, 240)
    assert camera.rectifier is not None and camera.intrinsics.width == 640
    for text in (
        '{"width": 3}',
        "nonsense",
        "[1, 2]",
        '{"width": 4, "height": 4, "fx": -1, "fy": 1, "cx": 0, "cy": 0}',
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(CalibrationError, match=r"bad\.json"):
            sequence.read_camera(tmp_path / "bad.json")
    with pytest.raises(CalibrationError, match="absent"):
        sequence.read_camera(tmp_path / "absent.json")
    with pytest.raises(SourceError):
        sequence.read_poses(tmp_path / "absent.txt")


def test_poses_are_matched_by_name_or_by_time(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("1.00", "2.00", "3.00")]
    poses = {"1.01": pose(x=1.0), "2.00": pose(x=2.0), "3.50": pose(x=3.0)}
    found = sequence.match_poses(paths, poses)
    assert found[0][0, 3] == 1.0 and found[1][0, 3] == 2.0 and found[2] is None


def test_recorded_distorted_images(data_dir, tmp_path, capsys):
    folder = data_dir / "rgbd_tum_fr1_desk"
    arguments = ["sfm", str(folder), "--intrinsics", str(folder / "intrinsics.json"), "--json", "-o", str(tmp_path)]
    assert main([*arguments, "--poses", str(folder / "poses.txt")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["landmarks"] > 100 and record["located"] == 9
