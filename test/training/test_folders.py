"""Folders of RGB-D: every documented layout is read alike, real recordings too, and what is wrong is named."""

from __future__ import annotations

import json
import math
import shutil

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError, SourceError
from depth_pro_ros.evaluation import rgbd
from depth_pro_ros.training.curriculum import DataSet
from depth_pro_ros.training.folders import RgbdFolder

DATA = DataSet("room", side=32, synthetic=False)
WIDTH, HEIGHT, FX = 64, 48, 50.0
CAMERA = {"width": WIDTH, "height": HEIGHT, "fx": FX, "fy": 51.0, "cx": 31.5, "cy": 23.5}


def picture() -> tuple[np.ndarray, np.ndarray]:
    """Return rgb whose left half is red, and depth of 2 m on the left, 4 m on the right, unknown in the first rows."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, : WIDTH // 2, 0] = 200
    depth = np.where(np.arange(WIDTH) < WIDTH // 2, 2.0, 4.0) * np.ones((HEIGHT, 1))
    depth[:12] = 0
    return rgb, depth.astype(np.float32)


def write(folder, name: str = "a", depth_kind: str = "png", depth=None, scale: float = 1000.0) -> None:
    """Write one image into `folder` and a camera file beside it."""
    rgb, default = picture()
    depth = default if depth is None else depth
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "rgb" / f"{name}.png"), rgb[..., ::-1])
    if depth_kind == "png":
        cv2.imwrite(str(folder / "depth" / f"{name}.png"), (depth * scale).astype(np.uint16))
    elif depth_kind == "npy":
        np.save(folder / "depth" / f"{name}.npy", depth)
    else:
        np.savez(folder / "depth" / f"{name}.npz", depth_m=depth, intrinsics=np.eye(3))
    (folder / "intrinsics.json").write_text(json.dumps({**CAMERA, "depth_scale": scale}))


def check(folder) -> None:
    source = RgbdFolder(folder, DATA)
    source.prepare()
    raw = source.read(np.array([0]))
    assert raw.rgb.shape == (1, 32, 32, 3) and raw.rgb[0, 16, 4].tolist() == [200, 0, 0]
    assert raw.inverse_m[0, 16, 4] == 0.5 and raw.inverse_m[0, 16, 28] == 0.25
    assert raw.known.float().mean() == 0.75 and not raw.known[0, :8].any()
    assert float(raw.fov_deg[0]) == pytest.approx(2 * math.degrees(math.atan(WIDTH / 2 / FX)))


@pytest.mark.parametrize(("kind", "scale"), [("png", 1000.0), ("png", 5000.0), ("npy", 1.0), ("npz", 1.0)])
def test_depth_formats(tmp_path, kind, scale):
    write(tmp_path, depth_kind=kind, scale=scale)
    check(tmp_path)


def test_a_ros_calibration_in_yaml(tmp_path):
    write(tmp_path)
    (tmp_path / "intrinsics.json").unlink()
    (tmp_path / "camera.yaml").write_text(
        f"image_width: {WIDTH}\nimage_height: {HEIGHT}\ncamera_matrix:\n  rows: 3\n  cols: 3\n"
        f"  data: [{FX}, 0, 31.5, 0, 51.0, 23.5, 0, 0, 1]\ndistortion_coefficients:\n  data: [0, 0, 0, 0, 0]\n"
    )
    check(tmp_path)


def test_unknown_and_infinite_depth_of_floating_point(tmp_path):
    depth = picture()[1]
    depth[12:24] = np.nan
    depth[24:36] = np.inf
    write(tmp_path, depth_kind="npy", depth=depth)
    raw = RgbdFolder(tmp_path, DATA).read(np.array([0]))
    assert not raw.known[0, :16].any() and bool(raw.known[0, 16:].all())
    assert bool((raw.inverse_m[0, :24] == 0).all()) and bool((raw.inverse_m[0, 24:] > 0).all())


def test_distortion_is_taken_out(tmp_path):
    """A point that barrel distortion drew inwards is found farther out, where the pinhole has it."""
    write(tmp_path)
    k1 = -0.3
    (tmp_path / "intrinsics.json").write_text(json.dumps({**CAMERA, "distortion": [k1, 0, 0, 0]}))
    radius = 0.4  # of the undistorted ray, along the image's row through the principal point
    seen = 31.5 + FX * radius * (1 + k1 * radius**2)
    rgb, depth = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.ones((HEIGHT, WIDTH), np.uint16)
    rgb[:, round(seen) - 1 : round(seen) + 2] = 255
    cv2.imwrite(str(tmp_path / "rgb" / "a.png"), rgb)
    cv2.imwrite(str(tmp_path / "depth" / "a.png"), depth * 1000)
    sample = rgbd.read(RgbdFolder(tmp_path, DATA).items[0])
    image, depth_m = sample.rgb, sample.depth_m
    row = image[round(CAMERA["cy"]), :, 0].astype(float)
    assert (row * np.arange(WIDTH)).sum() / row.sum() == pytest.approx(31.5 + FX * radius, abs=0.8)
    assert set(np.unique(depth_m)) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "count", "synthetic"),
    [("rgbd_tum_fr1_desk", 9, False), ("rgbd_hololens", 28, False), ("rgbd_livingroom_synth", 36, True)],
)
def test_real_recordings(data_dir, name, count, synthetic):
    source = RgbdFolder(data_dir / name, DataSet(name, side=128, synthetic=synthetic))
    source.prepare()
    raw = source.read(np.array([0, source.size - 1]))
    median = float((1 / raw.inverse_m[raw.known]).median())
    print(f"{name}: {source.size} images, median depth {median:.2f} m, field of view {float(raw.fov_deg[0]):.1f} deg")
    assert source.size == count
    assert 0.5 < median < 5 and 50 < float(raw.fov_deg[0]) < 70
    assert raw.known.float().mean() > 0.3 and raw.rgb.float().std() > 10


def test_a_file_without_partner_is_named(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b")
    (tmp_path / "depth" / "b.png").unlink()
    with pytest.raises(SourceError, match=r"no partner.*rgb/b\.png"):
        RgbdFolder(tmp_path, DATA)


def test_missing_folders_and_camera_files_are_named(tmp_path):
    with pytest.raises(SourceError, match="correct --data room=FOLDER"):
        RgbdFolder(tmp_path / "nowhere", DATA)
    with pytest.raises(SourceError, match="none of the layouts"):
        RgbdFolder(tmp_path, DATA)
    write(tmp_path)
    (tmp_path / "intrinsics.json").unlink()
    with pytest.raises(CalibrationError, match="intrinsics.json"):
        RgbdFolder(tmp_path, DATA)
    shutil.rmtree(tmp_path / "depth")
    with pytest.raises(SourceError, match="none of the layouts"):
        RgbdFolder(tmp_path, DATA)
    (tmp_path / "depth").mkdir()
    with pytest.raises(SourceError, match="depth' has no file"):
        RgbdFolder(tmp_path, DATA)


def test_associations_name_pairs_and_what_is_missing_of_them(tmp_path):
    write(tmp_path, "a")
    shutil.move(tmp_path / "depth" / "a.png", tmp_path / "depth" / "1.5.png")
    listed = tmp_path / "associations.txt"
    listed.write_text("# rgb depth\n1.0 rgb/a.png 1.5 depth/1.5.png\n")
    check(tmp_path)
    listed.write_text("1.0 rgb/a.png 1.5 depth/1.6.png\n")
    with pytest.raises(SourceError, match=r"missing.*1\.6\.png"):
        RgbdFolder(tmp_path, DATA)
    listed.write_text("rgb/a.png depth/1.5.png\n")
    with pytest.raises(SourceError, match="is not `stamp"):
        RgbdFolder(tmp_path, DATA)


@pytest.mark.parametrize("damage", ["rgb", "depth", "npy", "npz", "zip"])
def test_unreadable_files_are_named(tmp_path, damage):
    kind = damage if damage in ("npy", "npz") else "npz" if damage == "zip" else "png"
    write(tmp_path, depth_kind=kind)
    path = tmp_path / ("rgb" if damage == "rgb" else "depth") / f"a.{'png' if damage == 'rgb' else kind}"
    path.write_bytes(b"PK\x03\x04 torn" if damage == "zip" else b"no image")
    with pytest.raises(SourceError, match=str(path)):
        RgbdFolder(tmp_path, DATA).prepare()


def test_depth_of_all_zeros_is_named(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b", depth=np.zeros((HEIGHT, WIDTH), np.float32))
    with pytest.raises(SourceError, match=r"1 of the images.*\n.*b\.png' has no depth at all"):
        RgbdFolder(tmp_path, DATA).prepare()


def test_images_of_another_size_are_named(tmp_path):
    write(tmp_path)
    cv2.imwrite(str(tmp_path / "depth" / "a.png"), np.full((24, 32), 1000, np.uint16))
    with pytest.raises(SourceError, match=r"a\.png' is 32x24.*64x48"):
        RgbdFolder(tmp_path, DATA).prepare()


def test_depth_images_of_8_bits_are_refused(tmp_path):
    write(tmp_path)
    cv2.imwrite(str(tmp_path / "depth" / "a.png"), np.full((HEIGHT, WIDTH), 7, np.uint8))
    with pytest.raises(SourceError, match="uint8.*uint16"):
        RgbdFolder(tmp_path, DATA).prepare()


@pytest.mark.parametrize(
    ("kind", "factor", "message"), [("png", 0.001, "1 units|depth_scale"), ("npy", 1000.0, "store metres")]
)
def test_wrong_units_are_flagged_with_the_scale_that_was_used(tmp_path, kind, factor, message):
    write(tmp_path, depth_kind=kind, depth=picture()[1] * (factor if kind == "npy" else 1))
    if kind == "png":  # millimetres, called metres
        (tmp_path / "intrinsics.json").write_text(json.dumps({**CAMERA, "depth_scale": 1}))
    with pytest.raises(SourceError, match=message) as caught:
        RgbdFolder(tmp_path, DATA).prepare()
    assert "unit is probably wrong" in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"width": 64}', json.dumps({**CAMERA, "fx": 0}), '{"fx": "long"}'])
def test_camera_files_that_are_none_are_named(tmp_path, text):
    write(tmp_path)
    (tmp_path / "intrinsics.json").write_text(text)
    with pytest.raises(CalibrationError, match=r"intrinsics\.json"):
        RgbdFolder(tmp_path, DATA)


def test_an_npz_of_several_arrays_needs_a_name(tmp_path):
    write(tmp_path, depth_kind="npz")
    np.savez(tmp_path / "depth" / "a.npz", x=np.ones((2, 2)), y=np.ones((2, 2)))
    with pytest.raises(SourceError, match=r"\['x', 'y'\].*depth_m"):
        RgbdFolder(tmp_path, DATA).prepare()
