"""What a photo gives: pictures of one size, depth for the cursor, clouds, the cut-out and the files to keep."""

import struct

import cv2
import numpy as np
import pytest
from outputs.glb_parts import attribute, take_apart
from web.doubles import Double, two_planes

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap
from depth_pro_ros.web import answers
from depth_pro_ros.web.answers import Answer


def answer(folder, width=64, height=48, focal_px=50.0):
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = np.arange(width)
    rgb[..., 2] = 200
    return Answer(rgb, Double().predict(rgb, focal_px, estimate_focal=True), folder, "me")


def test_the_two_pictures_have_one_size_and_the_right_colours(tmp_path):
    photo, coloured = (cv2.imread(str(path))[..., ::-1] for path in answer(tmp_path).pictures())
    assert photo.shape == coloured.shape == (48, 64, 3)
    assert photo[5, 7].tolist() == [7, 0, 200]
    near, far = coloured[40, 5].astype(int), coloured[40, 60].astype(int)
    assert near[0] > near[2] and far[2] > far[0]  # near is red, far is blue
    assert coloured[0, 0].tolist() == [206, 216, 230] and coloured[-1, -1].tolist() == [0, 0, 0]


def test_a_large_photo_is_shown_thinned_and_kept_whole(tmp_path):
    large = answer(tmp_path, 1600, 100)
    photo, _ = large.pictures()
    assert cv2.imread(str(photo)).shape == (80, 1280, 3)
    assert cv2.imread(str(large.downloads()[0]), cv2.IMREAD_UNCHANGED).shape == (100, 1600)


def test_values_are_the_depth_of_the_pixels_shown(tmp_path):
    data = answer(tmp_path).values().read_bytes()
    assert struct.unpack_from("<II", data) == (64, 48)
    np.testing.assert_array_equal(np.frombuffer(data[8:], "<f4").reshape(48, 64), two_planes(64, 48))


def test_thinned_values_are_never_made_up(tmp_path):
    values = np.frombuffer(answer(tmp_path, 2000, 300).values().read_bytes()[8:], "<f4")
    assert values.size == 1280 * 192 and set(values[np.isfinite(values)].tolist()) == {1.0, 4.0}


def test_the_view_leaves_out_what_is_far_behind(tmp_path, monkeypatch):
    made = answer(tmp_path, focal_px=32.0)
    made.depth_m[40, 40] = 900.0
    view = made.view()
    points, _ = attribute(*take_apart(view.path), "POSITION", "<f4")
    assert len(points) == 36 * 64 - 2  # without sky, the unknown pixel and the one at 900 m
    assert points[:, 2].min() == -4.0
    # x from -31.5/32 * 1 m to 31.5/32 * 4 m, y from (12 - 23.5)/32 * 4 m to (47 - 23.5)/32 * 4 m, z from 1 to 4 m.
    assert view.distance_m == pytest.approx(np.linalg.norm([31.5 / 32 * 1.5, (12 - 47 + 47) / 32 * 2, 2.5]), rel=1e-4)


def test_the_view_has_few_points_of_a_large_photo(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "VIEW_POINTS", 600)
    points, _ = attribute(*take_apart(answer(tmp_path).view().path), "POSITION", "<f4")
    assert len(points) == 12 * 22  # every third row and column: 16 rows less 4 of sky, 22 columns


def test_the_cut_out_is_the_near_half(tmp_path):
    path, ends_m = answer(tmp_path).cut_out()
    rgba = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert 1.0 < ends_m < 4.0
    assert (rgba[12:, :32, 3] == 255).all() and (rgba[12:, 32:, 3] == 0).all() and (rgba[:12, :, 3] == 0).all()
    assert rgba[20, 5, :3].tolist() == [200, 0, 5]  # OpenCV reads BGR


def test_files_to_keep_say_the_same_depth(tmp_path):
    png, npz, ply, glb = answer(tmp_path).downloads()
    assert [path.name for path in (png, npz, ply, glb)] == ["me_depth_mm.png", "me.npz", "me.ply", "me.glb"]
    millimetres = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
    assert millimetres.dtype == np.uint16 and millimetres[40, [5, 60]].tolist() == [1000, 4000]
    with np.load(npz) as loaded:
        np.testing.assert_array_equal(loaded["depth_m"], two_planes(64, 48))
    points, _ = attribute(*take_apart(glb), "POSITION", "<f4")
    assert len(points) == 36 * 64 - 1 and f"element vertex {len(points)}\n".encode() in ply.read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_depth_known_nowhere_has_pictures_and_no_cloud_to_turn(tmp_path, value):
    rgb = np.zeros((8, 10, 3), np.uint8)
    blind = Answer(rgb, DepthMap(np.full((8, 10), value, np.float32), pinhole.centred(10, 8, 9.0), 9.0), tmp_path, "me")
    assert all(path.exists() for path in (*blind.pictures(), blind.values(), *blind.downloads()))
    assert blind.view() is None and blind.cut_out() is None
