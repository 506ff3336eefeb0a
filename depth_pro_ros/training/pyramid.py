"""Training a part of the network's pyramid: a coarse level first, at a small part of the cost.

Depth Pro encodes 35 patches of an image pyramid, and its decoder refines five levels of features. Cut off
behind a coarse level, with the head put there, it is a network for a smaller image:

    level     image    patches    output    (P the patch's side, g its tokens a side)
    quarter   P        1          8g        = P/2 for tokens of 16 pixels
    half      2P       9 + 1      16g       = P
    full      4P       25 + 9 + 1 64g       = 4P, the whole network

At the quarter level both encoders see the same image. Trained as one (`tied`), with the patch encoder's tokens in the
place of the image encoder's, they learn twice as much in the same time; `untie` then gives them the same weights.

Most of what there is to learn of metric depth is coarse, and a coarse image costs a fraction: the patch
encoder, the image encoder, the coarse fusions and the head that it trains are the whole network's own. What is
added by the next level starts by passing on what the level below gives (`initialise`), after the growing
networks of Karras et al. (arXiv:1710.10196), and so it does again when the coarse levels were trained anew (`restart`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network.config import NetworkConfig
from depth_pro_ros.network.depth_pro import DepthPro
from depth_pro_ros.network.encoder import MIDDLE, Encoder, merge, split
from depth_pro_ros.network.layers import shrink

LEVELS = ("quarter", "half", "full")

_LATERAL_GAIN = 0.1
_ADDED = (
    (),
    ("encoder.upsample1.", "decoder.convs.3.", "decoder.fusions.3."),
    (
        *(f"encoder.upsample{name}." for name in ("0", "_latent0", "_latent1")),
        *(f"decoder.{part}.{number}." for part in ("convs", "fusions") for number in range(3)),
    ),
)  # beginnings of the names of the weights that each level adds to those below


def _number(level: str) -> int:
    if level not in LEVELS:
        raise ConfigurationError(f"pyramid level '{level}' is not one of {', '.join(LEVELS)}")
    return LEVELS.index(level)


def input_side(config: NetworkConfig, level: str) -> int:
    """Return the side in pixels of the square image that `level` takes."""
    return config.patch_size << _number(level)


def output_side(config: NetworkConfig, level: str) -> int:
    """Return the side in pixels of the canonical inverse depth that `level` gives."""
    return config.grid * (8, 16, 64)[_number(level)]


@torch.no_grad()
def initialise(network: DepthPro) -> DepthPro:
    """Make every level of a network with random weights start as a passage for what the level below gives.

    Residual branches start at zero, upsampling repeats pixels, 1x1 convolutions copy, and the features that a level
    adds of its own start at a tenth of their size.
    """
    for fusion, lateral in zip(network.decoder.fusions, network.decoder.convs, strict=True):
        for unit in (fusion.resnet1, fusion.resnet2):
            unit.residual[3].weight.zero_()
        channels = fusion.out_conv.weight.shape[0]
        identity = torch.eye(channels)[:, :, None, None]
        fusion.out_conv.weight.copy_(identity)
        if isinstance(fusion.deconv, nn.ConvTranspose2d):
            fusion.deconv.weight.copy_(identity.expand_as(fusion.deconv.weight))
        if lateral is not network.decoder.convs[Encoder.LEVELS - 1]:
            source = lateral if isinstance(lateral, nn.Conv2d) else network.encoder.upsample_latent0[-1]
            source.weight.mul_(_LATERAL_GAIN)
    return network


def refines(name: str) -> bool:
    """Tell whether the weight of that name belongs to what the half or the full level adds to the quarter's."""
    return name.startswith(tuple(beginning for level in _ADDED for beginning in level))


def restart(network: DepthPro, fresh: DepthPro, below: str, level: str) -> None:
    """Take from `fresh`, as `initialise` made it, what the levels finer than `below` add to `network`, up to `level`.

    What they had learnt belongs to coarser features that have changed since: passing these on is better.
    """
    weights = fresh.state_dict()
    added = tuple(name for number in range(_number(below) + 1, _number(level) + 1) for name in _ADDED[number])
    network.load_state_dict({n: w for n, w in weights.items() if n.startswith(added)}, strict=False)


def _maps(network: DepthPro, image: Tensor, number: int, tied: bool = False) -> list[Tensor | None]:
    """Return the encoder's six maps of tokens; those that a part of the pyramid lacks are None."""
    encoder, patch, grid = network.encoder, network.config.patch_size, network.config.grid
    quarter = shrink(image, 0.5) if number else image
    patches = torch.cat((split(image, patch, MIDDLE), quarter)) if number else quarter
    tokens, _ = encoder.patch_encoder(patches)
    middle, coarse = tokens.split([len(patches) - len(image), len(image)])
    whole = coarse if tied else encoder.image_encoder(quarter)[0]
    half = merge(middle, MIDDLE, grid // 4) if number else None
    return [None, None, None, half, merge(coarse, 1, 0), merge(whole, 1, 0)]


def forward(network: DepthPro, image: Tensor, level: str, tied: bool = False) -> Tensor:
    """Image (B, 3, s, s) in [-1, 1], s = `input_side` → canonical inverse depth (B, 1, o, o), o = `output_side`.

    The last ReLU is left out: training wants a gradient below zero too. `tied` lets the patch encoder stand for the
    image encoder as well; the full level is always the whole network.
    """
    number = _number(level)
    side = input_side(network.config, level)
    if image.shape[1:] != (3, side, side):
        raise ConfigurationError(f"level '{level}' got {tuple(image.shape)}; it takes (B, 3, {side}, {side})")
    if level == LEVELS[-1]:
        return network(image, fov=False, raw=True)[0]
    maps = _maps(network, image, number, tied)
    finest = Encoder.LEVELS - 1 - number
    features = network.fuse(network.lateral(maps), maps, finest)
    return network.head(network.decoder.fusions[finest].up(features), raw=True).float()


def untie(network: DepthPro) -> None:
    """Give the image encoder the weights of the patch encoder, which stood for it."""
    network.encoder.image_encoder.load_state_dict(network.encoder.patch_encoder.state_dict())


def fov(network: DepthPro, quarter: Tensor) -> Tensor:
    """Quarter-resolution image (B, 3, P, P) → horizontal field of view (B,) degrees.

    The depth features are frozen, as in the paper: only the branch's own parts get a gradient.
    """
    with torch.no_grad():
        lateral = network.lateral(_maps(network, quarter, 0))
    return network.fov(quarter, lateral)


def shrink_target(canonical: Tensor, valid: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Average the target (B, 1, s, s) over the valid pixels of each block: (B, 1, side, side) and what is valid of it.

    A block counts when at least half of it is valid.
    """
    factor, rest = divmod(canonical.shape[-1], side)
    if rest:
        raise ConfigurationError(f"a target {canonical.shape[-1]} wide cannot be shrunk to {side} by whole blocks")
    if factor == 1:
        return canonical, valid
    share = F.avg_pool2d(valid.to(canonical.dtype), factor)
    mean = F.avg_pool2d(canonical.masked_fill(~valid, 0.0), factor) / share.clamp_min(0.5)
    return mean, share >= 0.5
