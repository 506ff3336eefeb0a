"""`predict` on videos: the film beside its depth, the pictures' files, and videos that are none."""

import argparse
import json
import math

import cv2
import numpy as np
import pytest

from depth_pro_ros.cli import predict
from depth_pro_ros.errors import ImageError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

WIDTH, HEIGHT, FPS = 64, 48, 20.0


def video(path, count=7, fps=FPS, codec="MJPG"):
    """Write pictures whose red level is 20 times their number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (WIDTH, HEIGHT))
    for number in range(count):
        writer.write(np.full((HEIGHT, WIDTH, 3), (0, 0, 20 * number), np.uint8))
    writer.release()
    return path


class LevelPredictor:
    """Depth is 1 m and a tenth of the red level, in metres; the estimated focal length changes with each picture."""

    def __init__(self, trained=True, fail_at=None):
        self.description = {"weights": "level", "preset": "none", "trained": trained}
        self.batches = []
        self._fail_at = fail_at

    def predict_batch(self, images, intrinsics=None, focal_px=None, size=None, estimate_focal=None, focal_filter=None):
        self.batches.append(len(images))
        if self._fail_at is not None and sum(self.batches) > self._fail_at:
            raise InferenceError("the device ran out of memory")
        results = []
        for rgb in images:
            red = float(np.median(rgb[..., 0]))
            estimate = 100.0 + red
            focal = focal_px or focal_filter.update(estimate, (WIDTH, HEIGHT))
            depth = np.full((HEIGHT, WIDTH), 1 + red / 10, np.float32)
            depth[0, 0] = np.nan
            results.append(DepthMap(depth, pinhole.centred(WIDTH, HEIGHT, focal), focal, estimate, {"network": 1.0}))
        return results


def run(*argv, predictor=None):
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    level = predictor or LevelPredictor()
    return predict.run(parser.parse_args([str(a) for a in argv]), load=lambda *args, **kwargs: level)


def film(path):
    """Return (fps, pictures) of an MP4."""
    capture = cv2.VideoCapture(str(path))
    pictures = []
    while (got := capture.read())[0]:
        pictures.append(got[1][..., ::-1])
    return capture.get(cv2.CAP_PROP_FPS), pictures


def test_a_video_becomes_a_film_beside_its_depth(tmp_path, capsys):
    assert run(video(tmp_path / "a.avi"), "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a.mp4"]
    fps, pictures = film(tmp_path / "out" / "a.mp4")
    assert fps == pytest.approx(FPS) and len(pictures) == 7
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        assert width % 2 == 0 and height % 2 == 0 and width > 2 * height
        photo = picture[60:200, 40:280].reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(photo, (20 * number, 0, 0), atol=12)
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (record["width"], record["height"], record["pictures"], record["passed"]) == (WIDTH, HEIGHT, 7, 7)
    assert record["fps"] == pytest.approx(FPS) and record["cut_short"] is False
    assert record["focal_from"] == "network" and record["outputs"]["mp4"] == str(tmp_path / "out" / "a.mp4")
    assert record["focal_px"] == pytest.approx(160, abs=4)  # the median of 100, 120, ... 220
    assert record["focal_estimated_px"] == pytest.approx(160, abs=4)
    assert record["depth_median_m"] == pytest.approx(7, abs=0.4)
    assert ": 7 pictures, median depth 7." in capsys.readouterr().out.replace("6.9", "7.0")


def test_every_third_picture_in_batches_with_files(tmp_path):
    level = LevelPredictor()
    argv = ["-o", tmp_path / "out", "--every", 3, "--batch", 2, "--save", "npz,picture", "--focal", "77"]
    assert run(video(tmp_path / "a.avi", 13), *argv, predictor=level) == 0
    assert level.batches == [2, 2, 1]
    names = [f"{n:06d}{ending}" for n in (0, 3, 6, 9, 12) for ending in (".npz", ".png")]
    assert sorted(p.name for p in (tmp_path / "out" / "a").iterdir()) == names
    with np.load(tmp_path / "out" / "a" / "000009.npz") as stored:
        assert stored["focal_px"] == 77 and np.nanmedian(stored["depth_m"]) == pytest.approx(19, abs=0.4)
    fps, pictures = film(tmp_path / "out" / "a.mp4")
    assert fps == pytest.approx(FPS / 3, rel=1e-3) and len(pictures) == 5
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (record["pictures"], record["passed"], record["focal_from"]) == (5, 13, "command line")


def test_the_film_s_rate_can_be_given(tmp_path):
    assert run(video(tmp_path / "a.avi"), "-o", tmp_path / "out", "--fps", "5") == 0
    assert film(tmp_path / "out" / "a.mp4")[0] == pytest.approx(5)
    assert not (tmp_path / "out" / "predictions.mp4").exists()  # no photo was joined


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "pictureless"])
def test_what_is_no_video_is_one_sentence_and_leaves_nothing(tmp_path, kind, capsys):
    path = tmp_path / "bad.mp4"
    if kind == "cut":
        data = video(tmp_path / "whole.mp4", 30, codec="mp4v").read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "pictureless":
        video(path, 0, codec="mp4v")
        path.touch()
    else:
        path.write_text("" if kind == "empty" else "no video")
    good = video(tmp_path / "good.avi")
    assert run(path, good, "-o", tmp_path / "out") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("depth_pro_ros: ")]
    assert len(lines) == 1 and str(path) in lines[0] and "cannot be read as a video" in lines[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good.json", "good.mp4"]


def test_a_video_that_ends_too_early_is_done_as_far_as_it_goes_and_told(tmp_path, capsys):
    data = video(tmp_path / "whole.avi", 30).read_bytes()
    (tmp_path / "short.avi").write_bytes(data[: len(data) // 2])
    capture = cv2.VideoCapture(str(tmp_path / "short.avi"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 30  # its header still says so
    assert run(tmp_path / "short.avi", "-o", tmp_path / "out") == 1
    assert "short.avi ends too early, after" in capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "short.json").read_text())
    assert record["cut_short"] and 0 < record["passed"] < 25
    assert len(film(tmp_path / "out" / "short.mp4")[1]) == record["passed"]


def test_a_failure_in_the_middle_leaves_no_film(tmp_path, capsys):
    assert run(video(tmp_path / "a.avi"), "-o", tmp_path / "out", predictor=LevelPredictor(fail_at=3)) == 1
    assert "a.avi: the device ran out of memory" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_exif_is_nothing_that_a_video_has(tmp_path, capsys):
    assert run(video(tmp_path / "a.avi"), "-o", tmp_path / "out", "--focal", "exif") == 1
    assert "a video has no EXIF: give --focal estimate, or a number of pixels" in capsys.readouterr().err


def test_untrained_weights_are_written_into_the_film_s_record(tmp_path):
    assert run(video(tmp_path / "a.avi", 2), "-o", tmp_path / "out", predictor=LevelPredictor(trained=False)) == 0
    assert json.loads((tmp_path / "out" / "a.json").read_text())["trained"] is False


def test_a_rate_that_nobody_tells_must_be_given(tmp_path):
    with pytest.raises(ImageError, match="does not tell how many pictures a second"):
        unknown = predict.predict_video.Video(0.0, 0, iter(()))
        predict.predict_video.rate(unknown, tmp_path / "a.avi", predict.predict_video.Options())


def test_videos_in_folders_and_names(tmp_path):
    video(tmp_path / "b.avi", 2)
    out = tmp_path / "out"
    out.mkdir()
    video(out / "b.mp4", 2, codec="mp4v")
    before = (out / "b.mp4").read_bytes()
    assert run(tmp_path, out, "-o", out) == 0
    assert (out / "b.mp4").read_bytes() == before
    assert sorted(p.name for p in out.iterdir()) == ["b.mp4", "b_2.json", "b_2.mp4", "b_3.json", "b_3.mp4"]
    assert math.isclose(film(out / "b_3.mp4")[0], FPS)
