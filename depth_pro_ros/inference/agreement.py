"""Whether an exported network gives what PyTorch gives, and whether its numbers fit into half precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.decoder import ResidualUnit
from depth_pro_ros.network.fov import EXACT
from depth_pro_ros.network.layers import Conv2d, Linear, Upsample2x
from depth_pro_ros.network.vit import Attention, Block

FLOAT16_MAX = 65504.0
HEADROOM = 4.0  # by which images other than the checked ones may exceed them


@dataclass(frozen=True)
class Agreement:
    """How far an export is from PyTorch in float32 on one image.

    `median` and `worst` are absolute differences of the canonical inverse depth over its mean: relative errors of the
    inverse depth. `fov_deg` is in degrees. All are NaN when the export gave anything that is not finite.
    """

    image: str
    median: float
    worst: float
    fov_deg: float


@dataclass(frozen=True)
class Bounds:
    """What an Agreement may be at most."""

    median: float
    worst: float
    fov_deg: float

    def exceeded_by(self, found: Agreement) -> bool:
        """Return whether `found` is too far off; not being finite is."""
        figures = ((found.median, self.median), (found.worst, self.worst), (found.fov_deg, self.fov_deg))
        return not all(value <= bound for value, bound in figures)


BOUNDS = {"float32": Bounds(1e-4, 1e-3, 0.01), "float16": Bounds(0.01, 0.25, 0.25)}


def compare(image: str, found: tuple[np.ndarray, np.ndarray], exact: tuple[np.ndarray, np.ndarray]) -> Agreement:
    """Return how far (canonical (1, 1, S, S), degrees (1,)) are from those of PyTorch."""
    if not all(np.isfinite(part).all() for part in found):
        return Agreement(image, *(float("nan"),) * 3)
    difference = np.abs(found[0].astype(np.float64) - exact[0]) / max(float(np.abs(exact[0]).mean()), 1e-12)
    fov_deg = np.abs(found[1].astype(np.float64) - exact[1]).max()
    return Agreement(image, float(np.median(difference)), float(difference.max()), float(fov_deg))


@dataclass
class Peak:
    """The largest absolute value that a layer which is to compute in half precision gave, and the layer's name."""

    value: float = 0.0
    layer: str = ""

    def see(self, layer: str, tensor: Tensor) -> None:
        """Take one output into account; NaN counts as infinite."""
        value = float(torch.nan_to_num(tensor.abs(), nan=torch.inf).amax())
        if value > self.value:
            self.value, self.layer = value, layer


@contextlib.contextmanager
def watched(network: DepthPro) -> Iterator[Peak]:
    """Yield the Peak of everything that `network` computes in the block: what every layer gives, and attention scores.

    onnxruntime's CPU kernels compute in float32 whatever an export says (github.com/microsoft/onnxruntime, issue
    11831), so running a float16 export there does not show the overflow that a GPU would have; the numbers do.
    """
    peak = Peak()
    kinds = (Linear, Conv2d, Upsample2x, Block, ResidualUnit)
    hooks = []
    for name, module in network.named_modules():
        if name.startswith(EXACT):
            continue
        if isinstance(module, kinds):
            hooks.append(module.register_forward_hook(lambda _m, _i, output, name=name: peak.see(name, output)))
        if isinstance(module, Attention):
            hooks.append(module.qkv.register_forward_hook(_scores(name, module.heads, peak)))
    try:
        yield peak
    finally:
        for hook in hooks:
            hook.remove()


def _scores(name: str, heads: int, peak: Peak) -> Callable[[nn.Module, object, Tensor], None]:
    """Return a hook on an attention's projection that sees q k^T / sqrt(d), the numbers before the softmax."""

    def hook(_module: nn.Module, _inputs: object, qkv: Tensor) -> None:
        n, t, c = qkv.shape
        q, k, _ = qkv.view(n, t, 3, heads, c // (3 * heads)).permute(2, 0, 3, 1, 4).unbind(0)
        for one_q, one_k in zip(q, k, strict=True):
            peak.see(f"{name} (scores)", one_q @ one_k.transpose(-1, -2) * one_q.shape[-1] ** -0.5)

    return hook
