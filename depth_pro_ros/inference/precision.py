"""Where the network runs and in which number format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import DepthPro

DEVICES = ("auto", "cuda", "cpu", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")
TOLERANCE = 0.05  # median relative deviation from float32 that the self-check accepts

AMPERE = (8, 0)  # the first NVIDIA generation with bfloat16 arithmetic

Log = Callable[[str], None]


@dataclass(frozen=True)
class Precision:
    """Weights are stored in `storage`; layers compute in `compute`, but for linear ones of 8 bits if `int8`."""

    storage: torch.dtype
    compute: torch.dtype
    int8: bool = False

    @property
    def name(self) -> str:
        """Return e.g. "bfloat16", or "bfloat16 weights, float32 arithmetic"."""
        if self.int8:
            return "int8 linear layers, float32 arithmetic"
        storage, compute = (str(dtype).removeprefix("torch.") for dtype in (self.storage, self.compute))
        return storage if storage == compute else f"{storage} weights, {compute} arithmetic"


FLOAT32 = Precision(torch.float32, torch.float32)


def choose_device(name: str, log: Log) -> torch.device:
    """Return the device; "auto" takes a GPU where there is one and says loudly when there is none."""
    if name not in DEVICES:
        raise ConfigurationError(f"device is '{name}'; allowed: {', '.join(DEVICES)}")
    have = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if have[device])
        if name == "cpu":
            log(
                f"NO GPU FOUND: THE NETWORK RUNS ON THE CPU (PyTorch {torch.__version__}), which is slow for the "
                "full network. On a Jetson or with an NVIDIA card install a CUDA build of PyTorch."
            )
    if not have[name]:
        raise ConfigurationError(
            f"device '{name}' was asked for, but PyTorch {torch.__version__} finds none here; "
            "install a build of PyTorch for it, or set device to auto or cpu"
        )
    return torch.device(name)


def candidates(name: str, device: torch.device) -> list[Precision]:
    """Return the formats to try in order; only "auto" gives more than one, the last always float32.

    A CPU without arithmetic in a half format keeps its weights in it and computes in float32: PyTorch's
    emulation is ten times slower than float32.
    """
    if name not in PRECISIONS:
        raise ConfigurationError(f"precision is '{name}'; allowed: {', '.join(PRECISIONS)}")
    if name == "float32":
        return [FLOAT32]
    if name == "int8":
        if device.type != "cpu":
            raise ConfigurationError(
                f"precision int8 is for the CPU, and the device is {device.type}: set device to cpu, or precision auto"
            )
        return [Precision(torch.float32, torch.float32, int8=True)]
    if name != "auto":
        dtype = getattr(torch, name)
        return [Precision(dtype, dtype if _computes(device, dtype) else torch.float32)]
    halves = (torch.bfloat16,) if device.type == "cpu" else (torch.float16, torch.bfloat16)
    return [*(Precision(dtype, dtype) for dtype in halves if _computes(device, dtype)), FLOAT32]


def _computes(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type == "cuda":
        return dtype is torch.float16 or torch.cuda.get_device_capability() >= AMPERE
    if device.type == "mps":
        return dtype is torch.float16
    support = "_is_mkldnn_bf16_supported" if dtype is torch.bfloat16 else "_is_mkldnn_fp16_supported"
    check = getattr(torch.ops.mkldnn, support, None) if torch.backends.mkldnn.is_available() else None
    return bool(check and check())


def fixed_image(side: int, device: torch.device) -> Tensor:
    """Return the image (1, 3, side, side) in [-1, 1] on which a network's arithmetic is checked."""
    y, x = torch.meshgrid(*(torch.linspace(-3, 3, side, device=device),) * 2, indexing="ij")
    return torch.stack((torch.sin(4 * x) * torch.cos(3 * y), torch.sin(x * y), torch.tanh(2 * x - y)))[None]


@torch.inference_mode()
def deviation(network: DepthPro, compute: torch.dtype) -> float:
    """Return the median relative deviation of `compute` from float32 on a fixed image; NaN when not finite.

    Both use the same stored weights, so no second copy of them is needed.
    """
    image = fixed_image(network.config.image_size, next(network.parameters()).device)
    network.compute_dtype = torch.float32
    exact, _ = network(image, fov=False)
    network.compute_dtype = compute
    rounded, _ = network(image, fov=False)
    if not torch.isfinite(rounded).all():
        return float("nan")
    scale = exact.abs().median().clamp_min(torch.finfo(torch.float32).tiny)
    return float((rounded - exact).abs().median() / scale)
