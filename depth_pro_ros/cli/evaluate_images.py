"""One image after the other through the network: in this process or in several, and on again after an interruption."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from depth_pro_ros.cli.evaluate_journal import Journal, Record
from depth_pro_ros.cli.evaluate_sources import Images
from depth_pro_ros.errors import CalibrationError, DepthProError, InferenceError
from depth_pro_ros.evaluation.figures import image_figures
from depth_pro_ros.evaluation.guesses import thin
from depth_pro_ros.evaluation.rgbd import Sample
from depth_pro_ros.records import DepthMap

GIVEN, ESTIMATED = "given", "estimated"
PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class Work:
    """What is to be done with each image, and the arguments that load the network elsewhere."""

    images: Images
    focal: str
    max_depth_m: float | None
    weights: str
    device: str
    precision: str

    @property
    def identity(self) -> dict[str, Any]:
        """Return what must stay the same for an interrupted evaluation to go on."""
        settings = {"focal": self.focal, "max_depth_m": self.max_depth_m, "precision": self.precision}
        return {**self.images.identity, **settings, "weights": _file_identity(self.weights)}


def _file_identity(weights: str) -> list[str | int]:
    """Return the weights' file with its size and time, so that another file of its name is told apart."""
    from depth_pro_ros.inference.weights import locate

    path = locate(weights)
    if path is None:
        return [weights]
    facts = path.stat()
    return [str(path.resolve()), facts.st_size, facts.st_mtime_ns]


def predict(predictor: Any, sample: Sample, focal: str) -> DepthMap:
    """Return the depth of a sample at the focal length given, or estimated; raises CalibrationError for none."""
    if focal == GIVEN and sample.intrinsics is None:
        raise CalibrationError("its focal length is not known: give --focal estimated, or add intrinsics")
    camera = sample.intrinsics if focal == GIVEN else None
    return predictor.predict(sample.rgb, intrinsics=camera, estimate_focal=True)


def evaluate_one(work: Work, index: int, predictor: Any) -> Record:
    """Return the record of image `index`; an error of this package names the image."""
    sample = work.images.read(index)
    try:
        depth = predict(predictor, sample, work.focal)
        figures = image_figures(
            sample, depth.depth_m, depth.focal_estimated_px, depth.focal_px, work.max_depth_m, work.images.exact
        )
    except DepthProError as error:
        raise type(error)(f"{sample.name}: {error}") from error
    return Record(figures, None if sample.depth_m is None else thin(sample.depth_m))


def evaluate_all(work: Work, predictor: Any, workers: int = 1, folder: Path | None = None) -> list[Record]:
    """Return the records of all images in order; the first error ends it.

    With more than one of `workers` as many processes load the network themselves. With a `folder` each record is kept
    there until all are done, so that the same call after an interruption does only what is missing.
    """
    names = work.images.names()
    journal = None if folder is None else Journal(folder / PROGRESS, work.identity)
    done = {} if journal is None else journal.read()
    missing = [index for index, name in enumerate(names) if name not in done]
    runs = _in_processes(work, missing, workers) if workers > 1 else _here(work, missing, predictor)
    with tqdm(total=len(names), initial=len(names) - len(missing), unit="image", desc=work.images.name) as bar:
        for record in runs:
            done[record.figures.name] = record
            if journal is not None:
                journal.add(record)
            bar.update()
    if journal is not None:
        journal.remove()
    return [done[name] for name in names]


def _here(work: Work, indices: list[int], predictor: Any) -> Iterator[Record]:
    return (evaluate_one(work, index, predictor) for index in indices)


_do: Callable[[int], Record] | None = None  # of a worker process


def _in_processes(work: Work, indices: list[int], workers: int) -> Iterator[Record]:
    """Yield records as they come; what is not begun when one fails is not begun any more."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(indices))), context, _begin, (work, threads)) as pool:
        try:
            for future in as_completed([pool.submit(_work_on, index) for index in indices]):
                yield future.result()
        except BrokenProcessPool as error:
            raise InferenceError(f"a worker process died ({error}); use fewer --workers if memory ran out") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(work: Work, threads: int) -> None:
    """Remember the work in a new process; the network is loaded with the first image, where errors find their way."""
    global _do
    predictors: list[Any] = []

    def do(index: int) -> Record:
        if not predictors:
            import torch

            torch.set_num_threads(threads)
            predictors.append(load_predictor(work.weights, work.device, work.precision, lambda _line: None))
        return evaluate_one(work, index, predictors[0])

    _do = do


def _work_on(index: int) -> Record:
    assert _do is not None
    return _do(index)


def load_predictor(weights: str, device: str, precision: str, log: Callable[[str], None]) -> Any:
    """Return the real predictor; PyTorch is imported here, after the arguments proved right."""
    from depth_pro_ros.inference import Predictor

    return Predictor.load(weights, device=device, precision=precision, log=log)
