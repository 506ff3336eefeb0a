"""CUDA graphs: the network's thousands of kernels recorded once and started by one call for each frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from depth_pro_ros.inference.memory import give_back
from depth_pro_ros.inference.precision import Log

Answer = tuple[Tensor, Tensor | None]
Run = Callable[..., Answer]

KEPT = 8  # recordings; each holds its own input and output
WARM_UPS = 2  # passes in which libraries choose their kernels and take their workspace, which no recording may do
AGREEMENT = 0.01  # median relative deviation of a recording from the pass that it was recorded from


@dataclass(frozen=True)
class Recording:
    """A pass over fixed memory: `replay` computes `answer` from what `image` holds."""

    image: Tensor
    answer: Answer
    replay: Callable[[], None]

    def __call__(self, image: Tensor) -> Answer:
        """Return the answer for `image`; the next call overwrites it."""
        self.image.copy_(image)
        self.replay()
        return self.answer


class Recorder:
    """Records passes on a CUDA device.

    They share their working memory: one is replayed at a time and from its beginning to its end, and what it answers
    is kept alive, so that no other writes there.
    """

    def __init__(self) -> None:
        self._pool: Any = None  # a handle

    def __call__(self, run: Run, image: Tensor, fov: bool) -> Recording:
        """Record `run`; raises RuntimeError when something in it cannot be recorded."""
        static = image.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                run(static, fov=fov)
        torch.cuda.current_stream().wait_stream(aside)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            answer = run(static, fov=fov)
        return Recording(static, answer, graph.replay)


class Graphed:
    """Runs a network by recordings, one for each shape of its input and with or without the field of view.

    The size of the camera's images is not the network's: it may change at any time. A recording is compared with the
    pass that it was made from before it is used. When one fails, `log` is told once, and the network runs without
    from then on, beginning with that very frame.
    """

    def __init__(self, run: Run, log: Log, make: Callable[[Run, Tensor, bool], Recording] | None = None):
        self._run, self._log, self._make = run, log, make or Recorder()
        self._recordings: OrderedDict[tuple[torch.Size, bool], Recording] = OrderedDict()
        self.active = True

    def __call__(self, image: Tensor, fov: bool = True) -> Answer:
        """Return what the network does; the next call overwrites it."""
        if not self.active:
            return self._run(image, fov=fov)
        recording = self._recordings.get((image.shape, fov))
        if recording is None:
            return self._first(image, fov)
        self._recordings.move_to_end((image.shape, fov))
        return recording(image)

    def _first(self, image: Tensor, fov: bool) -> Answer:
        """Return the answer of a pass that is not recorded, and record one for the next time."""
        answer = self._run(image, fov=fov)
        try:
            recording = self._make(self._run, image, fov)
            problem = _disagreement(recording(image), answer)
        except RuntimeError as error:  # what CUDA raises derives from it
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            self._give_up(problem)
            return answer
        self._recordings[image.shape, fov] = recording
        if len(self._recordings) > KEPT:
            self._recordings.popitem(last=False)
        give_back()  # what passes took that are recorded now
        return answer

    def _give_up(self, problem: str) -> None:
        self.active = False
        self._recordings.clear()  # they hold memory
        self._log(f"CUDA graphs failed, the network runs without them, which is slower on a fast GPU: {problem}")


def _disagreement(replayed: Answer, answer: Answer) -> str | None:
    """Return what is wrong with a recording's answer, None for nothing."""
    for name, found, exact in zip(("depth", "field of view"), replayed, answer, strict=True):
        if found is None or exact is None:
            continue
        scale = exact.abs().median().clamp_min(torch.finfo(torch.float32).tiny)
        deviation = float((found - exact).abs().median() / scale)
        if not deviation <= AGREEMENT:
            return f"a recording's {name} deviates by {deviation:.1%} in the median"
    return None
