"""Checkpoints: three layouts there and back, told apart by content; and every damaged or foreign one refused."""

import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.network import PRESETS, DepthPro, build, describe, layouts, load, save


@pytest.fixture(scope="module")
def network():
    return build(PRESETS["micro"], seed=7)


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def answer(network, image):
    with torch.inference_mode():
        return network(image)


def paths(folder):
    return {"native": folder / "own.safetensors", "apple": folder / "depth_pro.pt", "transformers": folder / "hf"}


@pytest.mark.parametrize("layout", ["native", "apple", "transformers"])
def test_round_trip_gives_the_same_output(layout, network, image, answer, tmp_path):
    path = save(network, paths(tmp_path)[layout], layout)
    facts = describe(path)
    assert (facts.layout, facts.preset) == (layout, "micro")
    with torch.inference_mode():
        canonical, fov = load(path)(image)
    assert torch.equal(canonical, answer[0]) and torch.equal(fov, answer[1])


def test_native_metadata_tells_preset_version_and_training(network, tmp_path):
    path = save(network, tmp_path / "a.safetensors", training={"stage": 2, "images": 1000})
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["version"], metadata["preset"]) == ("depth_pro_ros", "1", "micro")
    assert describe(path).training == {"stage": 2, "images": 1000}


def test_official_preset_has_exactly_the_published_keys():
    """Counts, shapes and the parameter total of the published table, written out here by hand."""
    with torch.device("meta"):
        weights = DepthPro(PRESETS["depth_pro"]).state_dict()
    assert len(weights) == 1119
    assert sum(tensor.numel() for tensor in weights.values()) == 951_991_330
    assert sum(tensor.numel() for name, tensor in weights.items() if not name.startswith("fov.")) == 647_731_777
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    expected = {
        "encoder.upsample_lowres.weight": (1024, 1024, 2, 2),
        "encoder.upsample_lowres.bias": (1024,),
        "encoder.fuse_lowres.weight": (1024, 2048, 1, 1),
        "encoder.upsample_latent0.0.weight": (256, 1024, 1, 1),
        "encoder.upsample_latent0.3.weight": (256, 256, 2, 2),
        "encoder.upsample_latent1.2.weight": (256, 256, 2, 2),
        "encoder.upsample0.0.weight": (512, 1024, 1, 1),
        "encoder.upsample0.1.weight": (512, 512, 2, 2),
        "decoder.convs.1.weight": (256, 256, 3, 3),
        "decoder.convs.2.weight": (256, 512, 3, 3),
        "decoder.convs.4.weight": (256, 1024, 3, 3),
        "decoder.fusions.4.resnet1.residual.1.weight": (256, 256, 3, 3),
        "decoder.fusions.4.deconv.weight": (256, 256, 2, 2),
        "decoder.fusions.0.out_conv.bias": (256,),
        "head.0.weight": (128, 256, 3, 3),
        "head.1.weight": (128, 128, 2, 2),
        "head.2.weight": (32, 128, 3, 3),
        "head.4.weight": (1, 32, 1, 1),
        "fov.encoder.1.weight": (128, 1024),
        "fov.downsample.0.weight": (128, 256, 3, 3),
        "fov.head.0.weight": (64, 128, 3, 3),
        "fov.head.4.weight": (1, 32, 6, 6),
    }
    for vit in ("encoder.patch_encoder", "encoder.image_encoder", "fov.encoder.0"):
        expected |= {
            f"{vit}.cls_token": (1, 1, 1024),
            f"{vit}.pos_embed": (1, 577, 1024),
            f"{vit}.patch_embed.proj.weight": (1024, 3, 16, 16),
            f"{vit}.blocks.23.attn.qkv.weight": (3072, 1024),
            f"{vit}.blocks.0.ls1.gamma": (1024,),
            f"{vit}.blocks.0.mlp.fc1.weight": (4096, 1024),
            f"{vit}.norm.bias": (1024,),
        }
    assert {name: shapes.get(name) for name in expected} == expected
    assert "decoder.fusions.0.deconv.weight" not in shapes and "decoder.convs.0.weight" not in shapes


def test_transformers_layout_of_the_official_preset_has_1407_names():
    with torch.device("meta"):
        weights = DepthPro(PRESETS["depth_pro"]).state_dict()
    names = [target for name in weights for target in layouts.to_transformers(name)]
    assert len(names) == len(set(names)) == 1407


def test_sharded_transformers_checkpoint(network, image, answer, tmp_path):
    save(network, tmp_path / "hf", "transformers")
    weights = load_file(tmp_path / "hf/model.safetensors")
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: weights[name] for name in held}, tmp_path / "hf" / shard)
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (tmp_path / "hf/model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "hf/model.safetensors").unlink()
    for path in (tmp_path / "hf", tmp_path / "hf/model.safetensors.index.json"):
        with torch.inference_mode():
            assert torch.equal(load(path)(image)[0], answer[0])
    (tmp_path / "hf" / next(iter(shards))).unlink()
    with pytest.raises(CheckpointError, match="shard .* is missing"):
        load(tmp_path / "hf")


def test_half_precision_storage_keeps_the_field_of_view_head_exact(network, tmp_path):
    path = save(network, tmp_path / "a.safetensors")
    half = load(path, dtype=torch.bfloat16)
    assert half.encoder.patch_encoder.norm.weight.dtype is torch.bfloat16
    for name in ("fov.encoder.1.weight", "fov.downsample.0.bias", "fov.head.0.weight"):
        assert half.state_dict()[name].dtype is torch.float32
        assert torch.equal(half.state_dict()[name], network.state_dict()[name]), "rounded on the way"


def tamper(network, path, change):
    weights = dict(network.state_dict())
    change(weights)
    torch.save(weights, path)
    return path


def test_missing_unexpected_and_misshapen_weights_are_named(network, tmp_path):
    def change(weights):
        del weights["head.0.bias"]
        weights["head.9.bias"] = torch.zeros(1)
        weights["head.4.bias"] = torch.zeros(2)

    with pytest.raises(CheckpointError) as error:
        load(tamper(network, tmp_path / "a.pt", change))
    message = str(error.value)
    assert "1 missing: head.0.bias" in message
    assert "1 unexpected: head.9.bias" in message
    assert "head.4.bias is [2], not [1]" in message


def test_another_preset_is_refused_when_one_was_asked_for(network, tmp_path):
    path = save(network, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="'micro'.*'tiny'.*was asked for"):
        load(path, config=PRESETS["tiny"])


class Code:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_not_run(zipped, tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / "evil.pt"
    if zipped:
        torch.save({"weight": Code(trap)}, path)
    else:
        path.write_bytes(pickle.dumps(Code(trap)))
    with pytest.raises(CheckpointError, match="could run code"):
        load(path)
    assert not trap.exists()


def test_unreadable_files_say_what_to_do(network, tmp_path):
    whole = save(network, tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save(dict(network.state_dict()), tmp_path / "whole.pt")
    data = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.pt").write_text("<html>Not found</html>")
    torch.save([1, 2, 3], tmp_path / "list.pt")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    (tmp_path / "folder").mkdir()
    words = {
        "cut.safetensors": "damaged",
        "cut.pt": "damaged",
        "empty.safetensors": "damaged",
        "text.pt": "code|damaged",
        "list.pt": "no plain dictionary",
        "foreign.safetensors": "not Depth Pro's",
        "folder": "neither",
        "absent.pt": "no checkpoint at",
    }
    for name, expected in words.items():
        with pytest.raises(CheckpointError, match=expected):
            load(tmp_path / name)


def test_a_newer_version_is_refused(network, tmp_path):
    path = save(network, tmp_path / "a.safetensors")
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), tmp_path / "b.safetensors", {**metadata, "version": "99"})
    with pytest.raises(CheckpointError, match="version 99"):
        load(tmp_path / "b.safetensors")


def test_a_failed_save_leaves_the_old_file(network, tmp_path, monkeypatch):
    path = save(network, tmp_path / "a.safetensors")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("depth_pro_ros.network.checkpoint.save_file", full)
    with pytest.raises(CheckpointError, match="No space left.*untouched"):
        save(network, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("layout", ["apple", "transformers"])
def test_a_stem_that_a_layout_cannot_hold_is_refused(layout, tmp_path):
    with pytest.raises(CheckpointError, match=f"'{layout}' has no place for stem 'conv'.*native"):
        save(build(PRESETS["tiny"]), tmp_path / "out", layout=layout)
    assert not any(tmp_path.iterdir())


def test_a_convolutional_stem_survives_the_native_layout(tmp_path):
    network = build(PRESETS["tiny"], seed=4)
    loaded = load(save(network, tmp_path / "stem.safetensors"))
    assert loaded.config == PRESETS["tiny"]
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), network.parameters(), strict=True))
