"""Jobs worked off by this process or by several, with their results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from depth_pro_ros.cli.bag_images import Focal, FramePredictor, Job, Network, load_predictor
from depth_pro_ros.errors import InferenceError

AHEAD = 2  # jobs that wait for each worker, so that none is idle; each holds an image


@dataclass(frozen=True)
class Model:
    """What a worker loads, and how many threads its arithmetic may take (0: as PyTorch likes)."""

    network: Network
    focal: Focal
    scale: float
    threads: int = 0


class Workers(Protocol):
    """Whoever works off jobs."""

    description: dict[str, Any]

    def results(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, str | None]]:
        """Yield each job with its problem (None: it is done), in their order."""


class InProcess:
    """This process works."""

    def __init__(self, frame_predictor: FramePredictor) -> None:
        self._work = frame_predictor
        self.description = frame_predictor.description

    def results(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, str | None]]:
        """Yield each job with its problem; see `Workers`."""
        for job in jobs:
            yield job, self._work(job)


class Processes:
    """Several spawned processes work, each with a predictor of its own."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self._pool = pool
        self._waiting = AHEAD * count
        with _whole_pool():
            self.description = pool.submit(_describe).result()

    def results(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, str | None]]:
        """Yield each job with its problem; see `Workers`. Raises InferenceError when a process was killed."""
        queue: deque[tuple[Job, Future[str | None]]] = deque()
        with _whole_pool():
            for job in jobs:
                queue.append((job, self._pool.submit(_work, job)))
                if len(queue) >= self._waiting:
                    first, future = queue.popleft()
                    yield first, future.result()
            for job, future in queue:
                yield job, future.result()


@contextmanager
def workers(count: int, model: Model, load: Callable[..., Any] | None = None) -> Iterator[Workers]:
    """Give `count` workers, which are this very process when there is one, or when a test gives its own `load`."""
    if count == 1 or load is not None:
        yield InProcess(_frame_predictor(model, load))
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, and CUDA does not survive it
    pool = ProcessPoolExecutor(count, context, _start, (model,))
    try:
        yield Processes(pool, count)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _whole_pool() -> Iterator[None]:
    """Tell of a process that ended by itself."""
    try:
        yield
    except BrokenProcessPool as error:
        raise InferenceError(
            "a worker process was ended from outside, mostly for want of memory: run the command again to go on where "
            "it stopped, with fewer --workers"
        ) from error


_model: Model | None = None
_predictor: FramePredictor | None = None


def _start(model: Model) -> None:
    """Prepare a spawned process: it leaves Ctrl-C to its parent, and ends when its parent was killed."""
    global _model
    _model = model
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _mine() -> FramePredictor:
    """Return this process's predictor, loaded at its first use, so that its errors reach the parent."""
    global _predictor
    if _predictor is None:
        _predictor = _frame_predictor(_model)
    return _predictor


def _describe() -> dict[str, Any]:
    return _mine().description


def _work(job: Job) -> str | None:
    return _mine()(job)


def _frame_predictor(model: Model, load: Callable[..., Any] | None = None) -> FramePredictor:
    if model.threads:
        import torch

        torch.set_num_threads(model.threads)
    if load is None:
        from depth_pro_ros.inference import Predictor

        load = Predictor.load
    predictor = load_predictor(load, model.network, _log)
    return FramePredictor(predictor, model.focal, model.scale)


def _log(line: str) -> None:
    print(line, file=sys.stderr)
