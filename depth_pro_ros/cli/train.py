"""`depth_pro_ros train`: scenes or folders of RGB-D in; weights out.

The folder --output receives last.pt and previous.pt (the state, to resume exactly), log.jsonl, validation_*.png and,
where TensorBoard is installed, its files. A run that is interrupted, or whose --limit-minutes are over,
ends with its state saved; --resume goes on from it. With torchrun several processes share each batch.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from depth_pro_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from depth_pro_ros.training.curriculum import DataSet, Recipe
    from depth_pro_ros.training.data import Source
    from depth_pro_ros.training.loop import Settings, Trainer

DONE, STOPPED = 0, 3
ALL = "*"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = f"exit status: {DONE} when every stage is done, {STOPPED} when stopped before (use --resume)"
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="state, log and pictures")
    parser.add_argument("--recipe", default="tiny_robot", help="default: %(default)s")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --output")
    parser.add_argument(
        "--init", metavar="WEIGHTS", help="start from this checkpoint (any layout) instead of at random"
    )
    _add_data_arguments(parser.add_argument_group("data"))
    _add_recipe_arguments(parser.add_argument_group("changes to the recipe"))
    _add_run_arguments(parser.add_argument_group("running"))


def _add_data_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data", nargs="+", default=[], type=assignment, metavar="NAME=FOLDER", help="folders of RGB-D, by data set"
    )
    group.add_argument(
        "--cache", metavar="FOLDER", type=Path, help="render scenes once into here (default: on the fly)"
    )
    group.add_argument(
        "--cache-count", nargs="+", default=[], type=count, metavar="[NAME=]N", help="scenes in a cache (10000)"
    )
    group.add_argument(
        "--first-seed", type=int, default=0, metavar="N", help="of the scenes, to go on with unseen ones; default: 0"
    )
    group.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes that render; default: %(default)s"
    )
    group.add_argument("--prepare", action="store_true", help="only render the caches that the recipe needs, then end")


def _add_recipe_arguments(group: argparse._ArgumentGroup) -> None:
    for option, unit in (("--stage-steps", "steps"), ("--batch", "images a step")):
        group.add_argument(option, nargs="+", default=[], type=count, metavar="[STAGE=]N", help=f"{unit}, by stage")
    group.add_argument(
        "--rate", nargs="+", default=[], type=factor, metavar="[STAGE=]X", help="factor of learning rates"
    )
    group.add_argument("--freeze", nargs="+", default=[], metavar="PART", help="encoder, coarse, depth, norm: always")
    group.add_argument("--preset", help="network to train; default: the recipe's")
    group.add_argument("--seed", type=int, help="of weights and data; default: the recipe's")
    group.add_argument("--finish-stage", action="store_true", help="with --resume: go to the next stage at once")


def _add_run_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", default="auto", help="auto, cpu or cuda; default: %(default)s")
    group.add_argument("--precision", default="auto", help="auto (float32 on CPU), float32, bfloat16, float16")
    group.add_argument("--threads", type=int, help="CPU threads; default: PyTorch's choice")
    group.add_argument("--micro-batch", type=int, metavar="N", help="images at once; the batch is accumulated")
    group.add_argument("--log-every", type=int, default=20, metavar="STEPS", help="default: %(default)s")
    group.add_argument(
        "--validate-every", type=int, default=500, metavar="STEPS", help="0: never; default: %(default)s"
    )
    group.add_argument("--validation-images", type=int, default=64, metavar="N", help="default: %(default)s")
    group.add_argument("--checkpoint-minutes", type=float, default=5.0, metavar="M", help="default: %(default)s")
    group.add_argument("--limit-minutes", type=float, metavar="M", help="stop after this long, with the state saved")
    group.add_argument(
        "--export", metavar="FILE", type=Path, help="afterwards, write the averaged weights (.safetensors)"
    )
    group.add_argument("--export-dtype", default="float16", help="float16, bfloat16, float32; default: %(default)s")


def assignment(text: str) -> tuple[str, str]:
    """Return NAME=VALUE as a pair."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name, value


def count(text: str) -> tuple[str, int]:
    """Return [NAME=]N as (name or "*", N)."""
    name, value = assignment(text) if "=" in text else (ALL, text)
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not [NAME=]N with a whole number N")
    return name, int(value)


def factor(text: str) -> tuple[str, float]:
    """Return [NAME=]X as (name or "*", X), X positive."""
    name, value = assignment(text) if "=" in text else (ALL, text)
    if not float(value) > 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not [NAME=]X with a positive number X")
    return name, float(value)


def run(args: argparse.Namespace) -> int:
    """Train; return 0 when every stage is done, 3 when stopped before. Raises the package's errors."""
    import torch

    from depth_pro_ros.allocator import keep_everything
    from depth_pro_ros.training import distributed, recipes

    keep_everything()
    if args.threads:
        torch.set_num_threads(args.threads)
    recipe = changed(recipes.find(args.recipe), args)
    settings = make_settings(args)
    with distributed.group(settings.compute.device):
        sources = {data.name: make_source(data, args) for data in recipe.data if _has_images(data, args)}
        if args.prepare:
            for source in sources.values():
                source.prepare()
            return DONE
        trainer = make_trainer(recipe, sources, settings, args)
        return train(trainer, args)


def train(trainer: Trainer, args: argparse.Namespace) -> int:
    """Run the trainer and say how it ended."""
    from depth_pro_ros.training import distributed
    from depth_pro_ros.training.export import export

    if args.finish_stage:
        trainer.finish_stage()
    reason = trainer.run()
    place = trainer.progress
    if distributed.rank() == 0:
        if args.export:
            trainer.journal.say(f"weights written to {export(trainer, args.export, args.export_dtype)}")
        where = f"{place.images} images in {place.seconds / 60:.1f} min; state in {args.output}"
        if reason:
            trainer.journal.say(
                f"stopped in stage {trainer.stage.name}, step {place.step}: {reason}; {where}; --resume"
            )
        else:
            trainer.journal.say(f"every stage is done: {where}")
    return STOPPED if reason else DONE


def changed(recipe: Recipe, args: argparse.Namespace) -> Recipe:
    """Return the recipe with what the command line changes; raises ConfigurationError."""
    from dataclasses import replace

    from depth_pro_ros.network import PRESETS

    stages = {stage.name: stage for stage in recipe.stages}
    rates = by_stage(args.rate, stages)
    by_field = {
        "steps": by_stage(args.stage_steps, stages),
        "batch": by_stage(args.batch, stages),
        "frozen": {name: (*stage.frozen, *args.freeze) for name, stage in stages.items() if args.freeze},
        **{
            part: {name: getattr(stages[name], part) * by for name, by in rates.items() if name in stages}
            for part in ("encoder_rate", "decoder_rate", "fov_rate")
        },
    }
    recipe = recipe.changed(**by_field)
    preset, seed = args.preset or recipe.preset, recipe.seed if args.seed is None else args.seed
    if preset not in PRESETS or seed < 0:
        raise ConfigurationError(f"preset '{preset}', seed {seed}: presets are {sorted(PRESETS)}, seeds are 0 or more")
    return replace(recipe, preset=preset, seed=seed)


def by_stage(values: list, stages) -> dict:
    """Return {stage: value}: a value without a stage is for all, one with a stage for that one."""
    result = {name: value for everyone, value in values if everyone == ALL for name in stages}
    result.update({name: value for name, value in values if name != ALL})
    return result


def make_settings(args: argparse.Namespace) -> Settings:
    """Return how the training runs; raises ConfigurationError for a device or precision that is not there."""
    import torch

    from depth_pro_ros.training.loop import Settings
    from depth_pro_ros.training.stepping import DTYPES, Compute

    cuda = torch.cuda.is_available()
    name = ("cuda" if cuda else "cpu") if args.device == "auto" else args.device
    if name.split(":")[0] not in ("cpu", "cuda") or (name.startswith("cuda") and not cuda):
        raise ConfigurationError(f"device '{args.device}': this machine has cpu{' and cuda' if cuda else ', no cuda'}")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    precision = args.precision
    if precision == "auto":
        precision = "float32" if name == "cpu" else "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if precision not in DTYPES or (name == "cpu" and precision == "float16"):
        raise ConfigurationError(f"precision '{args.precision}' on {name}: allowed are auto, float32, bfloat16"
                                 f"{'' if name == 'cpu' else ', float16'}")  # fmt: skip
    return Settings(
        compute=Compute(torch.device(name), DTYPES[precision], args.micro_batch),
        log_every=args.log_every,
        validate_every=args.validate_every,
        validation_images=args.validation_images,
        checkpoint_minutes=args.checkpoint_minutes,
        limit_minutes=args.limit_minutes,
    )


def _has_images(data: DataSet, args: argparse.Namespace) -> bool:
    """Tell whether the data set has a world or a folder; a stage that needs another one says so itself."""
    return data.world is not None or data.name in dict(args.data)


def make_source(data: DataSet, args: argparse.Namespace) -> Source:
    """Return the images of a data set: its folder, else its cache, else scenes rendered on the fly."""
    from depth_pro_ros.training.cache import SceneCache
    from depth_pro_ros.training.data import TRAINING_SEEDS, SceneStream
    from depth_pro_ros.training.folders import RgbdFolder

    folders, counts = dict(args.data), dict(args.cache_count)
    if data.name in folders:
        return RgbdFolder(Path(folders[data.name]), data)
    number = counts.get(data.name, counts.get(ALL, 10_000)) if args.cache else 1
    if args.first_seed not in TRAINING_SEEDS or args.first_seed + number > len(TRAINING_SEEDS):
        raise ConfigurationError(
            f"{number} scenes of '{data.name}' from seed {args.first_seed}: seeds are {TRAINING_SEEDS.start} to "
            f"{TRAINING_SEEDS.stop - 1}, the rest are for tests"
        )
    if args.cache is None:
        return SceneStream(data.world, data.side, args.first_seed)
    return SceneCache(args.cache / data.name, data.world, number, data.side, args.first_seed, args.workers)


def make_trainer(recipe: Recipe, sources: dict[str, Source], settings: Settings, args: argparse.Namespace) -> Trainer:
    """Return a trainer that begins, or resumes with --resume."""
    from depth_pro_ros.network import PRESETS, load
    from depth_pro_ros.training import checkpoints
    from depth_pro_ros.training.cache import SceneCache
    from depth_pro_ros.training.data import VALIDATION_SEED
    from depth_pro_ros.training.loop import Trainer

    if not args.resume and (args.output / checkpoints.LAST).exists():
        raise ConfigurationError(f"'{args.output}' holds a training: go on with --resume, or give another --output")
    if args.finish_stage and not args.resume:
        raise ConfigurationError("--finish-stage is for --resume: there is no stage to finish yet")
    home = args.cache or args.output
    validation = {
        data.name: SceneCache(
            home / f"validation_{data.name}",
            data.world,
            args.validation_images,
            data.side,
            VALIDATION_SEED,
            args.workers,
        )
        for data in recipe.data
        if data.world is not None and args.validate_every
    }
    network = load(args.init, PRESETS[recipe.preset]) if args.init else None
    trainer = Trainer(recipe, args.output, sources, settings, validation, network)
    if args.resume:
        trainer.resume()
    return trainer
