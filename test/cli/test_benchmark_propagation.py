"""The benchmark of carried depth: that both contenders carry the same depth, and what it prints."""

import json

import numpy as np
import pytest

from depth_pro_ros.cli import benchmark_propagation as benchmark


def test_figures(capsys):
    assert benchmark.main(["--quick", "--json", "--no-node"]) == 0
    report = json.loads(capsys.readouterr().out)
    print(report)
    assert set(report["ms"]) == {"plain", "carried_only", "carried_and_filled"} and min(report["ms"].values()) > 0
    assert report["frames_per_s"] == pytest.approx(1e3 / report["ms"]["carried_and_filled"], rel=0.01)
    assert report["abs_rel_ours"] < 0.01 and report["abs_rel_ours"] < report["abs_rel_plain"] < 0.05
    assert 0.9 < report["carried_share"] <= report["covered_share"] <= 1.0
    assert "node" not in report


def test_the_plain_z_buffer_by_hand():
    camera = benchmark.Intrinsics(4, 1, 1.0, 1.0, 0.0, 0.0)
    T = np.eye(4)
    T[0, 3] = 2.0  # the view stands 2 m to the left, so that things at 1 m move by two pixels and at 2 m by one
    depth = np.array([[1.0, 2.0, np.nan, 1.0]], np.float32)
    carried = benchmark.z_buffer(depth, T, camera)
    np.testing.assert_allclose(carried, [[np.nan, np.nan, 1.0, np.nan]])
    np.testing.assert_allclose(benchmark.box_filled(carried), [[1.0, 1.0, 1.0, 1.0]])


def test_a_table_for_people():
    report = benchmark.measure(64, 48, 1)
    assert "64x48, one thread: plain" in benchmark.table(report)
    times = ("camera_hz", "network_s", "published_hz", "age_ms_p50", "age_ms_p95")
    node = dict.fromkeys((*times, "abs_rel", "error_ratio", "keyframes"), 3.0)
    lines = benchmark.table(report | {"node": node}).splitlines()
    assert len(lines) == 3 and "age 3 ms, p95 3 ms" in lines[2]
