"""The demo's figures by hand-computed numbers, and its pictures."""

import dataclasses
import json

import numpy as np
import pytest

from depth_pro_ros.cli import demo_pictures
from depth_pro_ros.cli.demo_report import UNTRAINED, Frame, Tally, abs_rel, delta1, make_report, relative_error, table

NAN, INF = np.nan, np.inf
STATUS = {
    "weights": "micro (untrained)",
    "trained": "False",
    "device": "cpu",
    "precision": "float32",
    "received": "20",
    "published": "3",
    "dropped": "16",
    "rejected": "1",
    "failed": "0",
    "decode_ms_p50": "0.25",
    "decode_ms_p95": "0.5",
    "network_ms_p50": "100.0",
    "network_ms_p95": "120.5",
    "age_ms_p50": "1.0",
    "age_ms_p95": "2.0",
}


def frame(depth=2.0, truth=None, calibrated=True, age_ms=10.0, arrived_s=0.0, believed_px=100.0):
    """Return a frame of 4x3 pixels whose depth (and truth) is one number everywhere, focal length 100 px."""
    depth_m = np.full((3, 4), depth, np.float32)
    points, photo = np.ones((3, 4, 3), np.float32) * depth, np.full((3, 4, 3), 90, np.uint8)
    truth_m = None if truth is None else np.full((3, 4), truth, np.float32)
    return Frame(depth_m, points, photo, photo, 100.0, believed_px, calibrated, age_ms, arrived_s, truth_m)


def tally_of(*frames):
    tally = Tally()
    for one in frames:
        tally.add(one)
    return tally


# Figures.


def test_errors_by_hand():
    truth = np.array([[1.0, 2.0, 4.0, NAN]], np.float32)
    depth = np.array([[1.1, 3.0, 4.0, 7.0]], np.float32)
    np.testing.assert_allclose(relative_error(depth, truth), [[0.1, 0.5, 0.0, NAN]], rtol=1e-5)
    assert abs_rel(depth, truth) == pytest.approx(0.2)
    assert delta1(depth, truth) == pytest.approx(2 / 3)


def test_unknown_depth_is_a_miss_of_delta1_and_no_part_of_abs_rel():
    truth = np.array([2.0, 2.0, 2.0, 0.0, INF], np.float32)
    depth = np.array([NAN, INF, 2.2, 1.0, 1.0], np.float32)
    assert abs_rel(depth, truth) == pytest.approx(0.1, rel=1e-5)
    assert delta1(depth, truth) == pytest.approx(1 / 3)
    assert np.isnan(abs_rel(depth[:2], truth[:2])) and np.isnan(delta1(depth[3:], truth[3:]))


@pytest.mark.parametrize("ratio, met", [(1.24, 1.0), (1.26, 0.0), (1 / 1.24, 1.0), (1 / 1.26, 0.0)])
def test_delta1_bounds_both_ways(ratio, met):
    assert delta1(np.array([ratio], np.float32), np.ones(1, np.float32)) == met


def test_report_by_hand():
    frames = [
        frame(2.0, truth=2.0, age_ms=10, arrived_s=5.0, believed_px=110),
        frame(2.0, truth=4.0, age_ms=20, arrived_s=5.5, believed_px=80),
        frame(2.2, truth=2.0, age_ms=30, arrived_s=6.0, believed_px=150),
    ]
    report = make_report(tally_of(*frames), STATUS, "folder", "/photos")
    assert (report["frames_in"], report["frames_out"], report["dropped"], report["frames_lost"]) == (20, 3, 16, 1)
    assert report["rate_hz"] == 2.0
    assert report["latency_ms"] == {"decode": {"p50": 0.25, "p95": 0.5}, "network": {"p50": 100.0, "p95": 120.5}}
    assert report["age_ms"] == {"p50": 20.0, "p95": pytest.approx(29.0)}
    assert report["abs_rel"] == pytest.approx(0.1, rel=1e-5)  # the median of 0, 0.5, 0.1
    assert report["delta1"] == 1.0
    assert report["focal_error_percent"] == pytest.approx(20.0)  # of 10, 20, 50
    assert (report["focal_px"], report["focal_from"]) == (100.0, "camera_info")
    assert (report["weights"], report["trained"], report["source"]) == ("micro (untrained)", False, "folder")
    json.dumps(report, allow_nan=False)


def test_report_without_truth_and_calibration_compares_nothing():
    report = make_report(tally_of(frame(calibrated=False)), STATUS, "video", "/v.mp4")
    assert not {"abs_rel", "delta1", "focal_error_percent"} & report.keys()
    assert report["focal_from"] == "network" and report["rate_hz"] is None
    json.dumps(report, allow_nan=False)


def test_truth_that_knows_nothing_or_depth_that_knows_nothing_puts_no_nan_into_the_report():
    report = make_report(tally_of(frame(2.0, truth=NAN), frame(NAN, truth=2.0)), STATUS, "folder", "/p")
    assert "abs_rel" not in report and report["delta1"] == 0.0


def test_the_frame_whose_figures_are_told_is_the_last_with_truth():
    first, second, third = frame(truth=1.0), frame(truth=2.0), frame()
    assert tally_of(first, second, third).last is second
    assert tally_of(third, first).last is first


def test_the_pictured_frame_spans_most_depths_and_has_truth():
    wall, room, unmeasured = frame(truth=2.0), frame(truth=2.0), frame()
    room.truth_m[:, 0] = 1.0
    unmeasured.depth_m[:, 0] = 0.01
    for order in ((wall, room, unmeasured), (unmeasured, room, wall), (room, unmeasured, wall)):
        assert tally_of(*order).shown is room
    assert tally_of(unmeasured, frame()).shown is unmeasured
    assert tally_of(frame(NAN)).shown.spread == 0.0


@pytest.mark.parametrize("trained", [True, False])
def test_table_says_loudly_whether_the_weights_are_untrained(trained):
    report = make_report(tally_of(frame(2.2, truth=2.0)), STATUS | {"trained": str(trained)}, "scene", None)
    text = table(report)
    assert (UNTRAINED in text) is not trained and "WEIGHTS ARE UNTRAINED" in UNTRAINED
    assert "by design: the newest frame is always taken" in text
    for figure in ("16", "100.0", "120.5 ms", "0.100", "1.000", "100.0 px"):
        assert figure in text


# Pictures.


def test_error_colours_go_from_dark_to_bright_and_grey_is_unknown():
    one = frame(1.0, truth=1.0)
    one.truth_m[0] = [1.0, 2.0, 1.0, NAN]
    one.depth_m[0] = [1.0, 1.0, 1.25, 1.0]
    colours = demo_pictures.error_colours(one)[0].astype(int)
    none, half, quarter = (colours[i].sum() for i in (0, 1, 2))
    assert none < 30 and none < quarter < half and half > 550
    assert tuple(colours[3]) == demo_pictures.UNKNOWN_RGB


def test_picture_has_two_more_panels_with_truth():
    plain, compared = (demo_pictures.depth_picture(frame(truth=t), trained=False) for t in (None, 2.5))
    assert plain.shape[0] == compared.shape[0]
    panel = round(4 * demo_pictures.PANEL_HEIGHT / 3)
    assert compared.shape[1] - plain.shape[1] in range(2 * panel, 2 * panel + 20)


def test_titles_change_with_untrained_weights():
    one = frame(truth=2.5)
    one.points[..., 0] = np.arange(4)
    for picture in (demo_pictures.depth_picture, demo_pictures.cloud_picture):
        assert not np.array_equal(picture(one, True)[:26], picture(one, False)[:26])


def test_figures_before_and_after_fusion():
    fused = dataclasses.replace(frame(depth=2.2, truth=2.0), unfused_m=np.full((3, 4), 4.0, np.float32))
    tally = tally_of(fused)
    assert tally.abs_rel == [pytest.approx(1.0)] and tally.abs_rel_fused == [pytest.approx(0.1)]
    assert tally.delta1 == [0.0] and tally.delta1_fused == [1.0]
    plain = tally_of(frame(depth=2.2, truth=2.0))
    assert plain.abs_rel == [pytest.approx(0.1)] and plain.abs_rel_fused == []
