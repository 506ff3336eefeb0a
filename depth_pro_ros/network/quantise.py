"""The ViTs' linear layers in 8-bit integers, for processors: faster and smaller, an approximation.

Weights are rounded once, with a scale for each output channel; activations at each call, with one scale for the
layer's whole input ("dynamic" quantisation). Everything else stays as it was: attention, norms, convolutions and the
field-of-view head.

Measured on AVX2, one thread, against float32: blocks of the published size 1.6 times as fast, their last tokens off by
1.7 % after 24 blocks of random weights (weights in bfloat16: 0.2 %); the tiny preset 1.2 times as fast as a whole, its
inverse depth off by 0.2 % in the mean, over 16 rendered scenes AbsRel 0.2439 instead of 0.2436.

It rests on PyTorch's fbgemm and oneDNN kernels (torch.ops.quantized), whose Python front end (torch.ao.quantization)
is deprecated in favour of torchao. torchao's own 8-bit product, torch._int_mm, has no kernel for processors without
VNNI (on AVX2 it took 30 times as long as float32), so the operators are called directly here, and a PyTorch without
them is refused.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network.depth_pro import DepthPro
from depth_pro_ros.network.layers import Linear
from depth_pro_ros.network.simplify import simplify
from depth_pro_ros.network.vit import Block

LARGEST = 127  # of a signed 8-bit integer


class QuantisedLinear(nn.Module):
    """A linear layer with 8-bit weights. It holds no parameters: the weights lie in the kernel's own order."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        weight, bias = linear.weight.detach().float(), linear.bias.detach().float()
        scales = (weight.abs().amax(1) / LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
        with warnings.catch_warnings():  # the tensor type is deprecated; these operators take no other
            warnings.filterwarnings("ignore", message=".*quantize", category=UserWarning)
            zeros = torch.zeros(len(scales), dtype=torch.int64)
            rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) → (..., out), in the input's dtype; products are summed exactly."""
        # Without VNNI two products share 16 bits, which 7-bit activations cannot overflow: hence reduce_range.
        return torch.ops.quantized.linear_dynamic(x.float(), self._packed, reduce_range=True).to(x.dtype)


def quantise_linears(network: DepthPro) -> DepthPro:
    """Simplify `network` unless it is, replace the linear layers of its ViTs by 8-bit ones, in place, and return it.

    Comes last: the new layers have no parameters that `set_precision` or a move to a device could reach. The float
    weights are given back one by one, so that memory only falls. Raises ConfigurationError when the network is not
    on a CPU or PyTorch has no such kernels.
    """
    device = network.encoder.patch_encoder.pos_embed.device
    if device.type != "cpu":
        raise ConfigurationError(f"the network is on '{device}': 8-bit linear layers are for the CPU")
    if not available():
        raise ConfigurationError(f"PyTorch {torch.__version__} has no 8-bit linear layers: use float32 or bfloat16")
    quantise_blocks(simplify(network))
    return network


def quantise_blocks(module: nn.Module) -> None:
    """Replace the linear layers of all transformer blocks in `module`."""
    for block in [part for part in module.modules() if isinstance(part, Block)]:
        for part, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2")):
            layer = getattr(part, name)
            if isinstance(layer, Linear):
                setattr(part, name, QuantisedLinear(layer))


def available() -> bool:
    """Return whether this PyTorch has the operators and a kernel for them."""
    engines = set(torch.backends.quantized.supported_engines) - {"none"}
    operators = all(hasattr(torch.ops.quantized, name) for name in ("linear_prepack", "linear_dynamic"))
    return bool(engines) and operators and hasattr(torch, "quantize_per_channel")
