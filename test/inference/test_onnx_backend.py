"""onnxruntime in PyTorch's place: on a file of known answers, with execution providers of every kind."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra 'export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

from inference import exported  # noqa: E402
from inference.exported import Runtime  # noqa: E402

from depth_pro_ros.errors import CheckpointError, ConfigurationError, InferenceError  # noqa: E402
from depth_pro_ros.inference import Predictor, onnx_backend  # noqa: E402
from depth_pro_ros.inference.weights import cache_folder, fingerprint  # noqa: E402
from depth_pro_ros.network import PRESETS, build, save  # noqa: E402

WHITE = np.full((120, 200, 3), 255, np.uint8)  # 1 everywhere for the network


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return exported.write(tmp_path_factory.mktemp("onnx") / "known.onnx")


def load(weights, told=None, **options):
    options = {"device": "cpu", **options}
    return Predictor.load(weights, backend="onnxruntime", log=(told if told is not None else []).append, **options)


def test_depth_and_focal_length_are_those_of_the_files_answer(path):
    predictor = load(path)
    result = predictor.predict(WHITE)
    focal = 100 / math.tan(math.radians(61 / 2))  # 60 degrees and the mean, 1; 200 pixels
    assert result.focal_estimated_px == pytest.approx(focal, rel=1e-6)
    np.testing.assert_allclose(result.depth_m, focal / (200 * 3.0), rtol=1e-5)  # D = f / (w C), C = 1 + 2
    known = predictor.predict(WHITE, focal_px=300.0)
    assert known.focal_estimated_px is None
    np.testing.assert_allclose(known.depth_m, 300 / 600, rtol=1e-6)
    assert predictor.description["backend"] == "onnxruntime"
    assert predictor.description["device"] == "CPUExecutionProvider"
    assert (predictor.description["precision"], predictor.description["trained"]) == ("float32", True)
    assert predictor.warm_up() > 0


def test_a_batch_is_run_one_by_one(path):
    both = load(path).predict_batch([WHITE, np.zeros_like(WHITE)], focal_px=300.0)
    np.testing.assert_allclose(both[0].depth_m, 0.5, rtol=1e-6)
    np.testing.assert_allclose(both[1].depth_m, 300 / (200 * 1.0), rtol=1e-6)  # black is -1, so C = 1


@pytest.mark.parametrize(
    "providers, device, used, reasons",
    [
        ({"Tensorrt": "works", "CUDA": "works"}, "auto", "Tensorrt", []),
        ({"Tensorrt": "library", "CUDA": "works"}, "auto", "CUDA", ["its libraries cannot be loaded"]),
        ({"Tensorrt": "nan", "CUDA": "works"}, "cuda", "CUDA", ["not finite"]),
        ({"Tensorrt": "raises", "CUDA": "works"}, "cuda", "CUDA", ["could not be built (pretended)"]),
        ({"CUDA": "nan"}, "auto", "CPU", ["9.9 was built without it", "not finite"]),
        ({}, "auto", "CPU", ["built without it", "built without it"]),
        ({"Tensorrt": "works", "CUDA": "works"}, "cpu", "CPU", []),
    ],
)
def test_the_first_provider_that_answers_rightly_runs_it(path, monkeypatch, tmp_path, providers, device, used, reasons):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnx_backend, "runtime", lambda: Runtime(CPU="works", **providers))
    told = []
    assert load(path, told, device=device).description["device"] == f"{used}ExecutionProvider"
    why = [line for line in told if "not used" in line]
    assert len(why) == (1 if reasons else 0)
    assert not reasons or why[0].startswith(f"{used}ExecutionProvider runs the network; not used: ")
    assert all(reason in why[0] for reason in reasons)


def test_a_gpu_that_was_asked_for_is_not_silently_replaced(path, monkeypatch):
    monkeypatch.setattr(onnx_backend, "runtime", lambda: Runtime(CPU="works", CUDA="library"))
    with pytest.raises(ConfigurationError, match="'cuda': Tensorrt.*without it.*CUDA.*Install onnxruntime-gpu"):
        load(path, device="cuda")
    with pytest.raises(ConfigurationError, match="device is 'mps'.*allowed: auto, cuda, cpu"):
        load(path, device="mps")


@pytest.mark.parametrize("precision, half", [("float32", "0"), ("float16", "1")])
def test_tensorrt_computes_in_the_exports_precision_and_keeps_its_engine(tmp_path, monkeypatch, precision, half):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runtime = Runtime(CPU="works", Tensorrt="works", CUDA="works")
    monkeypatch.setattr(onnx_backend, "runtime", lambda: runtime)
    told = []
    load(exported.write(tmp_path / "a.onnx", precision=precision), told, device="auto")
    (name, options), *rest = runtime.asked[-1]
    assert name == onnx_backend.TENSORRT and rest == [onnx_backend.CUDA, onnx_backend.CPU]
    assert (options["trt_fp16_enable"], options["trt_layer_norm_fp32_fallback"]) == (half, half)
    assert options["trt_engine_cache_path"] == str(tmp_path / "depth_pro_ros" / "tensorrt" / "onnxruntime-9.9")
    assert (tmp_path / "depth_pro_ros" / "tensorrt" / "onnxruntime-9.9").is_dir()
    assert "this takes minutes" in told[0]


def test_an_export_that_answers_wrongly_here_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="its median deviation is 20.0%"):
        load(exported.write(tmp_path / "off.onnx", factor=1.2))
    with pytest.raises(ConfigurationError, match="its results are not finite"):
        load(exported.write(tmp_path / "nan.onnx", factor=math.nan))
    rounded = load(exported.write(tmp_path / "rounded.onnx", factor=1.01))
    assert rounded.network.deviation() == pytest.approx(0.01, abs=1e-3)


def test_what_is_no_export_is_refused(path, tmp_path):
    with pytest.raises(CheckpointError, match="no ONNX export at .*depth_pro_ros export onnx --weights"):
        load(tmp_path / "missing.onnx")
    with pytest.raises(CheckpointError, match="no export of this package"):
        load(exported.write(tmp_path / "foreign.onnx", told=False))
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="damaged|no export of this package"):
        load(tmp_path / "cut.onnx")
    with pytest.raises(CheckpointError, match="set backend to onnxruntime"):
        Predictor.load(path, device="cpu", log=lambda text: None)
    with pytest.raises(ConfigurationError, match="backend is 'tflite'; allowed: torch, onnxruntime"):
        Predictor.load(path, device="cpu", backend="tflite")


def test_another_precision_than_the_exports_is_refused(path):
    assert load(path, precision="float32").description["precision"] == "float32"
    with pytest.raises(ConfigurationError, match="was exported in float32.*--precision float16"):
        load(path, precision="float16")


def test_a_name_means_the_export_in_the_cache_folder_and_an_outdated_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="micro.onnx'.*--weights micro"):
        load("micro")
    cache_folder().mkdir()
    exported.write(cache_folder() / "micro.onnx")
    told = []
    assert load("micro", told).description["preset"] == "micro" and told == []
    checkpoint = save(build(PRESETS["micro"], seed=3), cache_folder() / "micro.safetensors")
    load("micro", told)
    assert "other weights than those that 'micro' now means" in told[0]
    exported.write(cache_folder() / "micro.onnx", fingerprint=fingerprint(checkpoint))
    load("micro", told)
    assert len(told) == 1


def test_weights_are_told_apart_by_their_fingerprint(tmp_path):
    one = save(build(PRESETS["micro"], seed=1), tmp_path / "one.safetensors")
    same = shutil.copy(one, tmp_path / "same.safetensors")
    other = save(build(PRESETS["micro"], seed=2), tmp_path / "other.safetensors")
    folder = save(build(PRESETS["micro"], seed=2), tmp_path / "hf", "transformers")
    assert fingerprint(one) == fingerprint(Path(same)) != fingerprint(other)
    assert fingerprint(folder) == fingerprint(folder / "model.safetensors") and fingerprint(None) == "untrained"


def test_a_fault_while_running_loses_the_frame_only(path):
    predictor = load(path)
    session = predictor.network._session

    class Faulty:
        def run(self, names, feed):
            predictor.network._session = session
            raise RuntimeError("CUDA failure 2: out of memory (pretended)")

    predictor.network._session = Faulty()
    with pytest.raises(InferenceError, match="onnxruntime failed with CPUExecutionProvider.*out of memory"):
        predictor.predict(WHITE, focal_px=1.0)
    assert np.isfinite(predictor.predict(WHITE, focal_px=1.0).depth_m).all()


def test_the_cpu_provider_uses_pytorchs_number_of_threads(path, monkeypatch):
    seen = []
    real = onnx_backend.runtime()
    monkeypatch.setattr(
        real, "InferenceSession", lambda path, options, **kwargs: seen.append(options.intra_op_num_threads)
    )
    onnx_backend.make_session(path, onnx_backend.CPU)
    assert seen == [torch.get_num_threads()]


def test_without_onnxruntime_it_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigurationError, match="onnxruntime is not installed: pip install"):
        load(path)
