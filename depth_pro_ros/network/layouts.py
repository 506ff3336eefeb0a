"""Names of the weights in the three checkpoint layouts.

"apple": the state dict of the official depth_pro.pt, which is also this package's own naming ("native").
"transformers": Hugging Face's, where the fused qkv is three tensors and the decoder's levels count upwards.
"""

from __future__ import annotations

import re

_TRANSFORMERS_VIT = {
    "encoder.patch_encoder": "depth_pro.encoder.patch_encoder.model",
    "encoder.image_encoder": "depth_pro.encoder.image_encoder.model",
    "fov.encoder.0": "fov_model.fov_encoder.model",
}

_VIT_RULES = (
    (r"cls_token", r"embeddings.cls_token"),
    (r"pos_embed", r"embeddings.position_embeddings"),
    (r"patch_embed\.proj\.(\w+)", r"embeddings.patch_embeddings.projection.\1"),
    (r"blocks\.(\d+)\.(norm[12]\.\w+)", r"encoder.layer.\1.\2"),
    (r"blocks\.(\d+)\.attn\.qkv\.(\w+)", r"encoder.layer.\1.attention.attention.QKV.\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"blocks\.(\d+)\.(mlp\.fc[12]\.\w+)", r"encoder.layer.\1.\2"),
    (r"norm\.(\w+)", r"layernorm.\1"),
)

_NECK = "depth_pro.neck."
_RULES = (
    (r"encoder\.upsample_latent0\.(\d)\.(\w+)", _NECK + r"feature_upsample.intermediate.1.layers.\1.\2"),
    (r"encoder\.upsample_latent1\.(\d)\.(\w+)", _NECK + r"feature_upsample.intermediate.0.layers.\1.\2"),
    (r"encoder\.upsample0\.(\d)\.(\w+)", _NECK + r"feature_upsample.scaled_images.2.layers.\1.\2"),
    (r"encoder\.upsample1\.(\d)\.(\w+)", _NECK + r"feature_upsample.scaled_images.1.layers.\1.\2"),
    (r"encoder\.upsample2\.(\d)\.(\w+)", _NECK + r"feature_upsample.scaled_images.0.layers.\1.\2"),
    (r"encoder\.upsample_lowres\.(\w+)", _NECK + r"feature_upsample.image_block.layers.0.\1"),
    (r"encoder\.fuse_lowres\.(\w+)", _NECK + r"fuse_image_with_low_res.\1"),
    (r"decoder\.convs\.(\d)\.(\w+)", _NECK + r"feature_projection.projections.LEVEL\1.\2"),
    (r"decoder\.fusions\.0\.(.*)", r"fusion_stage.final.\1"),
    (r"decoder\.fusions\.(\d)\.(.*)", r"fusion_stage.intermediate.LEVEL\1.\2"),
    (r"head\.(\d)\.(\w+)", r"head.layers.\1.\2"),
    (r"fov\.encoder\.1\.(\w+)", r"fov_model.fov_encoder.neck.\1"),
    (r"fov\.downsample\.0\.(\w+)", r"fov_model.conv.\1"),
    (r"fov\.head\.(\d)\.(\w+)", r"fov_model.head.layers.\1.\2"),
)

_FUSION_PARTS = (
    ("resnet1.residual.1", "residual_layer1.convolution1"),
    ("resnet1.residual.3", "residual_layer1.convolution2"),
    ("resnet2.residual.1", "residual_layer2.convolution1"),
    ("resnet2.residual.3", "residual_layer2.convolution2"),
    ("out_conv", "projection"),
)


def to_transformers(name: str) -> tuple[str, ...]:
    """Return the transformers name of a weight: one, or three (query, key, value) for a fused qkv."""
    for ours, theirs in _TRANSFORMERS_VIT.items():
        if name.startswith(ours + "."):
            mapped = f"{theirs}.{_apply(_VIT_RULES, name[len(ours) + 1:])}"
            if ".QKV." in mapped:
                return tuple(mapped.replace("QKV", part) for part in ("query", "key", "value"))
            return (mapped,)
    mapped = re.sub(r"LEVEL(\d)", lambda match: str(4 - int(match[1])), _apply(_RULES, name))
    for ours, theirs in _FUSION_PARTS:
        mapped = mapped.replace(ours, theirs)
    return (mapped,)


def sources(layout: str, name: str) -> tuple[str, ...]:
    """Return where `layout` keeps the weight that this package calls `name`; several are stacked along axis 0."""
    return to_transformers(name) if layout == "transformers" else (name,)


def detect(names: set[str]) -> str | None:
    """Return the layout that a checkpoint with these names has, or None."""
    if "encoder.patch_encoder.cls_token" in names:
        return "apple"
    if "depth_pro.encoder.patch_encoder.model.embeddings.cls_token" in names:
        return "transformers"
    return None


def _apply(rules: tuple[tuple[str, str], ...], name: str) -> str:
    for pattern, replacement in rules:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    raise KeyError(name)
