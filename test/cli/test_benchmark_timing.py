"""Turns, medians and ratios by hand; the report that every benchmark prints."""

import argparse
import json

import pytest

from depth_pro_ros.cli import benchmark_timing as timing
from depth_pro_ros.errors import ConfigurationError


def test_contenders_take_turns_and_the_first_does_not_count():
    now, order = [0.0], []

    def takes(name, seconds):
        def work():
            order.append(name)
            now[0] += seconds * len(order)

        return work

    turns = timing.in_turns({"a": takes("a", 1.0), "b": takes("b", 2.0)}, 2, clock=lambda: now[0])
    assert order == ["a", "b"] * 3
    assert turns == {"a": [3e3, 5e3], "b": [8e3, 12e3]}
    assert timing.medians(turns) == {"a": 4e3, "b": 10e3}
    assert timing.ratio(turns, "b", "a") == pytest.approx((8 / 3 + 12 / 5) / 2, abs=1e-3)


def arguments(*given):
    return timing.parser("thing", "Measures.").parse_args(given)


def test_a_report_has_the_machine_and_the_figures(capsys):
    assert timing.report(arguments("--json"), lambda args: {"ms": 1.5}, str) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ms"] == 1.5 and {"cpu", "cores", "python", "load"} <= printed["machine"].keys()
    assert timing.report(arguments(), lambda args: {"ms": 1.5}, lambda figures: f"{figures['ms']} ms") == 0
    machine, table = capsys.readouterr().out.splitlines()
    assert machine.startswith("cpu ") and table == "1.5 ms"


def test_an_error_on_purpose_is_one_line_and_status_2(capsys):
    def fails(args):
        raise ConfigurationError("too small")

    assert timing.report(arguments(), fails, str) == 2
    assert capsys.readouterr().err == "benchmark: too small\n"


def test_a_trace_is_written_where_it_is_wanted_and_refused_where_it_cannot_be(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    path = tmp_path / "trace.json"
    assert timing.report(arguments("--profile", str(path)), lambda args: {"sum": float(torch.ones(3).sum())}, str) == 0
    assert any(event.get("name") == "aten::sum" for event in json.loads(path.read_text())["traceEvents"])
    missing = arguments("--profile", str(tmp_path / "no" / "trace.json"))
    assert timing.report(missing, lambda args: pytest.fail("measured for nothing"), str) == 2
    assert "does not exist" in capsys.readouterr().err
    assert isinstance(missing, argparse.Namespace)
