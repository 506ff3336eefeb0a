"""`depth_pro_ros cutout`: from a depth file and from a prediction; what it writes, and what it refuses."""

import argparse
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_pro_ros.cli import cutout
from depth_pro_ros.cli.main import main
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

WIDTH, HEIGHT = 120, 90


def scene(scale=1):
    """Return depth of a square at 2 m before a wall at 5 m with sky above, and the square's mask."""
    depth = np.full((HEIGHT * scale, WIDTH * scale), 5.0, np.float32)
    depth[: 10 * scale] = np.inf
    near = np.zeros(depth.shape, bool)
    near[30 * scale : 70 * scale, 40 * scale : 80 * scale] = True
    depth[near] = 2.0
    return depth, near


@pytest.fixture
def photo(tmp_path):
    """Return a photo whose red, green and blue differ everywhere."""
    path = tmp_path / "cup.png"
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[...] = (200, 90, 20)
    rgb[:, :, 2] = np.arange(WIDTH)
    Image.fromarray(rgb).save(path)
    return path


class FakePredictor:
    """A predictor that knows the scene."""

    description = {"weights": "fake", "preset": "none", "trained": True}

    def predict(self, rgb, focal_px=None):
        return DepthMap(scene()[0], pinhole.centred(WIDTH, HEIGHT, 90.0), 90.0)


def test_a_cut_out_from_a_prediction(photo, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    cutout.add_arguments(parser)
    args = parser.parse_args([str(photo), "-o", str(tmp_path / "out"), "--json"])
    assert cutout.run(args, load=lambda *args, **kwargs: FakePredictor()) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "out" / "cup_cutout.json").read_text())
    assert record["depth"] == "predicted by fake" and 2 < record["foreground_m"] < 5
    _, near = scene()
    assert record["foreground_share"] == pytest.approx(near.mean()) and record["outline_on_jumps"] == 1.0
    rgba = np.array(Image.open(tmp_path / "out" / "cup_cutout.png"))
    assert rgba.shape == (HEIGHT, WIDTH, 4)
    np.testing.assert_array_equal(rgba[..., 3], np.where(near, 255, 0))
    np.testing.assert_array_equal(rgba[..., :3], np.array(Image.open(photo)))  # red stays red
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cup_cutout.json", "cup_cutout.png", "cup_foreground.png", "cup_labels.png", "cup_layers.png"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["npz", "npy", "png", "half.npy"])
def test_a_cut_out_with_a_given_depth(photo, tmp_path, kind):
    """At the photo's size and at twice it; 0 in a PNG is unknown, as is the sky, which millimetres cannot say."""
    depth, near = scene(2 if kind == "half.npy" else 1)
    path = tmp_path / f"depth.{kind}"
    if kind == "npz":
        np.savez(path, depth_m=depth)
    elif kind.endswith("npy"):
        np.save(path, depth)
    else:
        cv2.imwrite(str(path), np.where(np.isfinite(depth), depth * 1000, 0).astype(np.uint16))
    out = tmp_path / "out"
    assert main(["cutout", str(photo), "--depth", str(path), "-o", str(out)]) == 0
    mask = cv2.imread(str(out / "cup_foreground.png"), cv2.IMREAD_UNCHANGED)
    labels = cv2.imread(str(out / "cup_labels.png"), cv2.IMREAD_UNCHANGED)
    _, near = scene()
    np.testing.assert_array_equal(mask, np.where(near, 255, 0))
    assert set(labels[near]) == {1} and set(labels[20:30].ravel()) == {2}
    assert set(labels[:10].ravel()) == ({0} if kind == "png" else {3})
    picture = cv2.imread(str(out / "cup_layers.png"))
    assert picture.shape[1] > 2 * picture.shape[0]


def test_the_foreground_can_be_set(photo, tmp_path, capsys):
    path = tmp_path / "depth.npy"
    np.save(path, scene()[0])
    assert main(["cutout", str(photo), "--depth", str(path), "-o", str(tmp_path), "--foreground", "6"]) == 0
    assert "foreground up to 6.00 m, 89% of the image" in capsys.readouterr().out


def test_what_cannot_be_cut_out_is_refused(photo, tmp_path, capsys):
    flat, tall, none = tmp_path / "flat.npy", tmp_path / "tall.npy", tmp_path / "none.png"
    np.save(flat, np.full((HEIGHT, WIDTH), 2.0, np.float32))
    np.save(tall, np.full((WIDTH, HEIGHT), 2.0, np.float32))
    for path, words in ((flat, "no foreground"), (tall, "same view"), (none, "no readable image")):
        assert main(["cutout", str(photo), "--depth", str(path), "-o", str(tmp_path / "out")]) == 2
        assert words in capsys.readouterr().err
    assert main(["cutout", str(photo), "--depth", str(flat), "--layers", "1", "-o", str(tmp_path / "out")]) == 2
    assert "at least 2" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*") if (tmp_path / "out").exists() else [])


def test_a_given_depth_needs_no_torch(photo, tmp_path):
    np.save(tmp_path / "depth.npy", scene()[0])
    code = (
        "import sys; from depth_pro_ros.cli.main import main\n"
        f"main(['cutout', {str(photo)!r}, '--depth', {str(tmp_path / 'depth.npy')!r}, '-o', {str(tmp_path)!r}])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
