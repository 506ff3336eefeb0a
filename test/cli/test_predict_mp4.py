"""Films: whole or not there, every picture in the first one's size, colours that follow slowly."""

import math

import cv2
import numpy as np
import pytest

from depth_pro_ros.cli import predict_mp4
from depth_pro_ros.cli.predict_mp4 import ColourRange, film
from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs.pictures import PAPER_RGB


def grey(level, width=64, height=48):
    return np.full((height, width, 3), level, np.uint8)


def frames(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while (got := capture.read())[0]:
        found.append(got[1][..., ::-1])
    return found


def test_pictures_come_in_their_order_and_colours(tmp_path):
    with film(tmp_path / "a.mp4", 10) as made:
        made.add(np.full((48, 64, 3), (200, 30, 0), np.uint8))
        made.add(grey(90))
    first, second = frames(tmp_path / "a.mp4")
    np.testing.assert_allclose(first.reshape(-1, 3).mean(axis=0), (200, 30, 0), atol=8)
    np.testing.assert_allclose(second.reshape(-1, 3).mean(axis=0), 90, atol=4)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sizes_are_filled_up_and_others_fitted_in(tmp_path):
    with film(tmp_path / "a.mp4", 10) as made:
        made.add(grey(200, 63, 47))
        made.add(grey(200, 128, 48))  # twice as wide: half as high, with ground above and below
        made.add(grey(200, 20, 20))
    found = frames(tmp_path / "a.mp4")
    assert [picture.shape for picture in found] == [(48, 64, 3)] * 3
    ground = np.mean(PAPER_RGB)
    assert found[1][2].mean() == pytest.approx(ground, abs=12) and found[1][24].mean() == pytest.approx(200, abs=8)
    assert found[2][24, 4].mean() == pytest.approx(ground, abs=12)
    assert found[2][24, 32].mean() == pytest.approx(200, abs=8)


def test_no_picture_no_film(tmp_path):
    with film(tmp_path / "a.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_film(tmp_path):
    (tmp_path / "a.mp4").write_text("older")
    with pytest.raises(KeyboardInterrupt):
        with film(tmp_path / "a.mp4", 10) as made:
            made.add(grey(1))
            raise KeyboardInterrupt
    assert (tmp_path / "a.mp4").read_text() == "older" and len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_takes_only_a_part_is_noticed(tmp_path, monkeypatch):
    """OpenCV says nothing when write() fails, so the file that it leaves is cut here as a full disk would."""
    plain = predict_mp4.Film.close

    def cut(self):
        plain(self)
        data = self._path.read_bytes()
        self._path.write_bytes(data[: len(data) // 2])

    monkeypatch.setattr(predict_mp4.Film, "close", cut)
    with pytest.raises(OutputError, match=r"a\.mp4 cannot be written \(of 5 pictures, 0 reached the disk\): free"):
        with film(tmp_path / "a.mp4", 10) as made:
            for level in range(5):
                made.add(grey(level * 20))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/a\.mp4 cannot be written"):
        with film(tmp_path / "file" / "a.mp4", 10) as made:
            made.add(grey(1))


def test_colours_follow_a_tenth_of_each_change():
    colours = ColourRange()
    assert colours.follow(np.full((4, 4), np.nan, np.float32)) == (None, None)
    near, far = np.full((4, 4), 1, np.float32), np.full((4, 4), 10, np.float32)
    assert colours.follow(near) == pytest.approx((0.9, 1.1))  # a flat depth is widened by a tenth either way
    ends = [math.exp(0.9 * math.log(a) + 0.1 * math.log(b)) for a, b in ((0.9, 9), (1.1, 11))]
    assert colours.follow(far) == pytest.approx(ends)
    assert colours.follow(np.full((4, 4), np.inf, np.float32)) == pytest.approx(ends)
