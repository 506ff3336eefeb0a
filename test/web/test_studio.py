"""From a file to the parts of the page, step by step, without a page."""

import re

import pytest
from web.doubles import ESTIMATED_PX, Double, write_photo

from depth_pro_ros.cli import photos
from depth_pro_ros.errors import InferenceError, OutputError
from depth_pro_ros.web import studio as studios
from depth_pro_ros.web.limits import Limits
from depth_pro_ros.web.studio import AUTO, ESTIMATED, NOTHING, Studio
from depth_pro_ros.web.weights import Worker


def studio(folder, predictor=None, limits=None):
    worker = Worker({"double": "double"}, lambda weights: predictor or Double())
    return Studio(worker, photos.read, limits or Limits(), folder / "results")


def final(made, *args):
    """Return the page's parts after every step."""
    shown = dict(NOTHING)
    for update in made.steps(*args):
        shown |= update
    return shown


def test_the_picture_comes_first_and_clears_what_was_there(tmp_path):
    steps = list(studio(tmp_path).steps(str(write_photo(tmp_path / "me.png")), "double"))
    assert set(steps[0]) == set(NOTHING)
    assert steps[0]["view"] is steps[0]["cut_out"] is steps[0]["downloads"] is None
    assert all(path.exists() for path in (*steps[0]["pictures"], steps[0]["values"]))
    assert [sorted(step) for step in steps[1:]] == [["view"], ["cut_out", "table"], ["downloads"]]
    assert [path.name for path in steps[-1]["downloads"]] == ["me_depth_mm.png", "me.npz", "me.ply", "me.glb"]
    assert steps[0]["notice"] == ""


def test_each_photo_has_a_folder_of_its_own(tmp_path):
    made, path = studio(tmp_path), str(write_photo(tmp_path / "me.png"))
    one, other = final(made, path, "double"), final(made, path, "double")
    assert one["values"] != other["values"] and one["values"].exists() and other["values"].exists()


@pytest.mark.parametrize(
    ("focal", "known_px", "given", "origin"),
    [
        (AUTO, 0, 28 * 80 / 43.2666, "EXIF FocalLengthIn35mmFilm"),  # 64 x 48 has a diagonal of 80 pixels
        (AUTO, None, 28 * 80 / 43.2666, "EXIF FocalLengthIn35mmFilm"),
        (ESTIMATED, 0, None, "the network"),
        (AUTO, 123.0, 123.0, "you"),
    ],
)
def test_where_the_focal_length_comes_from(tmp_path, focal, known_px, given, origin):
    predictor = Double()
    path = write_photo(tmp_path / "me.jpg", f35_mm=28)
    shown = final(studio(tmp_path, predictor), str(path), "double", focal, known_px)
    assert predictor.asked == [given and pytest.approx(given, rel=1e-4)]
    assert f"used (from {origin})" in shown["table"]
    assert re.search(r"EXIF</th><td>52 px</td><td>28\.0 mm", shown["table"])
    assert f"{ESTIMATED_PX:.0f} px" in shown["table"]


@pytest.mark.parametrize("known_px", [-3.0, float("nan"), float("inf")])
def test_an_impossible_focal_length_is_refused(tmp_path, known_px):
    shown = final(studio(tmp_path), str(write_photo(tmp_path / "me.png")), "double", AUTO, known_px)
    assert "enter a positive number" in shown["notice"] and shown["pictures"] is None


def test_no_photo_is_an_empty_page(tmp_path):
    assert list(studio(tmp_path).steps(None, "double")) == [NOTHING]


def test_what_is_wrong_with_a_photo_is_the_notice_and_shows_no_path(tmp_path):
    (tmp_path / "me.jpg").write_bytes(write_photo(tmp_path / "whole.jpg", (300, 200)).read_bytes()[:900])
    shown = final(studio(tmp_path), str(tmp_path / "me.jpg"), "double")
    assert "me.jpg cannot be read as a photo" in shown["notice"] and 'role="alert"' in shown["notice"]
    assert str(tmp_path) not in shown["notice"]
    assert {name: value for name, value in shown.items() if name != "notice"} == {
        name: value for name, value in NOTHING.items() if name != "notice"
    }


def test_a_failure_after_the_picture_takes_it_away(tmp_path, monkeypatch):
    def full(*args):
        raise OutputError("me.npz cannot be written (No space left on device): free space")

    monkeypatch.setattr(studios.Answer, "downloads", full)
    shown = final(studio(tmp_path), str(write_photo(tmp_path / "me.png")), "double")
    assert "No space left" in shown["notice"] and shown["pictures"] is None


def test_a_network_that_cannot_answer_is_the_notice(tmp_path):
    class Full(Double):
        def predict(self, *args, **options):
            raise InferenceError("out of memory")

    assert "out of memory" in final(studio(tmp_path, Full()), str(write_photo(tmp_path / "a.png")), "double")["notice"]


def test_weights_that_are_not_offered_are_refused(tmp_path):
    shown = final(studio(tmp_path), str(write_photo(tmp_path / "a.png")), "/etc/passwd")
    assert "not offered" in shown["notice"] and shown["pictures"] is None


def test_untrained_weights_are_said_loudly(tmp_path):
    shown = final(studio(tmp_path, Double(trained=False)), str(write_photo(tmp_path / "a.png")), "double")
    assert "UNTRAINED" in shown["notice"] and shown["pictures"]


def test_progress_only_grows(tmp_path):
    told = []
    path = str(write_photo(tmp_path / "a.png"))
    list(studio(tmp_path).steps(path, "double", AUTO, 0, lambda share, doing: told.append(share)))
    assert told == sorted(told) and len(told) == 6 and 0 < told[0] and told[-1] < 1
