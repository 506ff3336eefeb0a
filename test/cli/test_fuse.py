"""`depth_pro_ros fuse`: what it reads as a cue, what it writes, and what it refuses."""

import argparse
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_pro_ros.cli import fuse
from depth_pro_ros.cli.main import main
from depth_pro_ros.errors import AlignmentError, ImageError, SourceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

WIDTH, HEIGHT = 80, 60
PREDICTED = np.linspace(1.0, 3.0, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)


class FakePredictor:
    """A predictor whose depth is a known ramp with one unknown and one infinite pixel."""

    description = {"weights": "fake", "preset": "none", "trained": True}

    def predict(self, rgb, intrinsics=None, focal_px=None, size=None, estimate_focal=None):
        depth = PREDICTED.copy()
        depth[0, 0], depth[0, 1] = np.nan, np.inf
        return DepthMap(depth, pinhole.centred(WIDTH, HEIGHT, 90.0), focal_px or 90.0, 91.0, {"network": 1.0})


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "room.jpg"
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 150)).save(path)
    return path


def run(*argv):
    parser = argparse.ArgumentParser()
    fuse.add_arguments(parser)
    return fuse.run(parser.parse_args([str(a) for a in argv]), load=lambda *args, **kwargs: FakePredictor())


def write_cue(path, depth_m):
    """Write metres in the format that the name asks for."""
    if path.suffix == ".npy":
        np.save(path, depth_m)
    elif path.suffix == ".npz":
        np.savez(path, depth_m=depth_m, sigma_m=np.full(depth_m.shape, 0.01))
    else:
        steps = 256.0 if "x256" in path.name else 1000.0
        cv2.imwrite(str(path), np.rint(depth_m * steps).astype(np.uint16))
    return path


@pytest.mark.parametrize(
    ("name", "flags"),
    [("cue.png", []), ("cue_x256.png", ["--cue-unit", "x256"]), ("cue.npz", []), ("cue.npy", ["--cue-sigma", "0.01"])],
)
def test_every_format_of_a_cue_sets_the_scale(tmp_path, photo, name, flags, capsys):
    out = tmp_path / "out"
    assert run(photo, "--cue", write_cue(tmp_path / name, 1.5 * PREDICTED), "-o", out, *flags) == 0
    assert sorted(p.name for p in out.iterdir()) == ["room.json", "room.npz", "room.png", "room_depth_mm.png"]
    with np.load(out / "room.npz") as loaded:
        np.testing.assert_allclose(loaded["depth_m"][1:], 1.5 * PREDICTED[1:], rtol=0.01)
        np.testing.assert_array_equal(loaded["predicted_m"][1:], PREDICTED[1:])
        assert np.isnan(loaded["depth_m"][0, 0]) and np.isposinf(loaded["depth_m"][0, 1])
        assert loaded["sigma_relative"].shape == (HEIGHT, WIDTH) and loaded["focal_px"] == 90.0
    millimetres = cv2.imread(str(out / "room_depth_mm.png"), cv2.IMREAD_UNCHANGED)
    assert millimetres[0, :2].tolist() == [0, 0] and millimetres[-1, -1] == pytest.approx(4500, rel=0.01)
    record = json.loads((out / "room.json").read_text())
    assert 1.0 / record["factor"]["scale"] == pytest.approx(1.5, rel=0.01) and record["factor"]["state"] == "tracking"
    assert record["factor"]["inliers"] > 0.95 and record["factor"]["residual"] < 0.01
    assert record["cue"]["known_share"] == 1.0 and record["trained"] is True
    assert record["depth_percentiles_m"]["50"] == pytest.approx(3.0, rel=0.01)
    picture = cv2.imread(str(out / "room.png"))
    assert picture.shape[1] > 4 * picture.shape[0] * WIDTH / HEIGHT * 0.8  # four panels in a row
    assert "inverse depth x 0.667" in capsys.readouterr().out


def test_json_is_all_that_stdout_holds(tmp_path, photo, capsys):
    cue = write_cue(tmp_path / "cue.png", 0.5 * PREDICTED)
    assert run(photo, "--cue", cue, "-o", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["factor"]["scale"] == pytest.approx(2.0, rel=0.01)


def test_a_cue_smaller_than_the_photo_serves(tmp_path, photo):
    small = cv2.resize(1.5 * PREDICTED, (40, 30), interpolation=cv2.INTER_AREA)
    assert run(photo, "--cue", write_cue(tmp_path / "cue.npy", small), "-o", tmp_path / "out") == 0
    with np.load(tmp_path / "out" / "room.npz") as loaded:
        np.testing.assert_allclose(loaded["depth_m"][2:], 1.5 * PREDICTED[2:], rtol=0.01)


@pytest.mark.parametrize(
    ("name", "content", "error", "text"),
    [
        ("none.png", None, SourceError, "does not exist"),
        ("text.png", b"no image", ImageError, "no image.*16 bits"),
        ("text.npy", b"no array", ImageError, "cannot be read"),
        ("grey8.png", np.full((HEIGHT, WIDTH), 9, np.uint8), ImageError, "uint8"),
        ("line.npy", np.ones(5), ImageError, r"\(5,\)"),
        ("void.npy", np.zeros((HEIGHT, WIDTH)), ImageError, "knows no depth"),
        ("random.npy", np.exp(np.random.default_rng(0).uniform(-3, 3, (HEIGHT, WIDTH))), AlignmentError, "contradicts"),
    ],
)
def test_a_bad_cue_is_refused_with_its_reason_and_writes_nothing(tmp_path, photo, name, content, error, text):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None and path.suffix == ".npy":
        np.save(path, content)
    elif content is not None:
        cv2.imwrite(str(path), content)
    with pytest.raises(error, match=text):
        run(photo, "--cue", path, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_npz_without_depth_says_what_it_holds(tmp_path, photo):
    np.savez(tmp_path / "cue.npz", depth=PREDICTED)
    with pytest.raises(ImageError, match="holds depth: it must hold depth_m"):
        run(photo, "--cue", tmp_path / "cue.npz")


def test_the_command_is_known(tmp_path, photo, capsys):
    assert main(["fuse", str(photo), "--cue", str(tmp_path / "none.png")]) == 2
    assert "does not exist" in capsys.readouterr().err
