"""Two gloo processes on this machine do what one does with the joint batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import two_processes

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training import distributed

SCRIPT = Path(two_processes.__file__)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(what: str, folder: Path, project: Path) -> list[dict[str, torch.Tensor]]:
    """Run two processes as torchrun would, and return what each wrote."""
    path = os.pathsep.join([str(project), str(project / "test"), os.environ.get("PYTHONPATH", "")])
    launched = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common = {**os.environ, **launched, "PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), what, str(folder)]
    processes = [
        subprocess.Popen(command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                         stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    return [torch.load(folder / f"rank_{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path, project):
    one = two_processes.gradients(rank=0, world=1)
    two = started("gradients", tmp_path, project)
    largest = max(float((one[name] - each[name]).abs().max()) for each in two for name in one)
    print(f"largest difference of a gradient between one and two processes: {largest:.1e}")
    assert one.keys() == two[0].keys() == two[1].keys()
    assert largest < 1e-6
    assert all(torch.equal(two[0][name], two[1][name]) for name in one)


@pytest.mark.slow
def test_two_processes_train_to_the_same_weights_as_one(tmp_path, project):
    (tmp_path / "two").mkdir()
    first, second = started("train", tmp_path / "two", project)
    one = two_processes.train(tmp_path / "one")
    assert all(torch.equal(first[name], second[name]) for name in first)
    close = [float((one[name] - first[name]).abs().median()) for name in one]
    assert max(close) < 1e-5  # Adam's first steps turn a difference of a tiny gradient's sign into one of the rate
    assert (tmp_path / "two" / "run" / "last.pt").exists()
    assert len((tmp_path / "two" / "run" / "log.jsonl").read_text().splitlines()) == 3  # one process writes


def test_without_torchrun_everything_is_as_it_was():
    gradient = torch.nn.Parameter(torch.ones(2))
    gradient.grad = torch.tensor([1.0, 2.0])
    distributed.sum_gradients([gradient])
    assert gradient.grad.tolist() == [1.0, 2.0]
    assert (distributed.rank(), distributed.world(), distributed.active()) == (0, 1, False)
    assert distributed.sum_number(3, torch.device("cpu")) == 3
    assert distributed.sum_terms({"a": 1.0}) == {"a": 1.0}
    assert distributed.any_of(True, torch.device("cpu")) and not distributed.any_of(False, torch.device("cpu"))


def test_half_an_environment_of_torchrun_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="torchrun"), distributed.group(torch.device("cpu")):
        pass
