"""The benchmark of the landmark step: that it measures a step that finds landmarks."""

import json

from depth_pro_ros.cli import benchmark_motion


def test_figures(capsys):
    assert benchmark_motion.main(["--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    print(report)
    assert report["landmarks"] > 150 and report["tracks"] == 300
    assert all(report[name] > 0 for name in ("step_ms", "step_cpu_ms", "bare_ms", "bare_cpu_ms", "ratio"))
