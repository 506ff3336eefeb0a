"""Loading weights takes about one copy of them in memory."""

import subprocess
import sys

import pytest
import torch

from depth_pro_ros.network import NetworkConfig, build, save

WIDE = NetworkConfig(128, 16, 512, 6, 8, (1, 3), (64, 64, 64), 16)  # 59 M parameters

SCRIPT = """
import resource, sys, torch
from depth_pro_ros import network
network.load(sys.argv[1], dtype=getattr(torch, sys.argv[2]))
before = int(sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_mb(path, dtype, code=SCRIPT):
    run = subprocess.run([sys.executable, "-c", code, str(path), dtype, "0"], capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.parametrize("layout", ["native", "apple", "transformers"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peak_is_about_one_copy(layout, dtype, tmp_path):
    network = build(WIDE)
    name = {"native": "a.safetensors", "apple": "a.pt", "transformers": "hf"}[layout]
    path = save(network, tmp_path / name, layout)
    count = sum(parameter.numel() for parameter in network.parameters())
    copy_mb = count * torch.empty(0, dtype=getattr(torch, dtype)).element_size() / 2**20
    idle = peak_mb(path, dtype, "import resource, torch, depth_pro_ros.network; "
                   "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)")
    assert peak_mb(path, dtype) - idle < 1.25 * copy_mb + 40
