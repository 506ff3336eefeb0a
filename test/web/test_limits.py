"""What the page refuses before it decodes anything, and in which words."""

import numpy as np
import pytest
from PIL import Image
from web.doubles import write_photo

from depth_pro_ros.errors import ImageError
from depth_pro_ros.web.limits import Limits


def test_a_photo_within_the_limits_passes(tmp_path):
    Limits(max_mb=1, max_megapixels=0.0031).check(write_photo(tmp_path / "a.png", (64, 48)))  # 3,072 pixels


def test_one_pixel_row_too_many_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(ImageError, match=r"a\.png has 64x49 pixels, 0\.0 megapixels, .* 0\.0031 .*--max-megapixels"):
        Limits(max_mb=1, max_megapixels=0.0031).check(write_photo(tmp_path / "a.png", (64, 49)))


def test_a_file_too_large_is_refused_before_it_is_opened(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(3 * 2**20 + 1))
    with pytest.raises(ImageError, match=r"a\.jpg has 3\.0 MiB and this page takes 3: .*--max-mb"):
        Limits(max_mb=3).check(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", r"is empty \(0 bytes\)"), (b"no image", "is not an image"), (b"\xff\xd8\xff", "image")]
)
def test_what_is_no_image_is_said_so(tmp_path, content, words):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=words) as caught:
        Limits().check(tmp_path / "a.jpg")
    assert str(tmp_path) not in str(caught.value)


def test_a_hundred_megapixels_in_a_small_file_are_counted_and_not_decoded(tmp_path, recwarn):
    Image.fromarray(np.zeros((10_000, 10_000), bool)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="10000x10000 pixels, 100.0 megapixels, and this page takes 48 "):
        Limits().check(tmp_path / "a.png")
    assert not recwarn.list


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"a\.png has more pixels than Pillow opens, and this page takes 48"):
        Limits().check(write_photo(tmp_path / "a.png"))
