"""The program that makes the README's picture: its panels, its colours, its size."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest
from docs_reader import DOCS, PROJECT
from PIL import Image

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import pictures
from depth_pro_ros.records import DepthMap


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("make_pictures", DOCS / "make_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shots(program):
    """Return two shots of a slope from 1.5 m below to 9 m above, of a photo from red to green and of a dim one."""
    camera = pinhole.centred(program.WIDTH, program.HEIGHT, 400.0)
    depth_m = np.repeat(np.linspace(9.0, 1.5, program.HEIGHT, dtype=np.float32)[:, None], program.WIDTH, axis=1)
    rgb = np.zeros((program.HEIGHT, program.WIDTH, 3), np.uint8)
    rgb[..., 0] = np.linspace(200, 0, program.WIDTH)
    rgb[..., 1] = np.linspace(0, 200, program.WIDTH)
    depth = DepthMap(depth_m, camera, 400.0)
    return [program.Shot(rgb, depth, 0.1), program.Shot(rgb // 2, depth, 0.2)]


def test_the_colours_of_metres_survive_the_palette(program, shots):
    height = 120
    panels = program.panels(shots, height)
    colours = program.palette(shots[0].rgb)
    content = io.BytesIO(program.animation(panels, 5.0, colours))
    with Image.open(content) as gif:
        assert (gif.format, gif.n_frames, gif.info["duration"], gif.info["loop"]) == ("GIF", 2, 200, 0)
        frame = np.asarray(gif.convert("RGB")).astype(int)
    width = round(program.WIDTH * height / program.HEIGHT)
    column = frame[-height:, width + width // 2]  # of the panel in the middle
    meant = pictures.colour_depth(np.linspace(9.0, 1.5, height, dtype=np.float32)[:, None], *program.SPAN_M)[:, 0]
    assert np.abs(column - meant).max(axis=1)[5:-5].mean() < 20
    photo = frame[-height:, :width]
    assert np.abs(photo[height // 2, 5] - (195, 4, 0)).max() < 25


def test_a_webp_needs_no_palette(program, shots):
    with Image.open(io.BytesIO(program.animation(program.panels(shots, 90), 4.0, None))) as picture:
        assert (picture.format, picture.n_frames) == ("WEBP", 2)


def test_the_picture_in_the_tree_is_small_enough_for_a_first_screen():
    file = DOCS / "images" / "flight.gif"
    assert file.stat().st_size <= 2e6
    with Image.open(file) as gif:
        assert gif.n_frames > 10 and gif.info["loop"] == 0
    assert f"({file.relative_to(PROJECT).as_posix()})" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_weights_that_are_not_there_make_no_picture(program, capsys):
    assert program.main(["--weights", "no such weights"]) == 1
    assert "no such weights" in capsys.readouterr().err
