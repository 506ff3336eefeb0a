"""The stages: each is beside a copy of the bytes it moves, and the parts belong to one network."""

import json

import pytest

from depth_pro_ros.cli import benchmark_stages


def test_figures(capsys):
    assert benchmark_stages.main(["--quick", "--json", "--preset", "micro", "--precision", "float32"]) == 0
    report = json.loads(capsys.readouterr().out)
    rows = {row["stage"]: row for row in report["stages"]}
    pixels = 1280 * 720
    expected_mb = {
        "decode bgr8": 2 * 3 * pixels,
        "resize": 3 * pixels + 512 * 512 * 3 * 4,
        "metric": 4 * 512 * 512 + 4 * pixels,
        "cloud, stride 2": (3 + 4 + 16) * pixels / 4,
        "cloud, stride 1": (3 + 4 + 16) * pixels,
    }
    assert {name: row["mb"] for name, row in rows.items()} == {
        name: pytest.approx(nbytes / 1e6, abs=0.01) for name, nbytes in expected_mb.items()
    }
    assert all(row["ms"] > 0 and row["copy_ms"] > 0 and row["ratio"] > 0 for row in rows.values())
    each = sum(row["ms"] for name, row in rows.items() if name != "cloud, stride 1")
    assert report["together_ms"] == pytest.approx(each, abs=0.01)
    assert report["network_ms"]["encoder"] > report["network_ms"]["of it image encoder"] > 0
    assert report["predictor"]["preset"] == "micro"
    assert "stride 2" in benchmark_stages.table(report)
