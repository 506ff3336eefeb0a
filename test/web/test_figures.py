"""The figures beside the picture: focal lengths in both units, and texts from outside that stay texts."""

import re

import numpy as np
import pytest
from web.doubles import Double

from depth_pro_ros.web import figures

RGB = np.zeros((2448, 3264, 3), np.uint8)


def test_focal_lengths_of_an_iphone_photo():
    """4080 pixels of diagonal over 43.267 mm: 35 mm are 3300.5 px, and 400 px are 4.2 mm."""
    rows = figures.focal_rows(Double().predict(RGB[::4, ::4], 3300.5 / 4, estimate_focal=True), "EXIF tag", 3300.5 / 4)
    assert rows == [
        ("used (from EXIF tag)", "825 px", "35.0 mm"),
        ("estimated by the network", "400 px", "17.0 mm"),
        ("EXIF", "825 px", "35.0 mm"),
    ]


def test_without_exif_there_is_none():
    result = Double().predict(RGB[:48, :64], None, estimate_focal=True)
    assert figures.focal_rows(result, "the network", None)[2] == ("EXIF", "none", "")


def test_field_of_view_and_depth():
    result = Double().predict(RGB[:48, :64], 32.0, estimate_focal=True)
    table = figures.table(result, "you", None, Double().description, cut_m=2.0)
    assert "90.0&deg; across" in table  # 64 pixels at 32 px
    assert "1.00 to 4.00 m, median 1.00 m" in table or "1.00 to 4.00 m, median 4.00 m" in table
    assert "nearer than 2.00 m" in table and "64 x 48 pixels" in table and "0.25 s" in table


def test_nothing_known_is_said():
    assert figures.depth_row(np.full((2, 2), np.inf)) == "nothing known"
    assert figures.legend(np.full((2, 2), np.nan)) == ""


def test_the_legend_runs_from_near_to_far_in_inverse_depth():
    legend = figures.legend(np.array([[1.0, 3.0]]))
    near, middle, far = map(float, re.findall(r"<span>([\d.]+) m</span>", legend))
    assert middle == pytest.approx(2 / (1 / near + 1 / far), abs=0.01) and near < middle < far
    reds = [int(red) for red in re.findall(r"rgb\((\d+),", legend)]
    assert len(reds) == figures.LEGEND_STOPS and reds[0] > reds[-1]


def test_texts_from_outside_are_no_markup():
    weights = Double("<img src=x onerror=alert(1)>").description
    table = figures.table(Double().predict(RGB[:48, :64], None, True), "<b>", None, weights)
    assert "<img" not in table and "<b>" not in table and "&lt;img" in table
    assert figures.notice("<script>", bad=True) == '<p class="notice bad" role="alert">&lt;script&gt;</p>'
    assert figures.notice("") == ""
