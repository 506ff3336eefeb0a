"""What a stage optimises: which weights, at which rates, and their moving average."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import DepthPro
from depth_pro_ros.training import pyramid
from depth_pro_ros.training.curriculum import Stage

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
EMA_START = 10  # the average forgets faster in its first steps: decay at most (1 + t) / (EMA_START + t)


ENCODERS = ("encoder.patch_encoder.", "encoder.image_encoder.")


def part_of(name: str) -> str:
    """Return the part of the network that a weight belongs to: "encoder" (the two ViTs), "fov" or "decoder".

    What projects and enlarges the ViTs' tokens has the decoder's rate: like the decoder it starts from nothing,
    while the ViTs may come with weights of their own.
    """
    if name.startswith(ENCODERS):
        return "encoder"
    return "fov" if name.startswith("fov.") else "decoder"


def set_trainable(network: DepthPro, stage: Stage) -> None:
    """Let gradients reach exactly the weights that `stage` trains; raises ConfigurationError when there are none.

    Frozen may be "encoder", the two ViTs; "coarse", all of the decoder that the quarter level has, head included;
    "depth", all but the field of view's branch; and "norm", every LayerNorm.
    """
    norms = {
        f"{name}.{parameter}"
        for name, module in network.named_modules()
        if isinstance(module, nn.LayerNorm)
        for parameter, _ in module.named_parameters(recurse=False)
    }
    for name, parameter in network.named_parameters():
        part = part_of(name)
        trained = (part == "fov") == (stage.target == "fov")
        trained &= not (part == "encoder" and "encoder" in stage.frozen)
        trained &= not (part == "decoder" and "coarse" in stage.frozen and not pyramid.refines(name))
        trained &= not (part != "fov" and "depth" in stage.frozen)
        trained &= not (name in norms and "norm" in stage.frozen)
        parameter.requires_grad_(trained)
        parameter.grad = None
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigurationError(f"stage '{stage.name}' freezes {stage.frozen}, which leaves nothing to train")


def make_optimiser(network: DepthPro, stage: Stage) -> torch.optim.Optimizer:
    """Return a fresh optimiser of the trainable weights: one group for each part, with and without weight decay.

    Decay is for matrices and kernels; biases, norms, scales and embeddings of positions get none.
    """
    rates = {"encoder": stage.encoder_rate, "decoder": stage.decoder_rate, "fov": stage.fov_rate}
    groups: dict[tuple[str, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and not name.endswith(("pos_embed", "cls_token"))
            groups.setdefault((part_of(name), decays), []).append(parameter)
    described = [
        {"params": parameters, "lr": rates[part], "peak": rates[part], "weight_decay": stage.weight_decay * decays}
        for (part, decays), parameters in groups.items()
    ]
    return OPTIMISERS[stage.optimiser](described, lr=stage.decoder_rate, betas=stage.betas, fused=True)


def set_rates(optimiser: torch.optim.Optimizer, stage: Stage, step: int) -> float:
    """Set the learning rates of `step` and return their multiple of the stage's own."""
    factor = stage.schedule.factor(step, stage.steps)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    return factor


class Average:
    """The exponential moving average of a network's weights, which is what validation sees and what is shipped."""

    def __init__(self, network: DepthPro):
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: DepthPro, decay: float, step: int) -> None:
        """Move towards `network` after `step` (from 0) of the stage; decay 0 copies."""
        decay = min(decay, (1 + step) / (EMA_START + step))
        pairs = zip(self.network.parameters(), network.parameters(), strict=True)
        mine, theirs = zip(*((a, b) for a, b in pairs if b.requires_grad), strict=True)
        torch._foreach_lerp_(list(mine), list(theirs), 1.0 - decay)


def init_fov_from_image_encoder(network: DepthPro) -> None:
    """Start the field-of-view branch's own ViT from the image encoder's weights, which see the same image."""
    network.fov.encoder[0].load_state_dict(network.encoder.image_encoder.state_dict())
