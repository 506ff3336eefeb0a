"""Photos from files: every pixel kind as RGB, upright; EXIF's focal length; what cannot be read."""

import math

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from depth_pro_ros.cli import photos
from depth_pro_ros.errors import ImageError, SourceError

TAG = ExifTags.Base


def exif(orientation=None, **tags):
    """Return EXIF with the named tags in its Exif folder."""
    made = Image.Exif()
    if orientation:
        made[TAG.Orientation] = orientation
    made.get_ifd(ExifTags.IFD.Exif).update({TAG[name]: value for name, value in tags.items()})
    return made


def gradient():
    """Return (4, 6, 3): red grows to the right, blue downwards."""
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[..., 0] = np.arange(6) * 40
    rgb[..., 2] = np.arange(4)[:, None] * 60
    return rgb


def test_pixels_are_read_as_rgb(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    photo = photos.read(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.rgb, gradient())
    assert photo.rgb.flags.writeable and photo.focal_px is None and photo.focal_tag is None


def test_orientation_turns_the_pixels_upright(tmp_path):
    """Orientation 6: the stored image must be turned clockwise by 90 degrees (EXIF 2.32, 4.6.4)."""
    Image.fromarray(gradient()).save(tmp_path / "a.png", exif=exif(orientation=6, FocalLengthIn35mmFilm=28))
    photo = photos.read(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.rgb, np.rot90(gradient(), -1))
    assert photo.focal_px == pytest.approx(28 * math.sqrt(4**2 + 6**2) / math.sqrt(36**2 + 24**2))


def test_transparency_lies_over_white(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, :] = [(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert photos.read(tmp_path / "a.png").rgb[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]


def test_16_bit_grey_keeps_its_range(tmp_path):
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert photos.read(tmp_path / "a.png").rgb[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "YCbCr"])
def test_every_other_mode_becomes_rgb(mode):
    white_and_black = Image.fromarray(np.array([[255, 0]], np.uint8))
    source = white_and_black.convert("RGB").convert(mode) if mode != "1" else white_and_black.convert("1")
    assert source.mode == mode
    rgb = photos.to_rgb(source)
    assert rgb.shape == (1, 2, 3) and rgb.dtype == np.uint8
    assert rgb[0].tolist() == [[255] * 3, [0] * 3]


def test_floating_point_is_refused(tmp_path):
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as a photo .*floating point"):
        photos.read(tmp_path / "a.tif")


def test_text_cut_and_missing_files_are_one_sentence(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    for name in ("text.jpg", "cut.jpg", "missing.jpg"):
        with pytest.raises(ImageError, match=f"{name} cannot be read as a photo .*: convert it") as caught:
            photos.read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # 24 pixels are more than twice that
    with pytest.raises(ImageError, match="decompression bomb"):
        photos.read(tmp_path / "a.png")


def test_focal_of_35mm_comes_before_the_focal_plane():
    tags = exif(FocalLengthIn35mmFilm=35, FocalLength=4.3, FocalPlaneXResolution=1000.0)
    focal, tag = photos.exif_focal(tags, 3600, 2400)
    assert (focal, tag) == (pytest.approx(3500.0), "FocalLengthIn35mmFilm")  # 3:2, as the film: 35 / 36 * 3600


@pytest.mark.parametrize(
    "unit, density, expected",
    [(2, 2540.0, 500.0), (None, 2540.0, 500.0), (3, 1000.0, 500.0), (4, 100.0, 500.0), (5, 0.1, 500.0)],
)
def test_focal_of_the_focal_plane(unit, density, expected):
    """5 mm at 100 pixels per mm, in each unit of the resolution; inch where none is given."""
    tags = exif(FocalLength=5.0, FocalPlaneXResolution=density)
    if unit:
        tags.get_ifd(ExifTags.IFD.Exif)[TAG.FocalPlaneResolutionUnit] = unit
    assert photos.exif_focal(tags, 4000, 3000) == (pytest.approx(expected), "FocalLength")


@pytest.mark.parametrize("size", [(1000, 750), (750, 1000)])
def test_focal_of_the_focal_plane_follows_a_resize(size):
    plane = {"FocalLength": 5.0, "FocalPlaneXResolution": 100.0, "FocalPlaneResolutionUnit": 4}
    tags = exif(**plane, ExifImageWidth=4000, ExifImageHeight=3000)
    assert photos.exif_focal(tags, *size)[0] == pytest.approx(125.0)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"FocalLength": 5.0},
        {"FocalLengthIn35mmFilm": 0},
        {"FocalLength": math.nan, "FocalPlaneXResolution": 100.0},
        {"FocalLength": 5.0, "FocalPlaneXResolution": 0.0},
        {"FocalLength": 5.0, "FocalPlaneXResolution": 100.0, "FocalPlaneResolutionUnit": 1},
    ],
)
def test_no_focal_is_none(tags):
    assert photos.exif_focal(exif(**tags), 4000, 3000) is None


def test_focal_of_real_photos(data_dir):
    """By the diagonal, as Depth Pro. ORIGIN.md compares widths: 3173 px (4:3), 888.9 px at 1600 (16:9)."""
    berlin = photos.read(data_dir / "exif_berlin" / "01.jpg")
    assert berlin.rgb.shape == (2448, 3264, 3)
    assert berlin.focal_tag == "FocalLengthIn35mmFilm"
    assert berlin.focal_px == pytest.approx(35 * 4080 / 43.26661530556787)  # 3300.5
    brighton = photos.read(data_dir / "drone_brighton" / "rgb" / "DJI_0018.jpg")
    assert brighton.focal_px == pytest.approx(848.58, abs=0.01)  # 20 * sqrt(1600^2 + 900^2) / sqrt(36^2 + 24^2)


def test_folder_is_listed_in_natural_order(tmp_path):
    for name in ("img10.png", "IMG2.PNG", "img1.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in photos.find([tmp_path])] == ["img1.jpg", "IMG2.PNG", "img10.png"]


def test_files_are_taken_as_given_and_once(tmp_path):
    for name in ("a.png", "odd.suffix"):
        (tmp_path / name).write_bytes(b"")
    given = [tmp_path / "odd.suffix", tmp_path, tmp_path / "a.png"]
    assert [p.name for p in photos.find(given)] == ["odd.suffix", "a.png"]


def test_nothing_to_read_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match=r"holds no image.*\.jpg"):
        photos.find([tmp_path])
    with pytest.raises(SourceError, match="does not exist"):
        photos.find([tmp_path / "missing.png"])


def test_patterns_name_files_in_natural_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("img10.png", "img2.png", "b.heif", "notes.txt", "deep/c.jpg"):
        (tmp_path / name).write_bytes(b"")

    def names(pattern):
        return [str(p.relative_to(tmp_path)) for p in photos.find([tmp_path / pattern])]

    assert names("*.png") == ["img2.png", "img10.png"]
    assert names("*") == ["img2.png", "img10.png"]  # as a folder: only what is an image by its name
    assert names("**/*") == ["img2.png", "img10.png", "deep/c.jpg"]
    assert names("*.heif") == ["b.heif"] and names("img?.p*") == ["img2.png"]
    with pytest.raises(SourceError, match=r"no image matches .*\*\.bmp"):
        photos.find([tmp_path / "*.bmp"])


def test_a_name_with_brackets_is_a_name_first(tmp_path):
    for name in ("a[1].png", "a1.png"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in photos.find([tmp_path / "a[1].png"])] == ["a[1].png"]


def test_other_suffixes_are_searched_for_when_asked(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    assert [p.name for p in photos.find([tmp_path], (*photos.SUFFIXES, ".mp4"))] == ["a.mp4"]
    with pytest.raises(SourceError, match="holds no image"):
        photos.find([tmp_path])


def test_an_empty_file_is_told_so(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"a\.jpg cannot be read as a photo \(it is empty, with 0 bytes\)"):
        photos.read(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.hdr", "a.exr", "a.pfm"])
def test_hdr_images_are_told_what_to_do(tmp_path, name):
    header = {"a.hdr": b"#?RADIANCE\n", "a.exr": b"\x76\x2f\x31\x01", "a.pfm": b"Pf\n1 1\n-1.0\n\0\0\x80\x3f"}[name]
    (tmp_path / name).write_bytes(header)
    with pytest.raises(ImageError, match=r"map its tones to 8 bits \(a JPEG or PNG\) first"):
        photos.read(tmp_path / name)


def test_16_bit_colour_keeps_its_high_byte(tmp_path):
    rgb = np.array([[[0, 256, 65535], [32768, 511, 4096]]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    assert photos.read(tmp_path / "a.png").rgb.tolist() == [[[0, 1, 255], [128, 1, 16]]]


def test_cmyk_of_a_jpeg_is_not_inverted(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)  # red ink
    assert photos.read(tmp_path / "a.jpg").rgb[8, 8] == pytest.approx((255, 0, 0), abs=6)


def test_100_megapixels_are_read_without_a_warning(tmp_path, recwarn):
    Image.new("L", (12500, 8000), 77).save(tmp_path / "a.png", compress_level=1)
    rgb = photos.read(tmp_path / "a.png").rgb
    assert rgb.shape == (8000, 12500, 3) and rgb[-1, -1].tolist() == [77] * 3
    assert not recwarn.list
