"""Loading weights takes about one copy of them in memory."""

import subprocess
import sys

import pytest
import torch

from depth_pro_ros.network import NetworkConfig, build, save

WIDE = NetworkConfig(128, 16, 512, 6, 8, (1, 3), (64, 64, 64), 16)  # 59 M parameters

LOAD = "network.load(sys.argv[1], dtype=getattr(torch, sys.argv[2]))"
SCRIPT = """
import sys, torch
from depth_pro_ros import network
{}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak_mb(path, dtype, doing=LOAD):
    command = [sys.executable, "-c", SCRIPT.format(doing), str(path), dtype]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


@pytest.mark.parametrize("layout", ["native", "apple", "transformers"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peak_is_about_one_copy(layout, dtype, tmp_path):
    network = build(WIDE)
    name = {"native": "a.safetensors", "apple": "a.pt", "transformers": "hf"}[layout]
    path = save(network, tmp_path / name, layout)
    count = sum(parameter.numel() for parameter in network.parameters())
    copy_mb = count * torch.empty(0, dtype=getattr(torch, dtype)).element_size() / 2**20
    taken = peak_mb(path, dtype) - peak_mb(path, dtype, "pass")
    assert 0.9 * copy_mb < taken < 1.25 * copy_mb + 40


@pytest.mark.parametrize("doing", ["simplify(network)", "quantise_linears(network)"])
def test_folding_and_rounding_need_no_second_copy(doing, tmp_path):
    """Layers are replaced one by one."""
    path = save(build(WIDE), tmp_path / "a.safetensors")
    script = f"from depth_pro_ros.network.quantise import quantise_linears, simplify; network = {LOAD}"
    loaded = peak_mb(path, "float32", script)
    assert peak_mb(path, "float32", f"{script}; {doing}") < 1.05 * loaded + 40
