"""The benchmark's command, and the network against transformers: reports are made of real runs, and of nothing else."""

import importlib
import json
import re
import subprocess
import sys

import pytest

from depth_pro_ros.cli import benchmark, benchmark_against, main
from depth_pro_ros.errors import ConfigurationError


def run_benchmark(*arguments):
    command = [sys.executable, "-m", "depth_pro_ros", "benchmark", *arguments, "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def of_network(*arguments):
    pytest.importorskip("transformers", reason="the benchmark's other contender")
    return run_benchmark("network", "--preset", "micro", "--precision", "float32", "--threads", "1", *arguments)


def test_report_of_both_contenders_taking_turns():
    report = of_network("--repeats", "2")
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
    result = of_network("--limit", "0.01", "--no-memory")["precisions"]["float32"]
    assert result["unfinished"] == "depth_pro_ros" and result["ratio"] is None


def test_float32_takes_turns_beside_another_precision_and_tells_both_errors():
    pytest.importorskip("transformers", reason="the benchmark's other contender")
    flags = ("--preset", "micro", "--precision", "bfloat16", "float32", "--threads", "1", "--repeats", "1")
    report = run_benchmark("network", *flags, "--exact", "--no-memory")
    result, plain = (report["precisions"][name] for name in ("bfloat16", "float32"))
    ours, theirs = (result["seconds"][name] for name in ("depth_pro_ros", "transformers float32"))
    assert result["ratio_to_float32"] == pytest.approx(theirs[0] / ours[0], abs=1e-3)
    errors = {name: error["mean_difference_over_sigma"] for name, error in result["errors"].items()}
    assert errors.keys() == {"depth_pro_ros", "transformers"} and all(0 < error < 0.05 for error in errors.values())
    assert "errors" not in plain and set(plain["seconds"]) == {"depth_pro_ros", "transformers"}


def test_end_to_end_goes_from_the_same_image_to_the_same_depth_and_leaves_a_trace(tmp_path):
    pytest.importorskip("transformers", reason="the benchmark's other contender")
    trace = tmp_path / "trace.json"
    flags = ("--preset", "micro", "--precision", "float32", "--threads", "1", "--repeats", "1", "--size", "64x48")
    report = run_benchmark("--profile", str(trace), "end_to_end", *flags)
    result = report["precisions"]["float32"]
    assert result["agreement"]["max_over_sigma"] < 1e-2, "one resizes by OpenCV, the other by PyTorch"
    assert "memory_mb" not in result
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert "aten::scaled_dot_product_attention" in names


def test_without_transformers_only_ours_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(benchmark_against.importlib.util, "find_spec", lambda name: None)
    flags = ["network", "--preset", "micro", "--precision", "float32", "--threads", "1", "--repeats", "1"]
    flags.append("--no-memory")
    assert benchmark_against.main([*flags, "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["contenders"] == ["depth_pro_ros"] and report["ratios"] == {"float32": None}
    assert len(report["precisions"]["float32"]["seconds"]["depth_pro_ros"]) == 1
    assert "depth_pro_ros[bench]" in printed.err


@pytest.mark.parametrize(
    ("ours", "theirs", "finished", "expected"),
    [
        ([2.0, 4.0], [6.0, 9.0], True, {"ratio": 2.5, "unfinished": None, "ratio_is_lower_bound": False}),
        ([2.0], [], False, {"ratio": 50.0, "unfinished": "transformers", "ratio_is_lower_bound": True}),
        ([], [], False, {"ratio": None, "unfinished": "depth_pro_ros", "ratio_is_lower_bound": True}),
        ([2.0], None, True, {"ratio": None, "unfinished": None, "ratio_is_lower_bound": False}),
    ],
)
def test_ratios_by_hand(ours, theirs, finished, expected):
    seconds = {"depth_pro_ros": ours} | ({} if theirs is None else {"transformers": theirs})
    assert benchmark_against.summary(seconds, finished, limit=100.0) == expected


def test_a_size_is_two_numbers():
    assert benchmark_against.size_of("640x480") == (640, 480)
    with pytest.raises(ConfigurationError, match="'640'"):
        benchmark_against.size_of("640")


def test_every_subject_gets_the_flags_that_it_takes(monkeypatch):
    calls = []
    monkeypatch.setattr(benchmark.subprocess, "call", lambda command: calls.append(command[2:]) or len(calls) % 2)
    assert main.main(["benchmark", "--quick", "scenes", "--kinds", "aisle", "street", "--threads", "2"]) == 1
    assert calls == [["depth_pro_ros.cli.benchmark_scenes", "--quick", "--threads", "2", "--kinds", "aisle", "street"]]
    calls.clear()
    assert main.main(["benchmark", "--json", "--threads", "2"]) == 1, "the worst status counts"
    assert len(calls) == len(benchmark.PROGRAMS) and all("--json" in call for call in calls)
    against = ["depth_pro_ros.cli.benchmark_against", "network", "--json", "--preset", "tiny", "--threads", "2"]
    assert calls[0] == against
    assert ["depth_pro_ros.cli.benchmark_stereo", "--json"] in calls


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["node", "--profile", "trace.json"], "takes no --profile"),
        (["stereo", "--preset", "tiny"], "it is for network"),
        (["--profile", "trace.json"], "name one of"),
    ],
)
def test_a_flag_that_a_subject_does_not_take_is_refused(arguments, reason, capsys):
    assert main.main(["benchmark", *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("subject", [name for name in benchmark.PROGRAMS if name not in benchmark.NODES])
def test_the_programs_take_the_flags_that_are_passed_on(subject, capsys):
    """A program's help names each flag that the command's table passes on to it, and no other."""
    module = importlib.import_module(benchmark.PROGRAMS[subject][0])
    with pytest.raises(SystemExit):
        module.main([*benchmark.PROGRAMS[subject][1:], "--help"])
    told = set(re.findall(r"--([a-z-]+)", capsys.readouterr().out.split("options:")[1])) - {"help"}
    passed = {name for name, (subjects, _) in benchmark.FLAGS.items() if subject in subjects}
    if subject in benchmark.NETWORK:  # one program for three
        assert passed <= told
    else:
        assert told == passed
