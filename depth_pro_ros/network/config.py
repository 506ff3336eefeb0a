"""The sizes of Depth Pro's graph, as frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from depth_pro_ros.errors import ConfigurationError

STEMS = ("linear", "conv")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; the graph is always Depth Pro's (Bochkovskii et al., arXiv:2410.02073, section 3.1).

    Only the stem and how the image is shrunk to a quarter may differ. The image of side 4 * `patch_size` is cut into 25
    patches at full, 9 at half and 1 at quarter resolution; each becomes `grid` x `grid` tokens of `embed_dim`.
    """

    patch_size: int  # side of a patch in pixels: the ViT's input
    token_size: int  # side of a token in pixels
    embed_dim: int
    blocks: int
    heads: int
    hooks: tuple[int, int]  # blocks, from 0, whose raw outputs become the two finest levels
    feature_dims: tuple[int, int, int]  # channels of the full, half and quarter resolution features
    decoder_dim: int
    head_dim: int = 32
    stem: str = "linear"  # from pixels to tokens: "linear" as published, "conv" learns faster from few images
    averaged_quarter: bool = False  # of each 4 x 4 pixels all are averaged; as published the middle 2 x 2

    def __post_init__(self) -> None:
        """Refuse sizes for which the graph's patches would not merge exactly."""
        if self.patch_size % self.token_size or self.grid % 8:
            raise ConfigurationError(
                f"patch_size {self.patch_size} with token_size {self.token_size}: their ratio must be a multiple of 8, "
                "or overlapping patches do not meet at whole tokens (512/128/16 and 1536/384/16 do)"
            )
        if self.embed_dim % self.heads:
            raise ConfigurationError(f"embed_dim {self.embed_dim} must be divisible by heads {self.heads}")
        if not 0 <= self.hooks[0] <= self.hooks[1] < self.blocks:
            raise ConfigurationError(f"hooks {self.hooks} must be ascending block numbers below {self.blocks}")
        if self.stem not in STEMS:
            raise ConfigurationError(f"stem '{self.stem}' is not one of {', '.join(STEMS)}")
        if self.stem == "conv" and (self.token_size.bit_count() != 1 or self.token_size == 1 or self.embed_dim % 8):
            raise ConfigurationError(
                f"the convolutional stem halves a token {self.token_size} pixels wide down to 1 and doubles its "
                f"channels up to embed_dim {self.embed_dim}: it takes a power of two and a multiple of 8"
            )
        if self.decoder_dim % 8:
            raise ConfigurationError(f"decoder_dim {self.decoder_dim} must be divisible by 8 (the field-of-view head)")

    @property
    def image_size(self) -> int:
        """Return the side of the square input in pixels."""
        return 4 * self.patch_size

    @property
    def grid(self) -> int:
        """Return the tokens along a patch's side."""
        return self.patch_size // self.token_size

    @property
    def output_size(self) -> int:
        """Return the side of the canonical inverse depth in pixels; the input's when token_size is 16."""
        return 64 * self.grid

    def published(self) -> NetworkConfig:
        """Return these sizes with nothing but the published graph, as other implementations build it."""
        return replace(self, stem="linear", averaged_quarter=False)

    def as_dict(self) -> dict[str, object]:
        """Return plain data for a checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> NetworkConfig:
        """Return the config that `as_dict` described; raises ConfigurationError on anything else."""
        try:
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
            return cls(**values)  # type: ignore[arg-type]
        except TypeError as error:
            raise ConfigurationError(f"network config {data}: {error}; it comes from another version") from error


PRESETS: dict[str, NetworkConfig] = {
    # The published network: ViT-L three times, 952 M parameters.
    "depth_pro": NetworkConfig(384, 16, 1024, 24, 16, (5, 11), (512, 1024, 1024), 256),
    # The embedded default: the same graph behind a convolutional stem, small enough for a CPU and for the repository.
    "tiny": NetworkConfig(128, 16, 192, 6, 3, (1, 3), (64, 96, 96), 32, stem="conv", averaged_quarter=True),
    # For unit tests: milliseconds on one core.
    "micro": NetworkConfig(128, 16, 64, 4, 1, (0, 1), (16, 32, 32), 16),
}


def preset_name(config: NetworkConfig) -> str:
    """Return the preset's name of `config`, or "custom"."""
    return next((name for name, preset in PRESETS.items() if preset == config), "custom")
