"""The demo: its figures by hand-computed numbers, its children, and the command as its user runs it."""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from depth_pro_ros.cli import demo, demo_nodes, demo_pictures
from depth_pro_ros.cli.demo_report import UNTRAINED, Frame, Tally, abs_rel, delta1, make_report, relative_error, table
from depth_pro_ros.errors import SourceError

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


def test_the_pictured_frame_is_the_last_with_truth():
    first, second, third = frame(truth=1.0), frame(truth=2.0), frame()
    assert tally_of(first, second, third).last is second
    assert tally_of(third, first).last is first


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


# Sources.


@pytest.mark.parametrize(
    "given, expected",
    [(("scene", None), ("scene", None)), (("0", None), ("device", "0")), (("device", None), ("device", None))],
)
def test_sources_that_need_no_path(given, expected):
    assert demo.choose_source(*given) == expected


def test_source_with_path(tmp_path):
    assert demo.choose_source("folder", str(tmp_path)) == ("folder", str(tmp_path))


@pytest.mark.parametrize(
    "source, path, says",
    [
        ("camera", None, "none of scene, folder, video, bag, device"),
        ("folder", None, "needs a path"),
        ("bag", "/no/such/bag", "/no/such/bag does not exist"),
        ("scene", "/photos", "--source folder"),
    ],
)
def test_sources_that_cannot_be(source, path, says):
    with pytest.raises(SourceError, match=says):
        demo.choose_source(source, path)


@pytest.mark.parametrize("argv", [["--frames", "0"], ["--rate", "-1"], ["--timeout", "nan"], ["--device", "abacus"]])
def test_wrong_numbers_are_refused(argv):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(argv)


# Children.

STUBBORN = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; print('deaf', flush=True)"


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Return Nodes whose nodes are Python programs, given in place of the node's name."""

    def command(name, parameters, remaps):
        return [sys.executable, "-c", parameters["program"]]

    monkeypatch.setattr(demo_nodes, "command", command)
    monkeypatch.setattr(demo_nodes, "ENDINGS", ((2, 0.3), (15, 0.3), (9, 5.0)))
    with demo_nodes.Nodes(tmp_path, tmp_path) as nodes:
        yield nodes


def wait_for_log(nodes, name, text):
    end = time.monotonic() + 20
    while text not in nodes.log(name).read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_node_that_ends_is_named_with_its_last_words(nodes):
    nodes.start("good", {"program": "import time; time.sleep(60)"})
    nodes.check()
    nodes.start("bad", {"program": "print('1\\n2\\n3'); raise SystemExit(7)"})
    wait_for_log(nodes, "bad", "3")
    with pytest.raises(demo_nodes.DemoError, match="bad ended with status 7") as caught:
        for _ in range(500):
            nodes.check()
            time.sleep(0.02)
    assert caught.value.node == "bad" and nodes.last_lines("bad", 2) == "2\n3"


def test_a_deaf_node_is_killed_and_others_are_left_alone(nodes):
    nodes.start("deaf", {"program": f"import os; print(os.getpid()); {STUBBORN}; time.sleep(60)"})
    nodes.start("other", {"program": "import time; time.sleep(60)"})
    wait_for_log(nodes, "deaf", "deaf")
    nodes.end("deaf")
    with pytest.raises(ProcessLookupError):
        os.kill(int(nodes.log("deaf").read_text().split()[0]), 0)
    nodes.check()  # the other one still runs, and the one that was ended is no longer asked for


# The command itself, with real nodes over DDS.


def start_demo(out, env, *argv):
    command = [sys.executable, "-m", "depth_pro_ros", "demo", "--weights", "micro", "--output", str(out), *argv]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_demo_of_the_scene(tmp_path, ros_env):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "depth.png").write_text("old")
    process = start_demo(tmp_path, ros_env, "--frames", "3", "--json")
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert report == json.loads((tmp_path / "report.json").read_text())
    names = {path.name for path in tmp_path.iterdir()} - {"ros_log"}
    assert names == {"mine.txt", "depth.png", "cloud.png", "cloud.ply", "report.json", "logs"}
    assert (report["source"], report["trained"]) == ("scene", False) and "WEIGHTS ARE UNTRAINED" in errors
    assert report["frames_measured"] >= 3 and report["frames_lost"] == 0
    assert report["frames_in"] == report["frames_out"] + report["dropped"]
    assert {"decode", "preprocess", "network", "metric", "fuse", "messages", "publish"} == report["latency_ms"].keys()
    assert 0 < report["latency_ms"]["network"]["p50"] < report["age_ms"]["p95"]
    assert report["focal_px"] == pytest.approx(320 / np.tan(np.radians(75 / 2)), rel=1e-4)  # 640 px over 75 degrees
    assert 0 < report["abs_rel"] and 0 <= report["delta1"] <= 1 and 0 <= report["focal_error_percent"]
    assert f"element vertex {report['cloud_points']}\n".encode() in (tmp_path / "cloud.ply").read_bytes()
    assert 0 < report["cloud_points"] <= 640 * 480
    assert cv2.imread(str(tmp_path / "depth.png")).shape[1] > 4 * 500
    assert cv2.imread(str(tmp_path / "cloud.png")) is not None


def test_folder_without_an_image_fails_with_the_cameras_own_words(tmp_path, ros_env):
    (tmp_path / "empty").mkdir()
    process = start_demo(tmp_path / "out", ros_env, "--source", "folder", "--path", str(tmp_path / "empty"))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and output == ""
    assert "camera_node ended with status 1" in errors and f"no images in {tmp_path / 'empty'}" in errors
    assert not (tmp_path / "out" / "report.json").exists()


def test_weights_that_are_not_there_fail_at_once(tmp_path, ros_env):
    process = start_demo(tmp_path, ros_env, "--weights", "/no/weights.pt")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "depth_node could not be configured: no checkpoint at '/no/weights.pt'" in errors.splitlines()[-1]


def test_too_little_time_is_said(tmp_path, ros_env):
    process = start_demo(tmp_path, ros_env, "--timeout", "0.5")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "none of 30 frames within 0.5 s" in errors.splitlines()[-1] and "--timeout" in errors.splitlines()[-1]


@pytest.mark.parametrize("by, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_ends_the_nodes(tmp_path, ros_env, by, status):
    process = start_demo(tmp_path, ros_env, "--frames", "100000")
    end = time.monotonic() + 40
    while not (log := tmp_path / "logs" / "camera_node.log").exists() or "source: scene" not in log.read_text():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    pids = [int(pid) for pid in children.stdout.split()]
    assert len(pids) == 3
    process.send_signal(by)
    process.communicate(timeout=40)
    assert process.returncode == status
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_remappings_reach_the_node():
    words = demo_nodes.command("stereo_node", {"block": 5}, {"disparity": "/cues/disparity"})
    assert words[-6:] == ["stereo_node", "--ros-args", "-p", "block:=5", "-r", "disparity:=/cues/disparity"]


def test_stereo_fusion_needs_a_stereo_camera(tmp_path):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    args = parser.parse_args(["--source", "folder", "--path", str(tmp_path), "--fusion", "stereo"])
    with pytest.raises(SourceError, match="one image"):
        demo.run(args)


def test_figures_before_and_after_fusion():
    fused = dataclasses.replace(frame(depth=2.2, truth=2.0), unfused_m=np.full((3, 4), 4.0, np.float32))
    tally = tally_of(fused)
    assert tally.abs_rel == [pytest.approx(1.0)] and tally.abs_rel_fused == [pytest.approx(0.1)]
    assert tally.delta1 == [0.0] and tally.delta1_fused == [1.0]
    plain = tally_of(frame(depth=2.2, truth=2.0))
    assert plain.abs_rel == [pytest.approx(0.1)] and plain.abs_rel_fused == []
