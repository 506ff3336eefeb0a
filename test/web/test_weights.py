"""Which weights are offered, and that a browser gets no others."""

import numpy as np
import pytest
from web.doubles import Double

from depth_pro_ros.errors import CheckpointError, ConfigurationError
from depth_pro_ros.web.weights import Worker, choices


def test_the_cache_folder_is_offered_by_file_names(tmp_path):
    for name in ("depth_pro.pt", "mine.safetensors", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").touch()
    (tmp_path / "empty").mkdir()
    assert choices(tmp_path) == {
        "tiny": "tiny",
        "depth_pro.pt": str(tmp_path / "depth_pro.pt"),
        "hub": str(tmp_path / "hub"),
        "mine.safetensors": str(tmp_path / "mine.safetensors"),
    }


def test_without_a_cache_folder_the_embedded_ones_are_left(tmp_path):
    assert choices(tmp_path / "none") == {"tiny": "tiny"}


def test_the_operators_own_choice_comes_first_and_shows_no_path(tmp_path):
    (tmp_path / "a.pt").touch()
    found = choices(tmp_path, also="/elsewhere/a.pt")
    assert list(found) == ["a.pt", "tiny"] and found["a.pt"] == "/elsewhere/a.pt"


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.pt", "", "mine.pt"])
def test_what_is_not_offered_is_never_loaded(name):
    loaded = []
    worker = Worker({"tiny": "tiny"}, loaded.append)
    with pytest.raises(ConfigurationError, match="not offered: choose one of tiny"):
        worker.use(name)
    assert loaded == []


def test_one_predictor_at_a_time_loaded_once():
    loaded = []
    worker = Worker({"a": "/a.pt", "b": "/b.pt"}, lambda weights: loaded.append(weights) or Double(weights))
    assert [worker.use(name)["weights"] for name in ("a", "a", "b", "a")] == ["/a.pt", "/a.pt", "/b.pt", "/a.pt"]
    assert loaded == ["/a.pt", "/b.pt", "/a.pt"]
    assert worker.predict(np.zeros((8, 8, 3), np.uint8), 123.0).focal_px == 123.0


def test_weights_that_fail_leave_the_others_usable():
    def load(weights):
        if weights == "/broken.pt":
            raise CheckpointError("broken")
        return Double(weights)

    worker = Worker({"good": "/good.pt", "broken": "/broken.pt"}, load)
    worker.use("good")
    with pytest.raises(CheckpointError):
        worker.use("broken")
    assert worker.use("good")["weights"] == "/good.pt"
