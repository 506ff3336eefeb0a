"""`depth_pro_ros download`: Apple's published weights into the folder in which the nodes look by default."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from tqdm import tqdm

from depth_pro_ros.errors import CheckpointError, ConfigurationError
from depth_pro_ros.inference import sources, transfer
from depth_pro_ros.inference.sources import SOURCES, Licence, Source
from depth_pro_ros.inference.weights import cache_folder, locate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source",
        nargs="?",
        choices=SOURCES,
        default="apple",
        help="apple: depth_pro.pt from Apple's server; transformers: apple/DepthPro-hf from the Hugging Face hub (both "
        "1.9 GB, under different licences); default: %(default)s",
    )
    parser.add_argument("--accept-license", action="store_true", help="accept the licence without being asked")
    parser.add_argument("--url", metavar="ADDRESS", help="take the files from here, a mirror, instead")
    parser.add_argument("--sha256", type=checksum, metavar="HEX", help="accept a file with this checksum instead")
    parser.add_argument("--force", action="store_true", help="fetch again what is there already")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, and no progress bar")


def checksum(text: str) -> str:
    """Return a SHA-256 from the command line."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"{text} is no SHA-256, which has 64 hexadecimal digits")
    return text.lower()


def run(args: argparse.Namespace) -> int:
    """Fetch the weights of a source and return 0; raises CheckpointError or ConfigurationError."""
    source: Source = SOURCES[args.source]
    target = cache_folder() / source.target
    fetched = args.force or not target.exists()
    if fetched:
        _fetch(source, args)
    largest = [*source.files][-1]
    found, published = transfer.digest(target / largest if target.is_dir() else target), source.files[largest]
    if published and found not in (published, args.sha256):
        raise CheckpointError(
            f"'{target}' has the checksum {found}, but {published} is published: add --force to fetch it again"
        )
    record = {
        "source": args.source,
        "path": str(target),
        "fetched": fetched,
        "sha256": found,
        "licence": source.licence.name,
        "weights": source.preset,
    }
    if args.json:
        print(json.dumps(record, indent=2))
    else:
        print(_summary(record, target, source))
    return 0


def _fetch(source: Source, args: argparse.Namespace) -> None:
    text = sources.licence_text(source.licence)
    agree(source.licence, text, args.accept_license)
    try:
        files = sources.remote_files(source, args.url, args.sha256)
        if not any(file.digest for file in files):
            _note("no checksum is known for these files: they are checked by size and by opening them")
        with tqdm(unit="B", unit_scale=True, desc=source.target, disable=args.json) as bar:
            sources.install(source, files, text, lambda here, whole: _show(bar, here, whole))
    except transfer.Unreachable as error:
        raise CheckpointError(f"{error}: {sources.by_hand(source)}") from error


def agree(licence: Licence, text: str | None, accepted: bool) -> None:
    """Show a licence and have it accepted; raises ConfigurationError when it is not.

    A person at a terminal is asked. Everything else must bring `accepted`, and so must who could not be shown the text.
    """
    _note(text if text is not None else f"The text of the licence at {licence.url} could not be read.")
    _note(f"{licence.name}, {licence.url}\nIn short: {licence.gist}.")
    if accepted:
        _note("Accepted by --accept-license.")
    elif text is not None and sys.stdin.isatty():
        print("Type 'yes' to accept this licence: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() != "yes":
            raise ConfigurationError("the licence was not accepted, nothing was fetched")
    else:
        raise ConfigurationError(
            f"the weights come under a licence of their own ({licence.name}): read it at {licence.url}, and add "
            "--accept-license if you agree"
        )


def _show(bar: tqdm, here: int, whole: int | None) -> None:
    bar.total = whole
    bar.update(here - bar.n)


def _note(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _summary(record: dict[str, object], target: Path, source: Source) -> str:
    lines = [
        f"{'fetched' if record['fetched'] else 'already there (--force fetches it again)'}: {target}",
        f"SHA-256 {record['sha256']}",
        f"use it as weights '{source.preset}': depth_pro_ros predict PHOTO --weights {source.preset}, or the parameter "
        f"weights:={source.preset} of depth_node",
    ]
    first = locate(source.preset)
    if first != target:
        lines.append(f"but {first} comes first under that name: remove it, or give this path")
    return "\n".join(lines)
