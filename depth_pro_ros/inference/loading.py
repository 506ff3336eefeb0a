"""From weights to a network that is ready to run: where, in which numbers, how fast, in how much memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference.graphs import Graphed, Run
from depth_pro_ros.inference.incremental import IncrementalNetwork
from depth_pro_ros.inference.memory import LADDER, Parts, Thrifty, fit, measured_bytes, memory_limit
from depth_pro_ros.inference.overlap import CudaQueue, overlap
from depth_pro_ros.inference.precision import TOLERANCE, Log, Precision, candidates, choose_device, deviation
from depth_pro_ros.inference.quality import QUALITIES, approximated, check_quality
from depth_pro_ros.inference.weights import Loaded, open_weights
from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.encoder import PATCHES, merged_tokens
from depth_pro_ros.network.packing import pack
from depth_pro_ros.network.quantise import quantise_linears
from depth_pro_ros.network.simplify import simplify

CPU_PARTS = Parts(5, 2)  # for a ViT at least WIDE: activations that stay near the cache, and bounded memory
WIDE = 512
HIDDEN_BYTES = 4 << 20  # of a narrower one's largest activations: memory for more is given back and fetched again
WHOLE = Parts(PATCHES, 1)

Facts = dict[str, "str | int | float | bool"]


@dataclass(frozen=True)
class IncrementalOptions:
    """How a stream of images is inferred incrementally; IncrementalNetwork says what each means."""

    threshold: float = 0.0
    refresh_frames: int = 30
    image_every: int = 1
    fov_every: int = 1


@dataclass(frozen=True)
class Options:
    """What a user may choose beside the weights; `Predictor.load` explains them."""

    device: str = "auto"
    precision: str = "auto"
    patch_batch: int = 0
    compile: bool = False
    quality: str = QUALITIES[0]
    incremental: IncrementalOptions | None = None
    max_memory_gb: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be, and what cannot be together."""
        check_quality(self.quality)
        if not (math.isfinite(self.max_memory_gb) and self.max_memory_gb >= 0):
            raise ConfigurationError(f"max_memory_gb is {self.max_memory_gb}; it must be positive, or 0 for no limit")
        if self.incremental is not None and (self.quality != QUALITIES[0] or self.compile):
            raise ConfigurationError(
                f"incremental inference chooses what to compute in each frame: it goes with quality {QUALITIES[0]} and "
                "without compile; set those, or turn incremental off"
            )

    def check_exportable(self) -> None:
        """Refuse what an export, whose graph is fixed, cannot do."""
        if self.quality != QUALITIES[0] or self.incremental is not None:
            raise ConfigurationError(
                f"an export computes the whole network for each frame: with backend onnxruntime quality must be "
                f"{QUALITIES[0]} and incremental off, or set backend to torch"
            )


@dataclass(frozen=True)
class Ready:
    """A network on its device, what runs it for a frame, and what there is to tell of it."""

    loaded: Loaded
    device: torch.device
    precision: Precision
    run: Run
    facts: Facts = field(default_factory=dict)
    incremental: IncrementalNetwork | None = None


def make_ready(weights: str | Path, options: Options, log: Log) -> Ready:
    """Return the network of `weights`; `log` is told what a user should know.

    Raises CheckpointError, or ConfigurationError for a device, precision or budget that cannot be.
    """
    device = choose_device(options.device, log)
    formats = candidates(options.precision, device)
    if options.precision != "auto" and formats[0].storage is not formats[0].compute:
        log(f"this {device.type} has no {options.precision} arithmetic: {formats[0].name}")
    with memory_limit(ConfigurationError, f"loading '{weights}'", "use half precision, or free the device"):
        loaded, network = _open(weights, formats[0].storage, device, options)
        agreed = _first_that_agrees(network, formats, log)
        if agreed.storage is not formats[0].storage:  # rounded weights do not become exact again
            loaded, network = _open(weights, agreed.storage, device, options)
        network.set_precision(agreed.storage, agreed.compute)
        facts = _keep_to_budget(network, device, options)
        _for_cpu(network, agreed, options.compile)
        incremental = _incremental(network, options.incremental)
        run = incremental or _runner(network, device, options, facts, log)
    if incremental is not None:
        facts["incremental"] = True
    return Ready(loaded, device, agreed, Thrifty(run, network, log), facts, incremental)


def _open(weights: str | Path, storage: torch.dtype, device: torch.device, options: Options) -> tuple[Loaded, DepthPro]:
    loaded = open_weights(weights, storage, device)
    network = simplify(cast(DepthPro, loaded.network))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub
    parts = LADDER[-1] if options.max_memory_gb else _parts(network, device, options)  # the least before it is counted
    parts.set_on(network)
    return replace(loaded, network=network), network


def _parts(network: DepthPro, device: torch.device, options: Options) -> Parts:
    """Return the parts in which `network` works where memory does not matter."""
    parts = WHOLE
    if device.type == "cpu":
        parts = CPU_PARTS if network.config.embed_dim >= WIDE else Parts(_near_cache(network), 1)
    return replace(parts, patch_batch=options.patch_batch or parts.patch_batch)


def _near_cache(network: DepthPro) -> int:
    """Return how many patches a narrow network encodes at once on a CPU: as few batches as HIDDEN_BYTES allow."""
    config, size = network.config, next(network.parameters()).element_size()
    most = HIDDEN_BYTES // ((config.grid**2 + 1) * 4 * config.embed_dim * size)
    return math.ceil(PATCHES / math.ceil(PATCHES / max(most, 1)))


def _first_that_agrees(network: DepthPro, formats: Sequence[Precision], log: Log) -> Precision:
    for option in formats[:-1]:
        error = deviation(network.set_precision(option.storage, option.compute), option.compute)
        if error <= TOLERANCE:
            return option
        found = "results are not finite" if math.isnan(error) else f"the median deviation is {error:.1%}"
        log(f"{option.name} disagrees with float32 on this device ({found}, {TOLERANCE:.0%} is allowed): not used")
    return formats[-1]


def _keep_to_budget(network: DepthPro, device: torch.device, options: Options) -> Facts:
    if not options.max_memory_gb:
        return {}
    measure = (lambda: measured_bytes(network, device)) if device.type == "cuda" else None
    taken_gb = fit(network, _parts(network, device, options), options.max_memory_gb, measure)
    return {"memory_gb": round(taken_gb, 2), "patch_batch": Parts.of(network).patch_batch, "strips": network.strips}


def _for_cpu(network: DepthPro, precision: Precision, compiled: bool) -> None:
    """Give the ViTs the linear layers that are fastest on a CPU, last of all: nothing else can move or change them.

    A compiler fuses and packs by itself, and what it made of layers that are packed already was wrong.
    """
    if precision.int8:
        quantise_linears(network)
    elif not compiled:
        pack(network)


def _incremental(network: DepthPro, options: IncrementalOptions | None) -> IncrementalNetwork | None:
    return IncrementalNetwork(network, **asdict(options)) if options is not None else None


def _runner(network: DepthPro, device: torch.device, options: Options, facts: Facts, log: Log) -> Run:
    """Return what runs the network as the options want it, and add to `facts` what it is."""
    run: Run = network
    if options.quality != QUALITIES[0]:
        run, told = approximated(network, options.quality)
        facts["quality"] = options.quality
        log(f"quality is {options.quality}: {told}")
    if options.compile:
        return _compiled(run, network.config.image_size, device, facts, log)
    if device.type == "cuda":
        overlap(network, (CudaQueue(), CudaQueue()))
        return Graphed(run, log)
    return run


def _compiled(run: Run, side: int, device: torch.device, facts: Facts, log: Log) -> Run:
    """Return `run` by way of torch.compile, unless that fails here (it needs a C compiler)."""
    torch.compiler.assume_constant_result(merged_tokens)  # here, not there: it takes seconds to import its compiler
    compiled: Callable[..., tuple[Tensor, Tensor | None]] = torch.compile(run)
    try:
        with torch.inference_mode():
            for fov in (True, False):
                compiled(torch.zeros(1, 3, side, side, device=device), fov=fov)
    except RuntimeError as error:  # what torch.compile raises derives from it
        log(f"torch.compile failed, the network runs without it: {type(error).__name__}: {error}")
        return run
    facts["compiled"] = True
    return compiled
