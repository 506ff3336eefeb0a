"""`depth_pro_ros benchmark [SUBJECT]`: figures of this machine, as ratios taken within one run.

Shared machines vary from minute to minute, so every figure that is worth comparing is a ratio of two
contenders that took turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

from depth_pro_ros.errors import ConfigurationError

NETWORK = ("network", "end_to_end", "memory")
PREDICTOR = ("stages", "incremental")
CORE = (*PREDICTOR, "stereo", "motion", "fusion", "propagation", "scenes")
NODES = ("conversions", "node", "transport")

# Each is a program of its own, whose imports the others do not pay for: its module, and what it is called with first.
PROGRAMS: dict[str, tuple[str, ...]] = {
    **{name: ("depth_pro_ros.cli.benchmark_against", name) for name in NETWORK},
    **{name: (f"depth_pro_ros.cli.benchmark_{name}",) for name in CORE},
    **{name: (f"depth_pro_ros.ros.benchmarks.{name}",) for name in NODES},
}

# Flag: which subjects take it, and how it is parsed. Defaults are the subjects' own.
FLAGS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "quick": ((*PROGRAMS,), {"action": "store_true", "help": "a shorter run, for a first impression"}),
    "json": ((*PROGRAMS,), {"action": "store_true", "help": "print one JSON object for each subject"}),
    "profile": ((*NETWORK[:2], *CORE), {"metavar": "FILE", "help": "write a trace for Chrome (one subject, no node)"}),
    "preset": ((*NETWORK, *PREDICTOR), {"help": "depth_pro, tiny or micro"}),
    "precision": ((*NETWORK, *PREDICTOR), {"nargs": "+", "help": "float32, bfloat16, float16 or auto"}),
    "device": ((*PREDICTOR, "scenes"), {"help": "cpu or cuda"}),
    "threads": ((*NETWORK, *PREDICTOR, "scenes"), {"type": int, "help": "of torch"}),
    "repeats": (NETWORK, {"type": int, "help": "turns of each contender"}),
    "warm-up": (NETWORK, {"action": "store_true", "help": "one turn each that does not count"}),
    "size": (("end_to_end",), {"metavar": "WxH", "help": "of the image, pixels"}),
    "limit": (NETWORK, {"type": float, "metavar": "S", "help": "seconds that one pass may take"}),
    "exact": (NETWORK[:2], {"action": "store_true", "help": "compare with transformers' float32 as well"}),
    "no-memory": (NETWORK, {"action": "store_true", "help": "leave the memory of each contender out"}),
    "no-node": (("propagation",), {"action": "store_true", "help": "leave depth_node's flight out"}),
    "scenes": (("incremental",), {"nargs": "+", "metavar": "SCENE", "help": "foot, middle, flight"}),
    "frames": (("incremental",), {"type": int, "help": "of each scene, of which the first does not count"}),
    "kinds": (("scenes",), {"nargs": "+", "metavar": "KIND", "help": "of worlds"}),
}
SUBJECTS = """subjects (default: all, with a small network):
  network       the network against transformers' (if installed): speed and memory
  end_to_end    an image of 640x480 to depth, against transformers' network
  memory        the peak of loading and running, above the interpreter
  stages        decode, resize, metric and cloud beside plain copies; the network's parts
  incremental   video: speed, operations and error against the plain network, hovering and flying
  propagation   depth carried to the next frame, against a plain z-buffer
  stereo        against one bare SGBM call
  motion        the landmark step against bare Lucas-Kanade calls
  fusion        against the stereo that makes its cue
  scenes        images rendered a second
  conversions   messages to arrays and back, beside plain copies
  node          depth_node over DDS: what it adds to the network
  transport     large messages over DDS"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = SUBJECTS
    parser.add_argument(
        "what", nargs="?", choices=("all", *PROGRAMS), default="all", metavar="SUBJECT", help="see below"
    )
    for name, (subjects, how) in FLAGS.items():
        whose = "" if len(subjects) == len(PROGRAMS) else f" ({', '.join(subjects)})"
        parser.add_argument(f"--{name}", **{**how, "help": how["help"] + whose})


def run(args: argparse.Namespace) -> int:
    """Measure one subject, or all one after the other; return the greatest exit status.

    Raises ConfigurationError for a flag that the subject does not take.
    """
    if args.what != "all":
        return measure(args.what, flags_for(args.what, args))
    if args.profile:
        raise ConfigurationError(f"a trace is of one subject: name one of {', '.join(FLAGS['profile'][0])}")
    args.preset = args.preset or "tiny"
    return max(measure(name, flags_for(name, args)) for name in PROGRAMS)


def flags_for(subject: str, args: argparse.Namespace) -> list[str]:
    """Return the given flags as words; with `all`, those that `subject` takes."""
    words = []
    for name, (subjects, how) in FLAGS.items():
        value = getattr(args, name.replace("-", "_"))
        if value in (None, False):
            continue
        if subject in subjects:
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}", *([] if how.get("action") else map(str, values))]
        elif args.what != "all":
            raise ConfigurationError(f"'{subject}' takes no --{name}; it is for {', '.join(subjects)}")
    return words


def measure(subject: str, flags: list[str]) -> int:
    """Run the program of one subject and return its exit status."""
    return subprocess.call([sys.executable, "-m", *PROGRAMS[subject], *flags])
