"""Files of depth: what other programs read back, and that a failure leaves nothing."""

import os
import stat

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs import files
from depth_pro_ros.records import DepthMap, Intrinsics

NAN, INF = np.nan, np.inf


def depth_map(depth_m, estimated=None):
    height, width = depth_m.shape
    return DepthMap(depth_m, Intrinsics(width, height, 50.0, 51.0, 1.5, 2.5), 50.0, estimated)


def test_npz_keeps_everything(tmp_path):
    depth = np.array([[1.25, NAN], [INF, 70000.0]], np.float32)
    files.write_npz(tmp_path / "a.npz", depth_map(depth, 48.5))
    with np.load(tmp_path / "a.npz") as loaded:
        assert sorted(loaded.files) == ["depth_m", "focal_estimated_px", "focal_px", "intrinsics"]
        assert loaded["depth_m"].dtype == np.float32
        np.testing.assert_array_equal(loaded["depth_m"], depth)
        np.testing.assert_array_equal(loaded["intrinsics"], [[50, 0, 1.5], [0, 51, 2.5], [0, 0, 1]])
        assert loaded["focal_px"] == 50.0 and loaded["focal_estimated_px"] == 48.5


def test_npz_without_estimate_does_not_invent_one(tmp_path):
    files.write_npz(tmp_path / "a.npz", depth_map(np.ones((2, 2), np.float32)))
    with np.load(tmp_path / "a.npz") as loaded:
        assert "focal_estimated_px" not in loaded.files


def test_png_is_16_bit_millimetres_and_0_where_it_cannot_say(tmp_path):
    depth = np.array([[1.0, 1.2347, 65.535, 65.536, 1000.0], [NAN, INF, 0.0, -2.0, 0.0006]], np.float32)
    files.write_png_mm(tmp_path / "d.png", depth)
    read = cv2.imread(str(tmp_path / "d.png"), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    assert read.tolist() == [[1000, 1235, 65535, 0, 0], [0, 0, 0, 0, 1]]


def test_picture_keeps_red_red(tmp_path):
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[0, 0] = (255, 10, 20)
    files.write_picture(tmp_path / "p.png", rgb)
    assert cv2.imread(str(tmp_path / "p.png"))[0, 0].tolist() == [20, 10, 255]  # OpenCV reads BGR


def test_ply_byte_for_byte(tmp_path):
    points = np.array([[1.0, 2.0, 3.0], [NAN, 0.0, 1.0], [0.0, 0.0, INF], [-1.0, 0.5, 4.0]])
    rgb = np.array([[1, 2, 3], [9, 9, 9], [9, 9, 9], [255, 128, 0]], np.uint8)
    assert files.write_ply(tmp_path / "c.ply", points, rgb) == 2
    header, body = (tmp_path / "c.ply").read_bytes().split(b"end_header\n")
    assert header.decode().splitlines() == [
        "ply",
        "format binary_little_endian 1.0",
        "comment optical frame: x right, y down, z forward, metres",
        "element vertex 2",
        "property float x",
        "property float y",
        "property float z",
        "property uchar red",
        "property uchar green",
        "property uchar blue",
    ]
    assert body.hex() == "0000803f0000004000004040010203" + "000080bf0000003f00008040ff8000"


def test_ply_takes_organised_points_and_no_colour(tmp_path):
    points = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    assert files.write_ply(tmp_path / "c.ply", points) == 8
    header, body = (tmp_path / "c.ply").read_bytes().split(b"end_header\n")
    assert b"red" not in header
    np.testing.assert_array_equal(np.frombuffer(body, "<f4").reshape(8, 3), points.reshape(8, 3))


def test_ply_without_a_point_is_a_valid_empty_cloud(tmp_path):
    assert files.write_ply(tmp_path / "c.ply", np.full((3, 3), NAN), np.zeros((3, 3), np.uint8)) == 0
    assert b"element vertex 0\n" in (tmp_path / "c.ply").read_bytes()


def test_ply_refuses_colours_of_another_number(tmp_path):
    with pytest.raises(OutputError, match="4 points but 3 colours"):
        files.write_ply(tmp_path / "c.ply", np.zeros((4, 3)), np.zeros((3, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_json_round_trip_and_no_nan(tmp_path):
    files.write_json(tmp_path / "a.json", {"name": "Brücke", "value": None})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "name": "Brücke",\n  "value": null\n}\n'
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "b.json", {"value": NAN})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_failure_half_way_keeps_the_old_file_and_leaves_no_other(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputError, match="No space left"):
        with files.atomic_file(tmp_path / "a") as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_any_other_failure_passes_through_and_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with files.atomic_file(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_final_name_appears_only_when_whole(tmp_path):
    with files.atomic_file(tmp_path / "a") as file:
        file.write(b"whole")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with files.atomic_file(tmp_path / "a") as file:
            file.write(b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["missing/a.ply", "folder"])
def test_unwritable_target_is_an_output_error(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_ply(tmp_path / name, np.zeros((1, 3)))
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


def test_make_folder(tmp_path):
    assert files.make_folder(tmp_path / "a" / "b").is_dir()
    assert files.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="give another folder"):
        files.make_folder(tmp_path / "file")
