"""What each of the processes of test_distributed.py does; started with torchrun's environment.

    python two_processes.py gradients|train FOLDER

Writes the gradients of one joint batch, or the weights after a short training, into FOLDER as rank_N.pt.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from training.standin import render

from depth_pro_ros.training import distributed, optimisation, stepping
from depth_pro_ros.training.curriculum import Augmentation, DataSet, Objective, Recipe, Stage
from depth_pro_ros.training.data import SceneStream
from depth_pro_ros.training.feed import Feed
from depth_pro_ros.training.loop import Settings, Trainer, random_network
from depth_pro_ros.training.stepping import Compute

CPU = Compute(torch.device("cpu"))
STAGE = Stage("a", 3, 4, "quarter", (Objective("scenes", (("mse", 1.0), ("mae", 1.0))),), 1e-3, 1e-3,
              augmentation=Augmentation(noise=0.5))  # fmt: skip
RECIPE = Recipe("two", "micro", (DataSet("scenes", world="x", side=128),), (STAGE,))


def gradients(rank: int, world: int) -> dict[str, torch.Tensor]:
    """Return the joint batch's gradients. Its first image and half of its second are unknown: shares are unequal."""
    feed = Feed({"scenes": SceneStream("x", 128, 0, render)}, 0, rank, world)
    batch = feed.batch(STAGE, 0, 0, 0, 128)
    if rank == 0:
        batch.mask[0] = False
        batch.mask[1, :, :64] = False
    network = random_network(RECIPE)
    optimisation.set_trainable(network, STAGE)
    terms = stepping.backward(network, STAGE, batch, CPU.scaler(), CPU)
    distributed.sum_gradients([parameter for parameter in network.parameters() if parameter.requires_grad])
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {**found, "loss": torch.tensor(distributed.sum_terms(terms)["loss"])}


def train(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights after a short training."""
    trainer = Trainer(RECIPE, folder / "run", {"scenes": SceneStream("x", 128, 0, render)},
                      replace(Settings(), log_every=1, validate_every=0))  # fmt: skip
    trainer.run()
    return trainer.network.state_dict()


def main() -> None:
    """Do what the arguments say as one of the processes that the environment describes."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    with distributed.group(CPU.device):
        rank = distributed.rank()
        result = gradients(rank, distributed.world()) if what == "gradients" else train(folder)
        torch.save(result, folder / f"rank_{rank}.pt")


if __name__ == "__main__":
    main()
