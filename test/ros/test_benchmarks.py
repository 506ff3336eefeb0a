"""The benchmarks as commands, run quickly: what they print, and that their figures make sense."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from depth_pro_ros.ros.benchmarks import children, conversions, measure, node, transport
from depth_pro_ros.ros.transport import profile_path

PROJECT = Path(__file__).resolve().parents[2]
SHARED_MEMORY = Path("/dev/shm")


def run(name, *arguments):
    """Return the finished process of one benchmark."""
    command = [sys.executable, "-m", f"depth_pro_ros.ros.benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)


def results(name):
    """Return the results of a quick run, after checking what every benchmark prints."""
    done = run(name, "--json", "--quick")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 and done.stderr, "one line of JSON on stdout, progress on stderr"
    report = json.loads(done.stdout)
    assert set(report) == {"machine", "results"}
    about = report["machine"]
    assert about["cpu"] and 1 <= about["cores"] <= os.cpu_count() and about["numpy"] == np.__version__
    return report["results"]


def test_conversions_are_measured_beside_copies():
    rows = results("conversions")
    assert all(set(row) == {"what", "size", "ms", "copy_ms", "ratio"} for row in rows)
    by_name = {(row["what"], row["size"]): row for row in rows}
    assert len(by_name) == len(rows) == 18 * 3
    for (what, _), row in by_name.items():
        assert row["ms"] > 0
        if what.startswith("camera_info"):
            assert row["copy_ms"] is row["ratio"] is None
        else:
            assert row["ratio"] == pytest.approx(row["ms"] / row["copy_ms"], rel=0.1, abs=0.02)


def test_a_table_for_people():
    done = run("conversions", "--quick")
    assert done.returncode == 0, done.stderr
    about, empty, header, *lines = done.stdout.splitlines()
    assert "cores" in about and not empty and header.split() == ["what", "size", "ms", "copy_ms", "ratio"]
    assert len(lines) == 18 * 3


def test_a_table_is_aligned_and_says_nothing_where_nothing_is_known():
    rows = [{"a": 1, "bb": 0.123456}, {"a": None, "bb": {"x": 1234.5, "y": 2.0}}]
    assert measure.table(rows).splitlines() == ["a  bb", "1  0.123", "-  x 1234, y 2"]


@pytest.mark.parametrize(("width", "height"), conversions.SIZES)
def test_the_measured_conversions_give_whole_images(width, height):
    for case in conversions.cases(width, height):
        if case.what.startswith(("decode", "rectify", "colour")):
            assert case.step().shape == (height, width, 3), case.what
    read = {case.what: case.input_bytes for case in conversions.cases(width, height)}
    pixels = width * height
    assert read["decode rgb8"] == 3 * pixels and read["decode nv12"] == 1.5 * pixels
    assert read["encode depth 16UC1"] == 4 * pixels and read["cloud stride 2"] == 7 * pixels / 4
    assert read["decode jpeg"] < pixels


def test_both_are_called_in_turn_and_the_median_is_taken(monkeypatch):
    calls, clock = [], iter([0.0, 0.001, 1.0, 1.010, 2.0, 2.005, 3.0, 3.020, 4.0, 4.009, 5.0, 5.060])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    got = measure.in_turn_ms(lambda: calls.append("a"), lambda: calls.append("b"), 3)
    assert calls == list("ababab")
    assert got == pytest.approx((5.0, 20.0))


def test_the_copies_that_cannot_be_avoided():
    assert node.unavoidable_bytes(640, 480, cloud=False) == 640 * 480 * 7
    assert node.unavoidable_bytes(641, 481, cloud=True) == 641 * 481 * 7 + 321 * 241 * 16


def test_defaults_differ_from_the_profile_in_nothing_but_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/elsewhere.xml")
    shipped, defaults = children.shipped_environment(), transport.default_environment(tmp_path)
    assert shipped["FASTDDS_DEFAULT_PROFILES_FILE"] == str(profile_path(loopback=True))
    assert int(shipped["MALLOC_TOP_PAD_"]) > 1 and not [name for name in defaults if name.startswith("MALLOC_")]
    assert shipped["ROS_DOMAIN_ID"] == defaults["ROS_DOMAIN_ID"]
    before, after = (
        [(element.tag.rpartition("}")[2], (element.text or "").strip()) for element in ElementTree.parse(path).iter()]
        for path in (shipped["FASTDDS_DEFAULT_PROFILES_FILE"], defaults["FASTDDS_DEFAULT_PROFILES_FILE"])
    )
    assert [element for element in before if element not in after] == [("segment_size", "67108864")]
    assert len(after) == len(before) - 1 and ("address", "127.0.0.1") in after


def test_a_child_that_fails_is_reported_with_its_log():
    with children.Children(children.shipped_environment()) as processes:
        processes.start("sender", "benchmarks.sender", "violin")
        with pytest.raises(children.BenchmarkError, match=r"(?s)sender ended with status 2.*invalid choice: 'violin'"):
            processes.wait("sender", 30.0)


def test_the_end_of_another_child_ends_the_wait():
    with children.Children(children.shipped_environment()) as processes:
        processes.start("listener", "benchmarks.listener", "image")
        processes.start("sender", "benchmarks.sender", "violin")
        with pytest.raises(children.BenchmarkError, match="sender ended with status 2 too early"):
            processes.wait("listener", 30.0)
        assert processes.running() == ["listener"]
    assert processes.running() == [], "leaving the block ends every child"


def test_sigterm_ends_a_benchmark_with_its_children_and_leaves_nothing():
    before = segments()
    command = [sys.executable, "-m", "depth_pro_ros.ros.benchmarks.transport", "--quick"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "image with" in process.stderr.readline()
        wait_for(lambda: started_by(process.pid), "children")
        pids = started_by(process.pid)
        process.terminate()
        assert process.wait(60.0) == 128 + signal.SIGTERM
        assert process.stdout.read() == ""
    wait_for(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "the children to end")
    assert not left_behind(before)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_images_arrive_under_the_profile():
    before = segments()
    rows = {(row["what"], row["case"]): row for row in results("transport")}
    assert set(rows) == {(what, case) for what in ("image", "points") for case in ("defaults", "profile")}
    for (what, case), row in rows.items():
        assert row["mb"] == (6.2 if what == "image" else 4.9)
        assert row["share_arrived"] == pytest.approx(row["arrived"] / row["sent"], abs=1e-3)
        assert 0 <= row["share_arrived"] <= 1
        if case == "profile":
            assert row["share_arrived"] > 0.5
            assert 0 < row["latency_ms_p50"] <= row["latency_ms_p95"]
    assert rows["image", "profile"]["sent"] == 60 and rows["points", "profile"]["sent"] == 40
    assert not left_behind(before)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_depth_node_is_measured_with_and_without_a_cloud():
    rows = results("node")
    assert [(row["size"], row["cloud"]) for row in rows] == [("640x480", False), ("1920x1080", True)]
    for row in rows:
        assert row["weights"].startswith("micro")
        assert 1 <= row["published"] <= row["sent"] == node.QUICK_FRAMES
        stages = row["stages_ms"]
        assert set(stages) == {"decode", "preprocess", "network", "metric", "fuse", "messages", "publish"}
        assert row["overhead_ms"] == pytest.approx(row["age_ms"] - stages["network"], abs=0.01)
        assert row["ratio"] == pytest.approx(row["overhead_ms"] / row["copy_ms"], rel=0.05)
        assert ("points" in row["arrival_ms"]) == row["cloud"]
        assert all(ms > stages["network"] / 2 for ms in row["arrival_ms"].values())


def started_by(pid):
    """Return the children of a process."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def wait_for(condition, what, timeout_s=30.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def segments():
    """Return the shared-memory segments of Fast DDS, each of which has a lock file beside it."""
    return {path for path in SHARED_MEMORY.glob("fastdds_*_el") if "port" not in path.name}


def left_behind(before):
    """Return new segments whose owner is gone; a living one holds a lock on the file."""
    left = []
    for path in segments() - before:
        with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.append(path)
    return left
