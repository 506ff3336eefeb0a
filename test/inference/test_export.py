"""Exports: what decides about them with stand-in writers, and (slow) the real ones against PyTorch."""

import errno
import json
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.cli import export as command
from depth_pro_ros.cli import main as command_line
from depth_pro_ros.cli import photos
from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.inference import Predictor, export
from depth_pro_ros.inference.export import ExactNorm, to_half
from depth_pro_ros.inference.weights import Loaded
from depth_pro_ros.network import NetworkConfig, build, save
from depth_pro_ros.network.layers import LayerNorm

SMALL = NetworkConfig(16, 2, 16, 2, 1, (0, 1), (8, 8, 8), 8, head_dim=8, stem="conv")
NOISE = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)


def small():
    return build(SMALL, seed=1).requires_grad_(False)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def written(monkeypatch):
    """Replace writing and running ONNX: the network itself answers, through what `defect` makes of it."""
    state = {"defect": lambda canonical: canonical, "write": lambda path: path.write_text("model")}
    monkeypatch.setattr(export, "_program", lambda network, image: network)

    def write(network, path, facts):
        state["network"], state["facts"] = network, facts
        state["write"](path)

    def open_written(path, device):
        def run(image):
            with torch.inference_mode():
                canonical, fov_deg = state["network"](torch.from_numpy(image))
            return state["defect"](canonical.numpy()), fov_deg.numpy()

        return run

    monkeypatch.setitem(export.FORMATS, "onnx", (write, open_written))
    return state


def make(path, network=None, told=None, **options):
    loaded = Loaded(network or small(), "small", "custom", True, {"images": 7})
    log = (told if told is not None else []).append
    return export.export(loaded, None, path, {"noise": NOISE}, log=log, **options)


def test_an_export_that_agrees_is_kept_with_its_figures(written, tmp_path):
    done = make(tmp_path / "new" / "a.onnx")
    assert names(tmp_path / "new") == ["a.onnx"] and done.bytes == 5
    assert [found.image for found in done.agreements] == ["fixed", "noise"]
    assert all(found.worst == 0.0 for found in done.agreements) and done.peak is None
    assert json.loads(written["facts"]["config"])["patch_size"] == 16
    assert (written["facts"]["trained"], written["facts"]["precision"]) == ("true", "float32")
    assert json.dumps(done.as_dict())


@pytest.mark.parametrize(
    "defect, reason",
    [
        (lambda canonical: canonical * 1.001, "image 'fixed': median 0.000"),
        (lambda canonical: np.where(np.arange(canonical.size).reshape(canonical.shape) == 9, 9, canonical), "worst"),
        (lambda canonical: canonical * np.nan, "median nan"),
        (lambda canonical: canonical / 0, "median nan"),
    ],
    ids=["off", "one pixel", "nan", "infinite"],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_an_export_that_differs_is_refused_and_what_was_there_stays(written, tmp_path, defect, reason):
    (tmp_path / "a.onnx").write_text("older")
    written["defect"] = defect
    with pytest.raises(OutputError, match=f"does not agree with PyTorch.*{reason}.*It was removed"):
        make(tmp_path / "a.onnx")
    assert names(tmp_path) == ["a.onnx"] and (tmp_path / "a.onnx").read_text() == "older"


def test_weights_in_a_file_of_their_own_never_meet_another_model(written, tmp_path, monkeypatch):
    (tmp_path / "a.onnx").write_text("older")
    (tmp_path / "a.onnx.data").write_text("older")
    written["write"] = lambda path: (path.write_text("model"), path.with_name("a.onnx.data").write_text("weights"))
    seen = []
    replace = export.Path.replace
    monkeypatch.setattr(
        export.Path, "replace", lambda self, to: (seen.append((to.name, names(tmp_path)[1:])), replace(self, to))
    )
    assert make(tmp_path / "a.onnx").bytes == 12
    assert seen == [("a.onnx.data", ["a.onnx.data"]), ("a.onnx", ["a.onnx.data"])]
    assert ((tmp_path / "a.onnx").read_text(), (tmp_path / "a.onnx.data").read_text()) == ("model", "weights")


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(written, tmp_path, fault):
    def write(path):
        path.write_text("half")
        raise fault

    written["write"] = write
    with pytest.raises(OutputError if isinstance(fault, OSError) else KeyboardInterrupt) as stop:
        make(tmp_path / "a.onnx")
    assert isinstance(fault, KeyboardInterrupt) or "No space left on device" in str(stop.value)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(written, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="was not written"):
        make(tmp_path / "file" / "a.onnx")


def test_half_precision_that_would_overflow_is_refused_before_it_is_written(written, tmp_path):
    network = small()
    network.encoder.image_encoder.blocks[1].mlp.fc1.bias.fill_(-7e4)
    with pytest.raises(OutputError, match="image_encoder.blocks.1.mlp.fc1' reaches 7e.04, float16 ends at 65504"):
        make(tmp_path / "a.onnx", network, precision="float16")
    assert names(tmp_path) == []
    make(tmp_path / "a.onnx", network)


def test_little_headroom_of_half_precision_is_told(written, tmp_path):
    network, told = small(), []
    network.encoder.image_encoder.blocks[1].mlp.fc1.bias.fill_(-2e4)
    done = make(tmp_path / "a.onnx", network, told, precision="float16")
    assert "reaches 2e+04 of the 65504" in told[0] and done.peak.value == pytest.approx(2e4, rel=0.01)
    assert make(tmp_path / "b.onnx", precision="float16").peak.value < 1000


def test_half_precision_keeps_norms_and_the_field_of_view_exact(tmp_path):
    network = small()
    exact = network(torch.from_numpy(NOISE))
    rounded = to_half(network)(torch.from_numpy(NOISE))
    assert 0 < (rounded[0] - exact[0]).abs().max() < 0.02 * exact[0].mean() and abs(rounded[1] - exact[1]) < 0.05
    halves = {name for name, weight in network.named_parameters() if weight.dtype is torch.float16}
    assert "encoder.patch_encoder.blocks.0.attn.qkv.weight" in halves and not any("norm" in name for name in halves)
    assert network.fov.head[4].weight.dtype is torch.float32


def test_an_exact_norm_takes_what_overflows_when_squared():
    norm = LayerNorm(4, eps=1e-6)
    x = torch.tensor([[300.0, -300.0, 60000.0, 1.0]])
    expected = F.layer_norm(x, (4,), norm.weight, norm.bias, 1e-6)
    found = ExactNorm(norm)(x.half())
    assert found.dtype is torch.float16 and torch.isfinite(found).all()
    np.testing.assert_allclose(found.float().detach(), expected.detach(), atol=2e-3)


@pytest.mark.parametrize("format, precision", [("coreml", "float32"), ("onnx", "int8"), ("torch", "float16")])
def test_combinations_that_do_not_exist(tmp_path, format, precision):
    with pytest.raises(ConfigurationError, match="allowed are onnx, torch, aoti in float32, and onnx in float16"):
        make(tmp_path / "a", format=format, precision=precision)


def test_without_a_compiler_aotinductor_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigurationError, match="there is no 'no-such-compiler': install one"):
        export._write_aoti(None, tmp_path / "a.pt2", {})


def test_default_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert command.default_path("tiny", "onnx") == tmp_path / "depth_pro_ros" / "tiny.onnx"
    assert command.default_path("somewhere/mine.safetensors", "aoti") == command.Path("mine.aoti.pt2")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(small(), tmp_path_factory.mktemp("export") / "small.safetensors", training={"images": 1})


@pytest.fixture(scope="module")
def photo(data_dir):
    return data_dir / "boundary_lemur" / "image_composited.png"


def run(checkpoint, out, *options):
    return command_line.main(["export", *options[:1], "--weights", str(checkpoint), "--out", str(out), *options[1:]])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("precision, rtol", [("float32", 1e-4), ("float16", 0.05)])
def test_onnx_predicts_as_pytorch_does(checkpoint, photo, tmp_path, capsys, monkeypatch, precision, rtol):
    pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
    if precision == "float16":
        monkeypatch.setattr(export, "SINGLE_FILE", 0)  # as weights above 2 GB are written
    out = tmp_path / f"{precision}.onnx"
    assert run(checkpoint, out, "onnx", "--precision", precision, "--images", str(photo), "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    print(precision, figures["agreements"])
    assert [found["image"] for found in figures["agreements"]] == ["fixed", "noise", str(photo)]
    expected = [out.name] if precision == "float32" else [out.name, f"{out.name}.data"]
    assert names(tmp_path) == expected
    assert figures["bytes"] == sum(os.path.getsize(tmp_path / name) for name in expected)
    assert b".py" not in out.read_bytes(), "the file names files of this machine"
    ours = Predictor.load(out, device="cpu", backend="onnxruntime", log=lambda text: None)
    theirs = Predictor.load(checkpoint, device="cpu", precision="float32", log=lambda text: None)
    assert (ours.description["precision"], ours.description["trained"]) == (precision, True)
    rgb = photos.read(photo).rgb
    mine, reference = ours.predict(rgb), theirs.predict(rgb)
    assert mine.focal_px == pytest.approx(reference.focal_px, rel=1e-3)
    np.testing.assert_allclose(mine.depth_m, reference.depth_m, rtol=rtol)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("format", ["torch", "aoti"])
def test_packages_of_pytorch_run_and_agree(checkpoint, photo, tmp_path, capsys, format):
    out = tmp_path / f"small.{format}.pt2"
    assert run(checkpoint, out, format, "--images", str(photo)) == 0
    assert names(tmp_path) == [out.name] and "Against PyTorch" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_export_of_other_weights_is_refused(checkpoint, tmp_path, capsys, monkeypatch):
    real = export._program

    def other(network, image):
        network.head[4].weight.mul_(1.01)
        return real(network, image)

    monkeypatch.setattr(export, "_program", other)
    assert run(checkpoint, tmp_path / "a.pt2", "torch") == 2
    assert "does not agree with PyTorch on image 'fixed': median 0.0" in capsys.readouterr().err
    assert names(tmp_path) == []
