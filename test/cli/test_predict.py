"""`predict` on files: with a stand-in predictor for the logic, and once with the real network."""

import argparse
import json

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from depth_pro_ros.cli import main as command_line
from depth_pro_ros.cli import predict, predict_arguments
from depth_pro_ros.errors import InferenceError, OutputError, SourceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

ESTIMATED_PX = 77.0


class FakePredictor:
    """A predictor whose depth is a known ramp with one unknown and one infinite pixel."""

    def __init__(self, trained=True):
        self.description = {"weights": "fake", "preset": "none", "trained": trained}
        self.focals = []

    def predict(self, rgb, intrinsics=None, focal_px=None, size=None, estimate_focal=None):
        height, width = rgb.shape[:2]
        self.focals.append(focal_px)
        if (rgb == 13).all():
            raise InferenceError("the network gave no finite value")
        depth = np.linspace(1.0, 3.0, height * width, dtype=np.float32).reshape(height, width)
        depth[0, 0], depth[0, 1] = np.nan, np.inf
        focal = ESTIMATED_PX if focal_px is None else focal_px
        estimated = ESTIMATED_PX if estimate_focal else None
        return DepthMap(depth, pinhole.centred(width, height, focal), focal, estimated, {"network": np.float32(1.5)})


def photo(path, size=(40, 30), level=120, f35=None):
    """Write a grey photo, with a 35 mm equivalent focal length in its EXIF if given."""
    exif = Image.Exif()
    if f35:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = f35
    Image.new("RGB", size, (level, level, level)).save(path, exif=exif)
    return path


def run(*argv, predictor=None):
    """Run the command as the command line would, with the fake predictor; return its status."""
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    fake = predictor or FakePredictor()
    return predict.run(parser.parse_args([str(a) for a in argv]), load=lambda *args, **kwargs: fake)


def test_five_files_say_the_same_depth(tmp_path):
    out = tmp_path / "deep" / "out"
    assert run(photo(tmp_path / "a.png"), "-o", out) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a.json", "a.npz", "a.ply", "a.png", "a_depth_mm.png"]
    expected = FakePredictor().predict(np.zeros((30, 40, 3), np.uint8)).depth_m
    with np.load(out / "a.npz") as loaded:
        np.testing.assert_array_equal(loaded["depth_m"], expected)
        assert loaded["intrinsics"].tolist() == [[77, 0, 19.5], [0, 77, 14.5], [0, 0, 1]]
    millimetres = cv2.imread(str(out / "a_depth_mm.png"), cv2.IMREAD_UNCHANGED)
    assert millimetres[0, :2].tolist() == [0, 0] and millimetres[-1, -1] == 3000
    assert b"element vertex 1198\n" in (out / "a.ply").read_bytes()  # 40 * 30 less the unknown and the infinite
    record = json.loads((out / "a.json").read_text())
    assert record["input"] == str(tmp_path / "a.png") and (record["width"], record["height"]) == (40, 30)
    assert record["depth_percentiles_m"]["50"] == pytest.approx(2.0, abs=0.01)
    assert record["known_share"] == pytest.approx(1198 / 1200) and record["cloud_points"] == 1198
    assert record["timings_ms"] == {"network": 1.5} and record["trained"] is True


@pytest.mark.parametrize(
    "choice, f35, given, origin",
    [
        ("auto", None, None, "network"),
        ("auto", 36, 36 * 50 / np.hypot(36, 24), "EXIF FocalLengthIn35mmFilm"),
        ("exif", 36, 36 * 50 / np.hypot(36, 24), "EXIF FocalLengthIn35mmFilm"),
        ("estimate", 36, None, "network"),
        ("123.5", 36, 123.5, "command line"),
    ],
)
def test_focal_comes_from_where_it_was_asked(tmp_path, choice, f35, given, origin):
    fake = FakePredictor()
    assert run(photo(tmp_path / "a.jpg", f35=f35), "-o", tmp_path, "--focal", choice, predictor=fake) == 0
    assert fake.focals == [pytest.approx(given) if given else None]
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["focal_from"] == origin
    assert record["focal_px"] == pytest.approx(given or ESTIMATED_PX)
    assert record["focal_estimated_px"] == ESTIMATED_PX


def test_demanded_exif_that_is_not_there_fails_that_photo_only(tmp_path, capsys):
    photo(tmp_path / "with.jpg", f35=28), photo(tmp_path / "without.jpg")
    assert run(tmp_path, "-o", tmp_path / "out", "--focal", "exif") == 1
    assert "without.jpg: its EXIF holds no focal length" in capsys.readouterr().err
    assert {p.stem for p in (tmp_path / "out").glob("*.json")} == {"with"}


def test_one_bad_photo_among_many_is_named_and_the_others_are_done(tmp_path, capsys):
    photo(tmp_path / "a.png"), photo(tmp_path / "c.png"), photo(tmp_path / "d.png", level=13)
    (tmp_path / "b.png").write_text("no image")
    assert run(tmp_path, "-o", tmp_path / "out") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("depth_pro_ros: ")]
    assert len(errors) == 2
    assert errors[0].startswith(f"depth_pro_ros: {tmp_path / 'b.png'} cannot be read as a photo")
    assert errors[1] == f"depth_pro_ros: {tmp_path / 'd.png'}: the network gave no finite value"
    assert {p.stem for p in (tmp_path / "out").glob("*.json")} == {"a", "c"}


def test_json_is_one_array_and_nothing_else_on_stdout(tmp_path, capsys):
    photo(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    assert run(tmp_path, "-o", tmp_path / "out", "--json") == 1
    captured = capsys.readouterr()
    first, second = json.loads(captured.out)
    assert first == json.loads((tmp_path / "out" / "a.json").read_text())
    assert set(second) == {"input", "error"} and second["input"] == str(tmp_path / "b.png")
    assert "photo/s" not in captured.err  # no progress bar


def test_people_get_a_line_for_each_photo_and_a_bar(tmp_path, capsys):
    assert run(photo(tmp_path / "a.png"), "-o", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert captured.out == (
        f"{tmp_path / 'a.png'}: depth 1.10 to 2.90 m, median 2.00 m, focal 77 px (network) "
        f"-> {tmp_path / 'out' / 'a.png'}\n"
    )
    assert "1/1" in captured.err


def test_untrained_weights_are_said_loudly(tmp_path, capsys):
    assert run(photo(tmp_path / "a.png"), "-o", tmp_path / "out", "--json", predictor=FakePredictor(False)) == 0
    captured = capsys.readouterr()
    assert "THE WEIGHTS ARE UNTRAINED: " in captured.err
    assert json.loads(captured.out)[0]["trained"] is False


def test_trained_weights_are_not(tmp_path, capsys):
    run(photo(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert "UNTRAINED" not in capsys.readouterr().err


def test_names_never_clash(tmp_path):
    (tmp_path / "x").mkdir(), (tmp_path / "y").mkdir()
    given = ("x/a.png", "x/a.jpg", "y/a.png", "x/B.png", "y/b.png", "x/c_depth_mm.png", "x/c.png")
    paths = [photo(tmp_path / name) for name in given]
    names = predict.unique_names(paths, tmp_path / "out")
    assert names == ["a", "a_2", "a_3", "B", "b_2", "c_depth_mm", "c_2"]
    assert run(*paths, "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").iterdir())) == 5 * len(paths)


def test_photos_in_the_output_folder_are_not_overwritten(tmp_path):
    before = photo(tmp_path / "a.png").read_bytes()
    assert run(tmp_path / "a.png", "-o", tmp_path) == 0
    assert (tmp_path / "a.png").read_bytes() == before
    assert (tmp_path / "a_2.png").exists() and (tmp_path / "a_2.npz").exists()


def test_large_photo_gives_a_thinner_cloud_on_the_same_rays(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "CLOUD_MAX_POINTS", 300)
    result = FakePredictor().predict(np.zeros((30, 40, 3), np.uint8))
    assert predict.write_cloud(tmp_path / "c.ply", np.zeros((30, 40, 3), np.uint8), result) == 15 * 20 - 1
    body = (tmp_path / "c.ply").read_bytes().split(b"end_header\n")[1]
    points = np.frombuffer(body, np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]))["xyz"]
    full = pinhole.unproject(result.depth_m, result.intrinsics)[::2, ::2].reshape(-1, 3)
    np.testing.assert_allclose(points, full[1:], rtol=1e-6)


def test_nothing_known_is_null_and_not_an_error(tmp_path, capsys):
    class Blind(FakePredictor):
        def predict(self, rgb, **options):
            result = super().predict(rgb, **options)
            result.depth_m[:] = np.nan
            return result

    assert run(photo(tmp_path / "a.png"), "-o", tmp_path / "out", predictor=Blind()) == 0
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert set(record["depth_percentiles_m"].values()) == {None} and record["known_share"] == 0
    assert "no depth known" in capsys.readouterr().out


def test_settings_reach_the_predictor(tmp_path):
    seen = {}
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    argv = ["--weights", "w.pt", "--device", "cpu", "--precision", "fp32", "--max-range", "80"]
    argv += ["--backend", "onnxruntime", "--quality", "balanced"]
    args = parser.parse_args([str(photo(tmp_path / "a.png")), "-o", str(tmp_path / "out"), *argv])

    def load(weights, **options):
        seen.update(options, weights=weights)
        return FakePredictor()

    predict.run(args, load=load)
    assert callable(seen.pop("log"))
    network = {"weights": "w.pt", "device": "cpu", "precision": "fp32", "backend": "onnxruntime", "quality": "balanced"}
    assert seen == {**network, "max_range_m": 80.0}


def test_choices_are_those_of_the_predictor():
    """They stand a second time beside the arguments, which must not wait for PyTorch."""
    from depth_pro_ros.inference import predictor, quality

    assert predict_arguments.BACKENDS == predictor.BACKENDS and predict_arguments.QUALITIES == quality.QUALITIES


@pytest.mark.parametrize("option", [("--focal", "wide"), ("--focal", "-5"), ("--max-range", "0"), ("--focal", "nan")])
def test_impossible_options_are_refused(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, *option)
    assert f"argument {option[0]}" in capsys.readouterr().err


def test_no_image_is_refused_before_the_network_loads(tmp_path):
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    with pytest.raises(SourceError, match="holds no image"):
        predict.run(parser.parse_args([str(tmp_path)]), load=lambda *a, **k: pytest.fail("loaded"))
    assert command_line.main(["predict", str(tmp_path)]) == 2


def test_output_that_cannot_be_written_stops(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError):
        run(photo(tmp_path / "a.png"), "-o", tmp_path / "out")


def test_only_what_is_asked_for_is_saved(tmp_path):
    assert run(photo(tmp_path / "a.png"), "-o", tmp_path / "some", "--save", "npz,picture") == 0
    assert sorted(p.name for p in (tmp_path / "some").iterdir()) == ["a.json", "a.npz", "a.png"]
    assert json.loads((tmp_path / "some" / "a.json").read_text())["outputs"].keys() == {"npz", "picture", "json"}
    assert run(tmp_path / "a.png", "-o", tmp_path / "none", "--save", "none") == 0
    assert sorted(p.name for p in (tmp_path / "none").iterdir()) == ["a.json"]


def test_batches_write_what_single_photos_do(tmp_path, capsys):
    class Batching(FakePredictor):
        batches = 0

        def predict_batch(self, images, intrinsics, estimate_focal=None):
            self.batches += 1
            pairs = zip(images, intrinsics, strict=True)
            return [self.predict(rgb, focal_px=c and c.fx, estimate_focal=estimate_focal) for rgb, c in pairs]

    photo(tmp_path / "a.png"), photo(tmp_path / "b.png", (24, 50)), photo(tmp_path / "c.jpg", f35=36)
    (tmp_path / "bad.png").write_text("no image")
    one, many = FakePredictor(), Batching()
    assert run(tmp_path, "-o", tmp_path / "one", predictor=one) == 1
    assert run(tmp_path, "-o", tmp_path / "many", "--batch", "3", predictor=many) == 1
    assert many.batches == 1  # of the first three files one is bad; the fourth is alone
    assert many.focals[:2] == one.focals[:2] == [None, None] and many.focals[2] == pytest.approx(one.focals[2])
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "many").iterdir()) and len(names) == 15
    for name in names:
        if not name.endswith(".json"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    assert capsys.readouterr().err.count("bad.png cannot be read as a photo") == 2


def test_photos_are_joined_into_a_film(tmp_path):
    for number in range(4):
        photo(tmp_path / f"{number}.png", level=40 * number)
    assert run(tmp_path, "-o", tmp_path / "out", "--fps", "4", "--save", "none") == 0
    capture = cv2.VideoCapture(str(tmp_path / "out" / "predictions.mp4"))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (4, 4)


def test_patterns_name_photos(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "deep" / "b.png")
    assert run(tmp_path / "in" / "**" / "*.png", "-o", tmp_path / "out", "--save", "none") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize("option", [("--save", "npz,glb"), ("--batch", "0"), ("--every", "x"), ("--fps", "-1")])
def test_impossible_numbers_and_kinds_are_refused(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, *option)
    assert f"argument {option[0]}" in capsys.readouterr().err


def test_real_network_writes_files(tmp_path, capsys):
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(tmp_path / "a.png")
    argv = ["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--weights", "micro", "--device", "cpu"]
    assert command_line.main([*argv, "--json"]) == 0
    captured = capsys.readouterr()
    (record,) = json.loads(captured.out)
    assert (record["width"], record["height"]) == (64, 48) and record["trained"] is False
    assert record["focal_px"] == record["focal_estimated_px"] > 0
    assert "THE WEIGHTS ARE UNTRAINED" in captured.err
    with np.load(tmp_path / "out" / "a.npz") as loaded:
        assert loaded["depth_m"].shape == (48, 64)
