"""Weights in and out: Apple's layout, transformers' and our own, told apart by what is in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.network import layouts
from depth_pro_ros.network.config import PRESETS, NetworkConfig, preset_name
from depth_pro_ros.network.depth_pro import DepthPro, storage_dtype
from depth_pro_ros.network.storage import SINGLE, Archive, open_archive, release_pages, replaced

FORMAT = "depth_pro_ros"
VERSION = "1"
HEAD_CHANNELS = 64  # of every published ViT; a state dict does not tell the number of heads
SHOWN = 8  # names listed in an error


@dataclass(frozen=True)
class CheckpointFacts:
    """What a checkpoint says of itself: layout (native, apple, transformers), sizes, facts of its training."""

    layout: str
    config: NetworkConfig
    training: Mapping[str, object]

    @property
    def preset(self) -> str:
        """Return the preset's name, or "custom"."""
        return preset_name(self.config)


def describe(path: str | Path) -> CheckpointFacts:
    """Return what the checkpoint at `path` holds, without reading its weights; raises CheckpointError."""
    with open_archive(Path(path)) as archive:
        return _facts(archive, Path(path))


def load(
    path: str | Path,
    config: NetworkConfig | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> DepthPro:
    """Return the network at `path`, in evaluation mode, its weights stored in `dtype` on `device`.

    The layout is detected. With `config` the checkpoint must be of exactly that network. Names and
    shapes must match strictly; raises CheckpointError that lists what is missing, unexpected or of
    another shape. Weights are copied one by one out of the memory-mapped file, so that peak memory is
    about one copy, and a file that is replaced later cannot hurt a running robot.
    """
    path = Path(path)
    with open_archive(path) as archive:
        facts = _facts(archive, path)
        if config is not None and config != facts.config:
            raise CheckpointError(
                f"checkpoint '{path}' holds preset '{facts.preset}' {facts.config}, but '{preset_name(config)}' "
                f"{config} was asked for: give that preset's checkpoint, or leave the preset out"
            )
        with torch.device("meta"):
            network = DepthPro(facts.config)
        _check_names(network, archive, facts.layout, path)
        network.load_state_dict(_weights(network, archive, facts.layout, dtype, torch.device(device)), assign=True)
    return network.set_precision(dtype, torch.float32).eval().requires_grad_(False)


def save(
    network: DepthPro, path: str | Path, layout: str = "native", training: Mapping[str, object] | None = None
) -> Path:
    """Write `network` to `path` whole or not at all, and return what was written.

    layout "native": one .safetensors with the preset, `training` facts (JSON) and a version in its
    metadata; "apple": the official .pt naming; "transformers": a folder with config.json.
    """
    path = Path(path)
    if network.simplified:
        raise CheckpointError(
            f"'{path}' was not written: this network is simplified, its folded layers have no place in a checkpoint; "
            "save the network before simplify, or load it anew"
        )
    if layout in ("apple", "transformers") and network.config != network.config.published():
        raise CheckpointError(
            f"layout '{layout}' has no place for stem '{network.config.stem}' with averaged_quarter "
            f"{network.config.averaged_quarter}: save these weights as native"
        )
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if layout == "native":
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "preset": preset_name(network.config),
            "config": json.dumps(network.config.as_dict()),
            "training": json.dumps(dict(training or {})),
        }
        with replaced(path) as aside:
            save_file(weights, str(aside), metadata)
    elif layout == "apple":
        with replaced(path) as aside:
            torch.save(weights, aside)
    elif layout == "transformers":
        _save_transformers(weights, network.config, path)
    else:
        raise CheckpointError(f"layout '{layout}' is unknown; allowed: native, apple, transformers")
    return path


def _save_transformers(weights: dict[str, Tensor], config: NetworkConfig, folder: Path) -> None:
    renamed = {}
    for name, tensor in weights.items():
        targets = layouts.to_transformers(name)
        for target, part in zip(targets, tensor.chunk(len(targets)), strict=True):
            renamed[target] = part.contiguous()
    with replaced(folder / "config.json") as aside:
        aside.write_text(json.dumps(transformers_config(config), indent=2))
    with replaced(folder / SINGLE) as aside:
        save_file(renamed, str(aside), {"format": "pt"})


def transformers_config(config: NetworkConfig) -> dict[str, object]:
    """Return the config.json with which transformers builds the same graph."""
    vit = {
        "model_type": "dinov2",
        "hidden_size": config.embed_dim,
        "num_hidden_layers": config.blocks,
        "num_attention_heads": config.heads,
        "image_size": config.patch_size,
        "patch_size": config.token_size,
        "use_mask_token": False,
        "mlp_ratio": 4,
        "layer_norm_eps": 1e-6,
    }
    full, half, quarter = config.feature_dims
    return {
        "architectures": ["DepthProForDepthEstimation"],
        "model_type": "depth_pro",
        "fusion_hidden_size": config.decoder_dim,
        "patch_size": config.patch_size,
        "intermediate_hook_ids": [config.hooks[1], config.hooks[0]],
        "intermediate_feature_dims": [config.decoder_dim, config.decoder_dim],
        "scaled_images_ratios": [0.25, 0.5, 1],
        "scaled_images_overlap_ratios": [0.0, 0.5, 0.25],
        "scaled_images_feature_dims": [quarter, half, full],
        "merge_padding_value": config.grid // 8,
        "use_fov_model": True,
        "num_fov_head_layers": 2,
        **{name: vit for name in ("image_model_config", "patch_model_config", "fov_model_config")},
    }


def _facts(archive: Archive, path: Path) -> CheckpointFacts:
    if archive.metadata.get("format") == FORMAT:
        if archive.metadata.get("version") != VERSION:
            raise CheckpointError(
                f"checkpoint '{path}' has version {archive.metadata.get('version')}, this package reads {VERSION}: "
                "update the package"
            )
        config = NetworkConfig.from_dict(json.loads(archive.metadata["config"]))
        return CheckpointFacts("native", config, json.loads(archive.metadata.get("training", "{}")))
    layout = layouts.detect(set(archive.shapes))
    if layout is None:
        names = ", ".join(sorted(archive.shapes)[:3]) or "nothing"
        raise CheckpointError(
            f"checkpoint '{path}' is not Depth Pro's: it holds {len(archive.shapes)} tensors ({names}, ...); "
            "allowed are Apple's depth_pro.pt, transformers' DepthPro and this package's own safetensors"
        )
    return CheckpointFacts(layout, _infer_config(archive, layout, path), {})


def _infer_config(archive: Archive, layout: str, path: Path) -> NetworkConfig:
    """Read the sizes off the tensors' shapes, and what shapes do not tell off config.json or the presets."""

    def shape(name: str) -> tuple[int, ...]:
        source = layouts.sources(layout, name)[0]
        if source not in archive.shapes:
            raise CheckpointError(f"checkpoint '{path}' lacks '{source}': it is incomplete")
        return archive.shapes[source]

    dim, _, token, _ = shape("encoder.patch_encoder.patch_embed.proj.weight")
    grid = round((shape("encoder.patch_encoder.pos_embed")[1] - 1) ** 0.5)
    blocks = 0
    while layouts.sources(layout, f"encoder.patch_encoder.blocks.{blocks}.norm1.weight")[0] in archive.shapes:
        blocks += 1
    vit = archive.config.get("patch_model_config") or {}
    hooks = sorted(archive.config.get("intermediate_hook_ids") or ())
    known = next((p for p in PRESETS.values() if (p.embed_dim, p.blocks, p.grid) == (dim, blocks, grid)), None)
    return NetworkConfig(
        patch_size=grid * token,
        token_size=token,
        embed_dim=dim,
        blocks=blocks,
        heads=vit.get("num_attention_heads") or max(1, dim // HEAD_CHANNELS),
        hooks=tuple(hooks) or (known.hooks if known else (blocks // 4 - 1, blocks // 2 - 1)),
        feature_dims=tuple(shape(f"encoder.upsample{level}.0.weight")[0] for level in range(3)),
        decoder_dim=shape("decoder.fusions.0.out_conv.weight")[0],
        head_dim=shape("head.2.weight")[0],
    )


def _check_names(network: nn.Module, archive: Archive, layout: str, path: Path) -> None:
    missing, misshapen, expected = [], [], set()
    for name, tensor in network.state_dict().items():
        sources = layouts.sources(layout, name)
        expected.update(sources)
        wanted = (tensor.shape[0] // len(sources), *tensor.shape[1:]) if len(sources) > 1 else tuple(tensor.shape)
        for source in sources:
            if source not in archive.shapes:
                missing.append(source)
            elif archive.shapes[source] != wanted:
                misshapen.append(f"{source} is {list(archive.shapes[source])}, not {list(wanted)}")
    found = {"missing": missing, "unexpected": sorted(set(archive.shapes) - expected), "of another shape": misshapen}
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for kind, names in found.items()
        if names
    ]
    if problems:
        raise CheckpointError(f"checkpoint '{path}' ({layout} layout) does not fit the network. " + "; ".join(problems))


def _weights(
    network: nn.Module, archive: Archive, layout: str, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    weights = {}
    for name, parameter in network.state_dict().items():
        target = torch.empty(parameter.shape, dtype=storage_dtype(name, dtype), device=device)
        sources = layouts.sources(layout, name)
        for source, part in zip(sources, target.chunk(len(sources)), strict=True):
            tensor = archive.read(source)
            part.copy_(tensor)
            if archive.mapped:
                release_pages(tensor)
        weights[name] = target
    return weights
