"""The Vision Transformer (DINOv2's): patch embedding, pre-norm blocks with LayerScale, class token first."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.network.config import NetworkConfig
from depth_pro_ros.network.layers import Conv2d, LayerNorm, Linear, conv1x1, conv3x3

NORM_EPS = 1e-6
FEW_TOKENS = 128


class PatchEmbed(nn.Module):
    """Pixels to tokens: as published one linear map for each token-sized square, or a stem of convolutions."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        size, dim = config.token_size, config.embed_dim
        self.proj = conv_stem(size, dim) if config.stem == "conv" else Conv2d(3, dim, kernel_size=size, stride=size)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, P, P) → (N, grid², C)."""
        return flat(self.proj(image))


def flat(tokens: Tensor) -> Tensor:
    """Return tokens on a grid (N, C, g, g) one after the other, (N, g², C)."""
    return tokens.flatten(2).transpose(1, 2)


def conv_stem(token_size: int, dim: int) -> nn.Sequential:
    """Return convolutions that halve the image until a token is one pixel (Xiao et al., arXiv:2106.14881).

    Channels double from dim / 8; the last layer projects. No normalisation, so that patches stay independent.
    """
    halvings = token_size.bit_length() - 1
    widths = [3, *(max(dim // 8, dim >> (halvings - number)) for number in range(halvings))]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [conv3x3(before, after, stride=2), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, conv1x1(widths[-1], dim, bias=True))


def products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention written out, each (N, heads, T, D) → (N, heads, T, D).

    On a CPU its gradient is faster than that of PyTorch's fused attention when there are few tokens, and the memory
    that the fused one saves is little then.
    """
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return torch.softmax(weights, -1, dtype=weights.dtype) @ v


class Attention(nn.Module):
    """Multi-head self-attention with one fused projection for queries, keys and values."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        return self.proj(self.mix(x))

    def mix(self, x: Tensor) -> Tensor:
        """Do all but the last projection: (N, T, C) → (N, T, C)."""
        n, t, c = x.shape
        qkv = self.qkv(x).view(n, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (N, heads, T, C / heads)
        attend = products if q.requires_grad and not q.is_cuda and t <= FEW_TOKENS else F.scaled_dot_product_attention
        return attend(q, k, v).transpose(1, 2).reshape(n, t, c)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1 = Linear(dim, 4 * dim)
        self.fc2 = Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual branch (Touvron et al. 2021), added to the trunk at once."""

    def __init__(self, dim: int, initial: float = 0.1):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, trunk: Tensor, branch: Tensor) -> Tensor:
        """Trunk + gamma * branch, all (N, T, C)."""
        return torch.addcmul(trunk, branch, self.gamma.to(branch.dtype))


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim, heads)
        self.ls1 = LayerScale(dim)
        self.norm2 = LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim)
        self.ls2 = LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        x = self.ls1(x, self.attn(self.norm1(x)))
        return self.ls2(x, self.mlp(self.norm2(x)))

    def some(self, x: Tensor, rows: Tensor) -> Tensor:
        """(N, T, C) → the same at `rows` (M,) of the N * T tokens: (M, C); all are attended to."""
        mixed = self.attn.mix(self.norm1(x)).flatten(0, 1)[rows]
        x = self.ls1(x.flatten(0, 1)[rows], self.attn.proj(mixed))
        return self.ls2(x, self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """Encodes square patches into tokens."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        dim = config.embed_dim
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, dim))
        self.blocks = nn.ModuleList(Block(dim, config.heads) for _ in range(config.blocks))
        self.norm = LayerNorm(dim, eps=NORM_EPS)

    def forward(
        self, image: Tensor, hooks: tuple[int, ...] = (), hooked: int = 0, wanted: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """(N, 3, P, P) → normalised tokens (N, grid², C), and raw outputs of the blocks `hooks`.

        Patches may come embedded, (N, grid², C).
        Hooked outputs are kept for the first `hooked` patches only, each (hooked, grid², C): the two
        finest levels of the decoder need no more. The class token is dropped from all. With `wanted`, numbers (M,)
        among the N * grid² tokens, the last block finishes only those, and the others come out as zeros.
        """
        x = self.patch_embed(image) if image.ndim == 4 else image
        x = torch.cat((self.cls_token.to(x.dtype).expand(len(x), -1, -1), x), dim=1)
        x = x + self.pos_embed.to(x.dtype)
        last = len(self.blocks) - 1
        kept = []
        for number, block in enumerate(self.blocks):
            if number == last and wanted is not None and last not in hooks:
                return self._finish(x, wanted), kept
            x = block(x)
            if number in hooks:
                kept.append(x[:hooked, 1:])
        return self.norm(x[:, 1:]), kept

    def _finish(self, x: Tensor, wanted: Tensor) -> Tensor:
        """Run the last block and the norm for the tokens `wanted` (M,): (N, T, C) → (N, T - 1, C)."""
        count, length, channels = len(x), x.shape[1] - 1, x.shape[2]
        rows = wanted + wanted // length + 1  # a class token more before each patch
        finished = self.norm(self.blocks[-1].some(x, rows))
        return finished.new_zeros(count * length, channels).index_copy_(0, wanted, finished).view(count, length, -1)
