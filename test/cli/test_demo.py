"""The demo: its sources, its children, and the command as its user runs it."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from depth_pro_ros.cli import demo, demo_nodes
from depth_pro_ros.errors import SourceError

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
    # Images that came before anybody listened to the depth are received, and neither worked on nor dropped.
    assert report["frames_in"] >= report["frames_out"] + report["dropped"] > 0
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
