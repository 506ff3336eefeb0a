"""A network as a file for other runtimes: ONNX, torch.export, AOTInductor; written only if it agrees with PyTorch."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.inference import agreement
from depth_pro_ros.inference.agreement import BOUNDS, FLOAT16_MAX, HEADROOM, Agreement, Peak
from depth_pro_ros.inference.precision import Log, fixed_image
from depth_pro_ros.inference.weights import EXPORT_VERSION, Loaded, fingerprint
from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.checkpoint import FORMAT
from depth_pro_ros.network.layers import LayerNorm

OPSET = 18  # the first with which PyTorch's exporter needs no conversion; 17 brought LayerNormalization
SINGLE_FILE = 1 << 30  # ONNX files above 2 GiB do not load: larger weights lie in a file of their own
SAMPLE_STEP = 32  # every n-th row and column of the check's output goes into the file
PREPROCESSING = "RGB / 255, (x - 0.5) / 0.5, then bilinear to the square without antialiasing"
MEANING = "canonical inverse depth C: depth_m = focal_px / (width_px * C); horizontal field of view in degrees"
Outputs = tuple[np.ndarray, np.ndarray]
Run = Callable[[np.ndarray], Outputs]


@dataclass(frozen=True)
class Exported:
    """What was written, and what its check found; `peak` is the largest number inside, where half precision counts."""

    path: Path
    bytes: int
    format: str
    precision: str
    agreements: list[Agreement]
    peak: Peak | None

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return {**asdict(self), "path": str(self.path), "bounds": asdict(BOUNDS[self.precision])}


class Deployed(nn.Module):
    """The network as other runtimes see it: one image in, both outputs out."""

    def __init__(self, network: DepthPro):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, S, S) → canonical inverse depth (1, 1, S, S), degrees (1,), all float32."""
        return self.network(image)


class ExactNorm(nn.Module):
    """A LayerNorm that computes in float32 between half-precision layers; its squares are what overflows first."""

    def __init__(self, norm: LayerNorm):
        super().__init__()
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.register_buffer("weight", norm.weight.detach().float().clone())
        self.register_buffer("bias", norm.bias.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) → (..., C)."""
        return F.layer_norm(x.float(), self.shape, self.weight, self.bias, self.eps).to(x.dtype)


def export(
    loaded: Loaded,
    source: Path | None,
    path: Path,
    images: Mapping[str, np.ndarray],
    format: str = "onnx",
    precision: str = "float32",
    log: Log = lambda text: None,
) -> Exported:
    """Write the network of `loaded`, which came from `source`, to `path`, and return what the check found.

    `images` are network inputs (1, 3, S, S) float32 in [-1, 1] by name. What was written is run on each of them, and
    on a fixed one, and taken away again when it is further from PyTorch in float32 than BOUNDS, or not finite: then
    raises OutputError. ConfigurationError for a format that this machine or precision does not allow. The network
    is changed.
    """
    if format not in FORMATS or precision not in BOUNDS or (precision == "float16" and format != "onnx"):
        raise ConfigurationError(
            f"export to {format} in {precision}: allowed are {', '.join(FORMATS)} in float32, and onnx in float16"
        )
    write, open_written = FORMATS[format]
    device = next(loaded.network.parameters()).device
    fixed = fixed_image(loaded.network.config.image_size, device)
    images = {"fixed": fixed.cpu().numpy(), **images}
    exact, peak = _references(loaded.network, images)
    if precision == "float16":
        _check_headroom(peak, log)
        to_half(loaded.network)
    facts = _facts(loaded, source, precision, exact["fixed"])
    with _staged(path) as staging:
        log(f"exporting {loaded.label} to {format}, {precision}")
        write(_program(loaded.network, fixed), staging / path.name, facts)
        run = open_written(staging / path.name, device)
        agreements = [agreement.compare(name, run(image), exact[name]) for name, image in images.items()]
        _judge(agreements, precision, format)
        size = _publish(staging, path)
    return Exported(path, size, format, precision, agreements, peak if precision == "float16" else None)


@torch.inference_mode()
def _references(network: DepthPro, images: Mapping[str, np.ndarray]) -> tuple[dict[str, Outputs], Peak]:
    device = next(network.parameters()).device
    with agreement.watched(network) as peak:
        answers = {name: network(torch.from_numpy(image).to(device)) for name, image in images.items()}
    return {name: tuple(part.cpu().numpy() for part in answer) for name, answer in answers.items()}, peak


def _check_headroom(peak: Peak, log: Log) -> None:
    if peak.value > FLOAT16_MAX:
        raise OutputError(
            f"'{peak.layer}' reaches {peak.value:.3g}, float16 ends at {FLOAT16_MAX:.0f}: export in float32"
        )
    if peak.value * HEADROOM > FLOAT16_MAX:
        log(
            f"'{peak.layer}' reaches {peak.value:.3g} of the {FLOAT16_MAX:.0f} that float16 holds: another image may "
            "overflow; float32 is safe"
        )


def to_half(network: DepthPro) -> DepthPro:
    """Make `network` compute in float16 but for its LayerNorms and its field-of-view head; return it."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, LayerNorm):
                setattr(parent, name, ExactNorm(child))
    return network.set_precision(torch.float16, torch.float16)


def _facts(loaded: Loaded, source: Path | None, precision: str, fixed: Outputs) -> dict[str, str]:
    """Return what the file says of itself, with a sample of the right answer to check a runtime by."""
    canonical, fov_deg = fixed
    sample = np.append(canonical[0, 0, ::SAMPLE_STEP, ::SAMPLE_STEP].ravel(), fov_deg).astype("<f4")
    return {
        "format": FORMAT,
        "version": EXPORT_VERSION,
        "config": json.dumps(loaded.network.config.as_dict()),
        "preset": loaded.preset,
        "weights": loaded.label,
        "fingerprint": fingerprint(source),
        "trained": json.dumps(loaded.trained),
        "training": json.dumps(dict(loaded.training)),
        "precision": precision,
        "sample": base64.b64encode(sample.tobytes()).decode(),
        "input": PREPROCESSING,
        "output": MEANING,
    }


def _program(network: DepthPro, image: Tensor) -> torch.export.ExportedProgram:
    network.patch_batch, network.strips = 0, 1  # bounds of memory, which would be unrolled into the graph
    with _quiet(), torch.no_grad():
        return torch.export.export(Deployed(network).eval(), (image,), strict=False)


def _write_onnx(program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, str]) -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: pip install 'depth_pro_ros[export]', or onnx, onnxscript and onnxruntime"
        ) from error
    names = {"input_names": ["image"], "output_names": ["canonical", "fov_deg"]}
    with _quiet():
        made = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False, **names)
    for node in made.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces with this machine's paths
    made.model.metadata_props.update(facts)
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    made.save(str(path), external_data=size > SINGLE_FILE)


def _open_onnx(path: Path, device: torch.device) -> Run:
    from depth_pro_ros.inference import onnx_backend

    session = onnx_backend.make_session(path, onnx_backend.CPU)
    return lambda image: tuple(session.run(None, {"image": image}))


def _write_torch(program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, str]) -> None:
    torch.export.save(program, str(path), extra_files={f"{FORMAT}.json": json.dumps(facts)})


def _open_torch(path: Path, device: torch.device) -> Run:
    return _runner(torch.export.load(str(path)).module(), device)


def _write_aoti(program: torch.export.ExportedProgram, path: Path, facts: Mapping[str, str]) -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigurationError(
            f"AOTInductor compiles C++, but there is no '{compiler}': install one (apt install g++), name it in CXX, "
            "or export to onnx"
        )
    try:
        with _quiet():
            settings = {"aot_inductor.metadata": dict(facts)}
            torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=settings)
    except RuntimeError as error:  # what its compiler raises derives from it
        raise OutputError(f"AOTInductor failed: {error}. Export to onnx, or to torch, instead") from error


def _open_aoti(path: Path, device: torch.device) -> Run:
    return _runner(torch._inductor.aoti_load_package(str(path)), device)


def _runner(module: Callable[[Tensor], tuple[Tensor, Tensor]], device: torch.device) -> Run:
    def run(image: np.ndarray) -> Outputs:
        with torch.inference_mode():
            return tuple(part.cpu().numpy() for part in module(torch.from_numpy(image).to(device)))

    return run


Write = Callable[[torch.export.ExportedProgram, Path, Mapping[str, str]], None]
Open = Callable[[Path, torch.device], Run]
FORMATS: dict[str, tuple[Write, Open]] = {
    "onnx": (_write_onnx, _open_onnx),
    "torch": (_write_torch, _open_torch),
    "aoti": (_write_aoti, _open_aoti),
}
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "aoti": ".aoti.pt2"}


def _judge(agreements: list[Agreement], precision: str, format: str) -> None:
    bounds = BOUNDS[precision]
    for found in agreements:
        if bounds.exceeded_by(found):
            raise OutputError(
                f"the {format} export in {precision} does not agree with PyTorch on image '{found.image}': median "
                f"{found.median:.2g} (allowed {bounds.median}), worst {found.worst:.2g} ({bounds.worst}), field of "
                f"view {found.fov_deg:.2g} degrees ({bounds.fov_deg}). It was removed"
                + ("; export in float32" if precision == "float16" else "")
            )


@contextlib.contextmanager
def _staged(path: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `path`, which is gone afterwards."""
    staging = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        staging.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise OutputError(f"'{path}' was not written ({error}): make room, or give another --out") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, path: Path) -> int:
    """Move what was written to its final place, the model itself last; return its bytes."""
    files = sorted(staging.iterdir(), key=lambda file: file.name == path.name)
    if len(files) > 1:
        path.unlink(missing_ok=True)  # it would refer to the new weights from now on
    size = sum(file.stat().st_size for file in files)
    for file in files:
        file.replace(path.parent / file.name)
    return size


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep notes of PyTorch's exporter to its developers off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
