"""`depth_pro_ros claims`: what the paper says of its training, tried with a small network; a table comes out.

Every contender trains in a folder of its own below --output and resumes there, so an interrupted trial loses nothing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depth_pro_ros.training.claims import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="the contenders' states")
    parser.add_argument("--scenes", type=int, default=4096, metavar="N", help="to train on; default: %(default)s")
    parser.add_argument("--held-out", type=int, default=128, metavar="N", help="to measure on; default: %(default)s")
    parser.add_argument(
        "--steps", nargs=3, type=int, default=(1500, 750, 750), metavar=("FIRST", "SECOND", "FOCAL"),
        help="of the first stage, of what follows it, of the focal branch; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="images a step; default: %(default)s")
    parser.add_argument("--cache", metavar="FOLDER", type=Path, help="rendered scenes; default: in --output")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that render")
    parser.add_argument("--threads", type=int, help="CPU threads; default: PyTorch's choice")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Train and measure the contenders, print the table; return 0. Raises the package's errors."""
    import torch

    from depth_pro_ros.allocator import keep_everything
    from depth_pro_ros.training.cache import SceneCache
    from depth_pro_ros.training.claims import DATA, Budget, Trial
    from depth_pro_ros.training.data import TRAINING_SEEDS, VALIDATION_SEED
    from depth_pro_ros.training.loop import Settings

    keep_everything()
    if args.threads:
        torch.set_num_threads(args.threads)
    home = args.cache or args.output

    def cached(name: str, number: int, first_seed: int) -> SceneCache:
        scenes = SceneCache(home / name, DATA.world, number, DATA.side, first_seed, args.workers)
        scenes.prepare()
        return scenes

    source = cached(DATA.name, args.scenes, TRAINING_SEEDS.start)
    held_out = cached(f"validation_{DATA.name}", args.held_out, VALIDATION_SEED)
    settings = Settings(log_every=50, validate_every=0, validation_images=args.held_out)
    trial = Trial(args.output, source, held_out, Budget(*args.steps, args.batch), settings)
    outcomes = []
    for outcome in trial.outcomes():
        outcomes.append(outcome)
        print(row(outcome), flush=True)
    print("\n" + table(outcomes))
    if args.json:
        from depth_pro_ros.outputs.files import write_json

        write_json(args.json, {"outcomes": [vars(outcome) for outcome in outcomes]})
    return 0


def row(outcome: Outcome) -> str:
    """Return one line of the table, in Markdown."""
    measures = ", ".join(f"{name} {value:.3f}" for name, value in outcome.measures.items())
    return f"| {outcome.claim} | {outcome.contender} | {outcome.steps} | {measures} |"


def table(outcomes: list[Outcome]) -> str:
    """Return the table, in Markdown."""
    return "\n".join(["| claim | contender | steps | on held-out scenes |", "|---|---|---|---|", *map(row, outcomes)])
