"""Exact simplification of a loaded network: chains of linear layers folded into fewer multiplications.

Nothing here approximates: folded and unfolded networks differ by rounding alone. The graph between its
non-linearities is linear, and linear maps compose:

- a projection after a level's doubling becomes part of it, and at the finest level of the head's first convolution;
- a projection before a doubling becomes part of it where that saves multiplications;
- a doubling and the 3x3 convolution after it become one (see folded.py), in the head and in the lateral projections;
- LayerScale becomes part of the projection before it;
- the last block of the patch encoder finishes only the tokens that the merge keeps.

The field-of-view branch is left out by `DepthPro.forward(fov=False)`, simplified or not.

Checkpoints keep the official layout: simplify after loading; a simplified network cannot be saved or trained.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from depth_pro_ros.network.decoder import Fusion
from depth_pro_ros.network.depth_pro import DepthPro
from depth_pro_ros.network.folded import DoubledConv, FoldedHead, constant, exact
from depth_pro_ros.network.layers import Conv2d, Upsample2x
from depth_pro_ros.network.vit import Block, VisionTransformer

Layer = tuple[Tensor, Tensor]  # weight and bias, at least float32


@torch.no_grad()
def simplify(network: DepthPro) -> DepthPro:
    """Fold `network`'s layers in place and return it, in evaluation mode; a simplified network is left as it is.

    Folds are computed layer by layer in at least float32 and stored in the dtype of the weights, so that no second
    copy of the network is needed, and `set_precision` may come before or after. Its meaning stays with every part that
    `DepthPro` names (`encoder`, `lateral`, `fuse`, `head`); of the layers inside, some become nn.Identity.
    """
    if network.simplified:
        return network
    for vit in (network.encoder.patch_encoder, network.encoder.image_encoder, network.fov.encoder[0]):
        _fold_layer_scale(cast(VisionTransformer, vit))
    for fusion in network.decoder.fusions[1:]:
        _fold_projection(cast(Fusion, fusion))
    network.finish = FoldedHead(network.head, cast(Fusion, network.decoder.fusions[0]).out_conv)
    network.head = FoldedHead(network.head)
    for level, name in ((1, "upsample_latent1"), (2, "upsample0"), (3, "upsample1")):
        _fold_lateral(network, level, name)
    _fold_coarsest(network)
    network.encoder.sparing = True
    network.simplified = True
    return network.eval().requires_grad_(False)


class Sum(nn.Module):
    """What is left of a LayerScale whose factors lie in the projection before it."""

    def forward(self, trunk: Tensor, branch: Tensor) -> Tensor:
        """Trunk + branch, all (N, T, C); written into the branch, which nobody else holds."""
        return branch.add_(trunk)


def _fold_layer_scale(vit: VisionTransformer) -> None:
    """Multiply the projections by the factors, unless in float16, where small products would vanish."""
    if vit.pos_embed.dtype is torch.float16:
        return
    for block in cast("list[Block]", vit.blocks):
        for projection, scale in ((block.attn.proj, block.ls1), (block.mlp.fc2, block.ls2)):
            projection.weight.mul_(scale.gamma[:, None])
            projection.bias.mul_(scale.gamma)
        block.ls1, block.ls2 = Sum(), Sum()


def _fold_projection(fusion: Fusion) -> None:
    """Make the projection after a level's doubling part of it."""
    doubling = cast(Upsample2x, fusion.deconv)
    weight, bias = _projected(exact(doubling), exact(fusion.out_conv))
    fusion.deconv, fusion.out_conv = _upsample(weight, bias, doubling.weight), nn.Identity()


def _fold_lateral(network: DepthPro, level: int, name: str) -> None:
    """Take the last doubling off the encoder's `name` and do it in the decoder's 3x3 convolution."""
    layers = list(cast(nn.Sequential, getattr(network.encoder, name)))
    convolution = cast(Conv2d, network.decoder.convs[level])
    doubling = exact(layers.pop())
    if len(layers) == 1 and _pays(layers[0], convolution.out_channels):
        doubling = _before(layers.pop(), doubling)
    setattr(network.encoder, name, nn.Sequential(*layers))
    network.decoder.convs[level] = DoubledConv(doubling, exact(convolution), convolution.weight)


def _fold_coarsest(network: DepthPro) -> None:
    """Fold the coarsest level: two maps are doubled, joined, projected and convolved, all linearly."""
    encoder, convolution = network.encoder, cast(Conv2d, network.decoder.convs[-1])
    project, doubling = encoder.upsample2
    weight, bias = exact(encoder.fuse_lowres)
    coarse, whole = weight.chunk(2, dim=1)
    ours = _projected(exact(doubling), (coarse, bias))
    if _pays(project, convolution.out_channels):
        ours, project = _before(project, ours), nn.Identity()
    theirs = _projected(exact(encoder.upsample_lowres), (whole, torch.zeros_like(bias)))
    joined = torch.cat((ours[0], theirs[0])), ours[1] + theirs[1]
    encoder.upsample2, encoder.upsample_lowres, encoder.fuse_lowres = project, nn.Identity(), nn.Identity()
    network.decoder.convs[-1] = DoubledConv(joined, exact(convolution), convolution.weight)


def _pays(project: Conv2d, out_channels: int) -> bool:
    """Return whether a projection before a doubled convolution, 16 products a channel, costs more than it saves."""
    before, after = project.in_channels, project.out_channels
    return 16 * before * out_channels <= before * after + 16 * after * out_channels


def _projected(doubling: Layer, projection: Layer) -> Layer:
    """Doubling (in, mid, 2, 2), then projection (out, mid, 1, 1) → one doubling (in, out, 2, 2)."""
    matrix = projection[0][:, :, 0, 0]
    return torch.einsum("imyx,om->ioyx", doubling[0], matrix), projection[1] + matrix @ doubling[1]


def _before(project: Conv2d, doubling: Layer) -> Layer:
    """Projection without bias (mid, in, 1, 1), then doubling (mid, out, 2, 2) → one doubling (in, out, 2, 2)."""
    return torch.einsum("mi,moyx->ioyx", exact(project)[0][:, :, 0, 0], doubling[0]), doubling[1]


def _upsample(weight: Tensor, bias: Tensor, like: Tensor) -> Upsample2x:
    with torch.device("meta"):
        layer = Upsample2x(*weight.shape[:2], bias=True)
    layer.weight, layer.bias = constant(weight, like), constant(bias, like)
    return layer
