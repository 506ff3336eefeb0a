"""The benchmark's pair is what it says, and its figures are consistent."""

import json

import numpy as np

from depth_pro_ros.cli import benchmark_stereo
from depth_pro_ros.matching.disparity import StereoMatcher


def test_the_pair_has_the_disparity_that_it_claims():
    left, right = benchmark_stereo.synthetic_pair(320, 120)
    disparity = StereoMatcher(0, 64).match(left, right).disparity_px
    u = np.broadcast_to(np.arange(320), disparity.shape)
    expected = 10 + 50 / 320 * u
    known = np.isfinite(disparity)
    assert known.mean() > 0.7
    assert np.median(np.abs(disparity - expected)[known]) < 0.3


def test_it_prints_the_ratio(capsys):
    assert benchmark_stereo.main(["--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    print(f"stereo path: {report['ratio']:.2f} times one bare SGBM call")
    assert report["ratio"] > 1 and report["bare_ms"] > 0 and report["stereo_ms"] > report["bare_ms"]
