"""`depth_pro_ros web`: the drag-and-drop page; see `depth_pro_ros.web`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import webbrowser
from typing import Any

from depth_pro_ros.cli import photos
from depth_pro_ros.cli.predict_arguments import add_max_range, positive
from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference import Predictor
from depth_pro_ros.inference.weights import cache_folder
from depth_pro_ros.web import server
from depth_pro_ros.web.limits import Limits
from depth_pro_ros.web.studio import Studio
from depth_pro_ros.web.weights import EMBEDDED, Worker, choices

DONE = 0
DEFAULTS = Limits()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--weights",
        default=EMBEDDED,
        metavar="NAME|PATH",
        help=f"offered first, beside the embedded ones and those in {cache_folder()}; default: %(default)s",
    )
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps; default: %(default)s")
    parser.add_argument("--precision", default="auto", help="default: %(default)s, which suits the device")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, which only this machine reaches")
    parser.add_argument("--port", type=int, default=7860, help="0 finds a free one; default: %(default)s")
    parser.add_argument("--max-mb", type=positive, default=DEFAULTS.max_mb, help="largest file; default: %(default)s")
    parser.add_argument(
        "--max-megapixels", type=positive, default=DEFAULTS.max_megapixels, help="largest photo; default: %(default)s"
    )
    add_max_range(parser)
    parser.add_argument("--open", action="store_true", help="open the page in this machine's browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted; return 0.

    Raises ConfigurationError without Gradio or when the port is taken, CheckpointError for weights that fail.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigurationError(
            "the page needs Gradio, which is not installed here: pip install -r requirements/web.txt (the extra [web])"
        )
    limits = Limits(args.max_mb, args.max_megapixels)
    worker = Worker(choices(cache_folder(), args.weights), lambda weights: _load(weights, args))
    try:
        with server.listen(args.host, args.port) as listening, server.private_folder() as folder:
            if not server.is_loopback(args.host):
                _note(f"whoever reaches {args.host} can use this page: there is no password")
            worker.use(next(iter(worker.offered)))
            studio = Studio(worker, photos.read, limits, folder)
            server.serve(studio, listening, args.host, lambda url: _ready(url, args.open))
    except KeyboardInterrupt:
        _note("the page is closed")
    return DONE


def _load(weights: str, args: argparse.Namespace) -> Any:
    """Return a predictor that has run once, so that the first photo does not pay for it."""
    predictor = Predictor.load(weights, args.device, args.precision, args.max_range, log=_note)
    predictor.warm_up()
    return predictor


def _ready(url: str, show: bool) -> None:
    print(f"depth_pro_ros: the page is at {url} (Ctrl+C closes it)", flush=True)
    if show:
        webbrowser.open(url)


def _note(line: str) -> None:
    print(f"depth_pro_ros: {line}", file=sys.stderr, flush=True)
