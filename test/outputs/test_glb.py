"""Clouds as binary glTF: every byte that a viewer reads, taken apart by hand (glTF 2.0, section 4.4)."""

import numpy as np
import pytest
from outputs.glb_parts import attribute, take_apart

from depth_pro_ros.errors import OutputError
from depth_pro_ros.outputs.glb import write_glb

NAN, INF = np.nan, np.inf


def test_points_stand_upright_with_their_colours(tmp_path):
    """One metre right, two down, three ahead of the camera is (1, -2, -3) where y is up and the camera looks at -z."""
    points = np.array([[1.0, 2.0, 3.0], [NAN, 0.0, 1.0], [0.0, 0.0, INF], [-1.0, 0.5, 4.0]])
    rgb = np.array([[255, 0, 10], [9, 9, 9], [9, 9, 9], [128, 64, 1]], np.uint8)
    assert write_glb(tmp_path / "c.glb", points, rgb) == 2
    document, binary = take_apart(tmp_path / "c.glb")
    xyz, accessor = attribute(document, binary, "POSITION", "<f4")
    assert xyz.tolist() == [[1, -2, -3], [-1, -0.5, -4]]
    assert accessor["componentType"] == 5126  # float
    assert accessor["min"] == [-1, -2, -4] and accessor["max"] == [1, -0.5, -3]
    colours, accessor = attribute(document, binary, "COLOR_0", "<u2")
    assert accessor["componentType"] == 5123 and accessor["normalized"] is True
    # By hand from IEC 61966-2-1: 128 -> 0.21586, 64 -> 0.05127, 10 -> 0.0030353, 1 -> 1/255/12.92.
    expected = np.array([[1, 0, 0.0030353, 1], [0.2158605, 0.0512695, 0.00030353, 1]]) * 65535
    np.testing.assert_allclose(colours, expected, atol=0.51)
    assert document["meshes"][0]["primitives"][0]["mode"] == 0  # points
    assert document["buffers"] == [{"byteLength": len(binary)}]


def test_every_colour_stays_apart_from_its_neighbour(tmp_path):
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    write_glb(tmp_path / "c.glb", np.ones((256, 3)), grey)
    colours, _ = attribute(*take_apart(tmp_path / "c.glb"), "COLOR_0", "<u2")
    assert (np.diff(colours[:, 0].astype(int)) > 0).all()


def test_an_image_of_points_is_taken_row_by_row(tmp_path):
    points = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert write_glb(tmp_path / "c.glb", points, np.zeros((2, 2, 3), np.uint8)) == 4
    xyz, _ = attribute(*take_apart(tmp_path / "c.glb"), "POSITION", "<f4")
    assert xyz[:, 0].tolist() == [0, 3, 6, 9]


def test_nothing_known_is_a_valid_empty_scene(tmp_path):
    assert write_glb(tmp_path / "c.glb", np.full((2, 3), NAN), np.zeros((2, 3), np.uint8)) == 0
    document, binary = take_apart(tmp_path / "c.glb")
    assert binary == b"" and "meshes" not in document and "accessors" not in document
    assert document["scenes"][document["scene"]]["nodes"] == [0]


def test_one_colour_for_each_point(tmp_path):
    with pytest.raises(OutputError, match="3 points but 2 colours"):
        write_glb(tmp_path / "c.glb", np.zeros((3, 3)), np.zeros((2, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
