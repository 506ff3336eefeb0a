"""An exported network run by onnxruntime, in place of PyTorch's."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.errors import CheckpointError, ConfigurationError, InferenceError
from depth_pro_ros.inference.precision import TOLERANCE, Log, fixed_image
from depth_pro_ros.inference.weights import EXPORT_VERSION, Loaded, cache_folder, fingerprint, locate
from depth_pro_ros.network import PRESETS, NetworkConfig
from depth_pro_ros.network.checkpoint import FORMAT

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
ORDER = {"auto": (TENSORRT, CUDA, CPU), "cuda": (TENSORRT, CUDA), "cpu": (CPU,)}
REST = {TENSORRT: (CUDA, CPU), CUDA: (CPU,), CPU: ()}  # for the operators that a provider does not have
ERRORS_ONLY = 3  # onnxruntime's log level


@dataclass(frozen=True)
class ExportFacts:
    """What an export says of itself; `sample` is what it must answer to the fixed image."""

    config: NetworkConfig
    preset: str
    weights: str
    fingerprint: str
    trained: bool
    training: dict[str, object]
    precision: str
    sample: np.ndarray


class OnnxNetwork:
    """Answers as a DepthPro does, by an onnxruntime session; images lie on the CPU, one is run at a time."""

    def __init__(self, session: Any, facts: ExportFacts):
        self._session = session
        self.facts = facts
        self.config = facts.config
        self.provider: str = session.get_providers()[0]

    def __call__(self, image: Tensor, fov: bool = True) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) in [-1, 1] → canonical inverse depth (B, 1, S, S), degrees (B,) or None; raises InferenceError.

        The field of view is part of the graph and always computed.
        """
        pixels = np.ascontiguousarray(image.float().cpu().numpy())
        try:
            answers = [self._session.run(None, {"image": one[None]}) for one in pixels]
        except faults() as error:
            raise InferenceError(f"onnxruntime failed with {self.provider}: {error}") from error
        canonical, fov_deg = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*answers, strict=True))
        return canonical, fov_deg if fov else None

    def deviation(self) -> float:
        """Return the median relative deviation from PyTorch in float32 on the fixed image; NaN when not finite."""
        canonical, fov_deg = self(fixed_image(self.config.image_size, torch.device("cpu")))
        exact = self.facts.sample
        step = round(canonical.shape[-1] / (len(exact) - 1) ** 0.5)
        found = np.append(canonical[0, 0, ::step, ::step].numpy().ravel(), fov_deg.numpy())
        if not np.isfinite(found).all():
            return float("nan")
        return float(np.median(np.abs(found - exact)) / max(float(np.median(np.abs(exact))), 1e-12))


def runtime() -> ModuleType:
    """Return onnxruntime; raises ConfigurationError without it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigurationError(
            "onnxruntime is not installed: pip install onnxruntime (onnxruntime-gpu for an NVIDIA GPU; NVIDIA has "
            "wheels for Jetson), or set backend to torch"
        ) from error
    return onnxruntime


def faults() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its own classes have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (RuntimeError, ValueError, *own)


def find_export(weights: str | Path) -> Path:
    """Return the ONNX file that `weights` means: its own path, or NAME.onnx in the cache folder for a preset's name."""
    name = str(weights)
    path = cache_folder() / f"{name}.onnx" if name in PRESETS else Path(name).expanduser()
    if not path.is_file() or path.suffix != ".onnx":
        raise CheckpointError(
            f"no ONNX export at '{path}': make one with `depth_pro_ros export onnx --weights {name}`, or set backend "
            "to torch"
        )
    return path


def load(weights: str | Path, device: str, precision: str, log: Log) -> Loaded:
    """Return the exported network of `weights` on the first provider of `device` that works and answers rightly.

    `log` is told what fell back and why. Raises CheckpointError or ConfigurationError.
    """
    if device not in ORDER:
        raise ConfigurationError(f"device is '{device}'; with backend onnxruntime allowed: {', '.join(ORDER)}")
    path = find_export(weights)
    facts = read_facts(path)
    if precision not in ("auto", facts.precision):
        raise ConfigurationError(
            f"precision is '{precision}', but '{path}' was exported in {facts.precision}: set precision to auto, or "
            f"export again with --precision {precision}"
        )
    if str(weights) in PRESETS:
        _warn_if_outdated(str(weights), path, facts, log)
    network = _first_that_works(path, facts, device, log)
    return Loaded(network, f"{path} ({facts.weights})", facts.preset, facts.trained, facts.training)


def _warn_if_outdated(name: str, path: Path, facts: ExportFacts, log: Log) -> None:
    try:
        current = fingerprint(locate(name))
    except CheckpointError:  # a robot may have the export alone
        return
    if current != facts.fingerprint:
        log(f"'{path}' was exported from other weights than those that '{name}' now means: export it again")


def _first_that_works(path: Path, facts: ExportFacts, device: str, log: Log) -> OnnxNetwork:
    refused: list[str] = []
    for provider in ORDER[device]:
        tried = _try(path, facts, provider, log)
        if isinstance(tried, OnnxNetwork):
            if refused:
                log(f"{provider} runs the network; not used: {'; '.join(refused)}")
            return tried
        refused.append(f"{provider} ({tried})")
    raise ConfigurationError(
        f"onnxruntime cannot run '{path}' on device '{device}': {'; '.join(refused)}. Install onnxruntime-gpu for a "
        "GPU, set device to auto, or export again"
    )


def _try(path: Path, facts: ExportFacts, provider: str, log: Log) -> OnnxNetwork | str:
    """Return the network on `provider`, or why not."""
    ort = runtime()
    if provider not in ort.get_available_providers():
        return f"onnxruntime {ort.__version__} was built without it"
    if provider == TENSORRT:
        log(f"TensorRT builds an engine of '{path}' unless it lies in {engine_cache()}: this takes minutes")
    try:
        session = make_session(path, provider, half=facts.precision == "float16")
        if session.get_providers()[0] != provider:
            return "its libraries cannot be loaded, onnxruntime's own message names them"
        network = OnnxNetwork(session, facts)
        error = network.deviation()
    except (InferenceError, *faults()) as reason:
        return " ".join(str(reason).split())
    if not error <= TOLERANCE:
        return "its results are not finite" if error != error else f"its median deviation is {error:.1%}"
    return network


def engine_cache() -> Path:
    """Return where TensorRT's engines are kept; they fit one version of everything and one model of GPU only."""
    return cache_folder() / "tensorrt" / f"onnxruntime-{runtime().__version__}"


def make_session(path: Path, provider: str, half: bool = False) -> Any:
    """Return an onnxruntime session of `path` on `provider`, which may raise any of `faults()`."""
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    if provider == CPU:
        options.intra_op_num_threads = torch.get_num_threads()
    others = [other for other in REST[provider] if other in ort.get_available_providers()]
    settings = _tensorrt_options(half) if provider == TENSORRT else {}
    return ort.InferenceSession(str(path), options, providers=[(provider, settings), *others], enable_fallback=0)


def _tensorrt_options(half: bool) -> dict[str, str]:
    """Return TensorRT's settings: engines are kept, half precision is for float16 exports, with exact LayerNorms."""
    cache = engine_cache()
    cache.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": str(int(half)),
        "trt_layer_norm_fp32_fallback": str(int(half)),
    }


def read_facts(path: Path) -> ExportFacts:
    """Return what an export says of itself; raises CheckpointError when it is damaged or not of this package."""
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        told = ort.InferenceSession(str(path), options, providers=[CPU]).get_modelmeta().custom_metadata_map
    except faults() as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}): it is damaged, export again") from error
    if told.get("format") != FORMAT or told.get("version") != EXPORT_VERSION:
        raise CheckpointError(
            f"'{path}' is no export of this package and version: make one with `depth_pro_ros export onnx`"
        )
    names = ("preset", "weights", "fingerprint", "precision")
    return ExportFacts(
        config=NetworkConfig.from_dict(json.loads(told["config"])),
        trained=json.loads(told["trained"]),
        training=json.loads(told["training"]),
        sample=np.frombuffer(base64.b64decode(told["sample"]), "<f4"),
        **{name: told[name] for name in names},
    )
