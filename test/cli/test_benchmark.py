"""The benchmark of the network: its report is made of real runs, and of nothing else."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("transformers", reason="the benchmark's other contender")


def benchmark(*arguments):
    command = [sys.executable, "-m", "depth_pro_ros", "benchmark", "network", "--preset", "micro", "--json", *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_report_of_both_contenders_taking_turns():
    report = benchmark("--precision", "float32", "--repeats", "2")
    result = report["precisions"]["float32"]
    assert {name: len(times) for name, times in result["seconds"].items()} == {"depth_pro_ros": 2, "transformers": 2}
    ours, theirs = (sum(result["seconds"][name]) / 2 for name in ("depth_pro_ros", "transformers"))
    assert report["ratios"]["float32"] == pytest.approx(theirs / ours, rel=1e-3)
    assert result["agreement"]["max_over_sigma"] < 1e-4, "both must have run the same weights"
    assert not result["ratio_is_lower_bound"] and result["unfinished"] is None
    memory = result["memory_mb"]
    assert memory["ratio"] == pytest.approx(
        memory["depth_pro_ros"]["peak_mb"] / memory["transformers"]["peak_mb"], abs=2e-3
    )
    assert {"cpu", "cores", "torch", "bfloat16_arithmetic"} <= report["machine"].keys()


def test_a_contender_that_runs_out_of_time_gives_a_bound_and_no_ratio_of_its_own():
    result = benchmark("--precision", "float32", "--limit", "0.01", "--no-memory")["precisions"]["float32"]
    assert result["unfinished"] == "depth_pro_ros" and result["ratio"] is None
