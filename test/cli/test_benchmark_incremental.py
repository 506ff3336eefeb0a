"""The benchmark of incremental inference: its scenes are what it says, and its operations those of the facts."""

import argparse
import json

import numpy as np
import pytest

from depth_pro_ros.cli import benchmark_incremental as benchmark
from depth_pro_ros.inference.incremental import FrameCost


def test_a_thing_covers_less_than_five_percent_of_the_picture_with_its_motion():
    still = np.full((480, 640, 3), 128, np.uint8)
    before, after = (benchmark.with_thing(still, 0.825, left) for left in (0.1, 0.1 + benchmark.STEP))
    changed = (before != after).any(-1)
    assert 0 < changed.mean() < 0.05 and (before != still).any(-1).mean() < 0.05
    assert not changed[: int(0.8 * 480)].any(), "at the foot of the picture"


def test_operations_are_those_of_the_published_network():
    whole = benchmark.operations("depth_pro", FrameCost.whole(False).encoded)
    assert whole == pytest.approx(18.07e12, rel=0.02), "19.25 TFLOP, simplified and without the field of view"
    assert benchmark.operations("depth_pro", ()) == 0
    corner = benchmark.operations("depth_pro", (0, 25, 34, 35))
    assert 3.0 < whole / corner < 5.0


def test_fewer_operations_are_those_of_all_frames_together():
    costs = [FrameCost((0, 25, 34, 35), False, 4 / 36, 0.5), FrameCost.whole(False), FrameCost((), False, 0.0, 0.0)]
    whole, corner = (benchmark.operations("micro", cost.encoded) for cost in (costs[1], costs[0]))
    assert benchmark.times_less("micro", costs) == pytest.approx(3 * whole / (whole + corner), abs=0.01)


def test_means_leave_out_what_is_unknown():
    assert benchmark.mean([1.0, None, 2.0]) == 1.5 and benchmark.mean([None]) is None


@pytest.mark.parametrize("given", ["1", "0", "-3", "2.5", "few"])
def test_the_first_frame_alone_is_nothing_to_measure(given):
    assert benchmark.frame_count("2") == 2
    with pytest.raises(argparse.ArgumentTypeError, match="at least 2"):
        benchmark.frame_count(given)


def test_scenes_and_frames_are_chosen(monkeypatch, capsys):
    """Two frames of one scene, with a network so small that it takes no time."""
    words = ["--preset", "micro", "--precision", "float32", "--scenes", "foot", "--frames", "2", "--json"]
    assert benchmark.main(words) == 0
    report = json.loads(capsys.readouterr().out)
    exact, approximated = report["rows"]
    assert report["frames"] == 2 and {exact["scene"], approximated["scene"]} == {"hovering, foot"}
    assert (exact["image_every"], approximated["image_every"]) == (1, 2)
    assert exact["difference"] < 1e-5 and approximated["patches"] == exact["patches"] - 1
    assert len(benchmark.table(report).splitlines()) == 5


@pytest.mark.slow
def test_figures(capsys):
    assert benchmark.main(["--quick", "--json", "--precision", "float32"]) == 0
    report = json.loads(capsys.readouterr().out)
    foot, often, middle, *flying = report["rows"]
    assert foot["pixels_unchanged"] > 0.95 and foot["difference"] < 1e-5 and middle["difference"] < 1e-5
    assert foot["encoder_operations"] >= 4 and foot["operations_depth_pro"] >= 3
    assert often["image_every"] == 2 and often["difference"] < 0.05
    assert foot["patches"] < middle["patches"] < 35
    assert all(row["abs_rel"] > 0 and row["abs_rel_plain"] > 0 for row in flying)
    print(benchmark.table(report))
