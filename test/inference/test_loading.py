"""What loading makes of the options, and what it tells when something cannot be had."""

import math

import numpy as np
import pytest
import torch

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference import Predictor, loading
from depth_pro_ros.inference.graphs import Graphed
from depth_pro_ros.inference.incremental import IncrementalNetwork
from depth_pro_ros.inference.loading import IncrementalOptions, Options, make_ready
from depth_pro_ros.inference.memory import Parts
from depth_pro_ros.inference.precision import FLOAT32, Precision, candidates
from depth_pro_ros.inference.weights import Loaded
from depth_pro_ros.network import PRESETS, DepthPro, build
from depth_pro_ros.network.quantise import QuantisedLinear

PHOTO = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def load(told=None, **options):
    options = {"device": "cpu", "precision": "float32", **options}
    return make_ready("micro", Options(**options), (told if told is not None else []).append)


def test_what_runs_is_simplified_and_gives_the_plain_network_s_results():
    ready = load()
    assert ready.loaded.network.simplified
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        for found, expected in zip(ready.run(image), build(PRESETS["micro"])(image), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_int8_is_close_to_float32_and_for_the_cpu_only():
    ready = load(precision="int8")
    assert ready.precision.name == "int8 linear layers, float32 arithmetic"
    assert any(isinstance(module, QuantisedLinear) for module in ready.loaded.network.modules())
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        (found, _), (expected, _) = ready.run(image), build(PRESETS["micro"])(image)
    assert 0 < (found - expected).abs().mean() < 0.05 * expected.std()
    with pytest.raises(ConfigurationError, match="int8 is for the CPU, and the device is cuda"):
        candidates("int8", CUDA)


class Rounding(torch.nn.Module):
    """Is right in float32, and off by `factor` in half precision."""

    config = PRESETS["micro"]

    def __init__(self, factor):
        super().__init__()
        self.factor, self.compute_dtype, self.weight = factor, torch.float32, torch.nn.Parameter(torch.ones(1))

    def forward(self, image, fov=True):
        factor = 1.0 if self.compute_dtype is torch.float32 else self.factor
        return torch.full((len(image), 1, 512, 512), 0.5 * factor), torch.full((len(image),), 60.0) if fov else None

    def set_precision(self, storage, compute):
        self.compute_dtype = compute
        return self


@pytest.mark.parametrize(("factor", "used"), [(1.01, "bfloat16"), (1.2, "float32"), (math.nan, "float32")])
def test_auto_precision_checks_itself_once(monkeypatch, factor, used):
    half = Precision(torch.bfloat16, torch.bfloat16)
    monkeypatch.setattr(loading, "candidates", lambda name, device: [half, FLOAT32])
    monkeypatch.setattr(loading, "open_weights", lambda *_: Loaded(Rounding(factor), "rounding", "micro", True, {}))
    for step in ("simplify", "pack"):
        monkeypatch.setattr(loading, step, lambda network: network)
    told = []
    predictor = Predictor.load("any", device="cpu", precision="auto", log=told.append)
    assert predictor.description["precision"] == used
    assert [("disagrees" in text, "not finite" in text) for text in told] == (
        [] if used == "bfloat16" else [(True, math.isnan(factor))]
    )


def test_a_format_without_arithmetic_is_told(monkeypatch):
    monkeypatch.setattr(loading, "candidates", lambda *_: [Precision(torch.bfloat16, torch.float32)])
    told = []
    assert load(told, precision="bfloat16").precision.compute is torch.float32
    assert told == ["this cpu has no bfloat16 arithmetic: bfloat16 weights, float32 arithmetic"]


def test_parts_by_device_and_by_choice():
    assert Parts.of(load().loaded.network) == Parts(35, 1)
    assert Parts.of(load(patch_batch=7).loaded.network) == Parts(7, 1)


@pytest.mark.parametrize(
    ("preset", "dtype", "parts"),
    [
        ("tiny", torch.float32, (18, 1)),
        ("tiny", torch.bfloat16, (35, 1)),
        ("depth_pro", torch.bfloat16, (5, 2)),
    ],
)
def test_a_cpu_works_in_parts_that_stay_near_its_cache_and_a_gpu_at_once(preset, dtype, parts):
    with torch.device("meta"):
        network = DepthPro(PRESETS[preset]).to(dtype)
    assert loading._parts(network, CPU, Options()) == Parts(*parts)
    assert loading._parts(network, CUDA, Options()) == Parts(35, 1)


def test_a_budget_is_kept_to_and_told():
    whole = load(max_memory_gb=100.0)
    assert whole.facts["patch_batch"] == 35 and 0 < whole.facts["memory_gb"] < 1
    assert Parts.of(whole.loaded.network) == Parts(35, 1)


@pytest.mark.parametrize("budget", [-1.0, math.nan, math.inf])
def test_budgets_that_mean_nothing_are_refused(budget):
    with pytest.raises(ConfigurationError, match="max_memory_gb is"):
        Options(max_memory_gb=budget)


def test_contradictory_options_are_refused():
    incremental = IncrementalOptions()
    for options in ({"quality": "fast"}, {"compile": True}):
        with pytest.raises(ConfigurationError, match="incremental"):
            Options(incremental=incremental, **options)
    with pytest.raises(ConfigurationError, match="quality is 'poor'; allowed: full"):
        Options(quality="poor")
    for options in ({"quality": "fast"}, {"incremental": incremental}):
        with pytest.raises(ConfigurationError, match="set backend to torch"):
            Predictor.load("micro", backend="onnxruntime", **options)


def test_incremental_follows_a_stream_and_tells_its_cost():
    told = []
    plain = Predictor.load("micro", device="cpu", precision="float32", log=told.append)
    stream = Predictor.load(
        "micro", device="cpu", precision="float32", incremental=IncrementalOptions(0.0, 10), log=told.append
    )
    assert plain.figures() == {} and stream.description["incremental"] is True
    first = stream.predict(PHOTO)
    assert stream.figures()["patches"] == 35
    again = stream.predict(PHOTO)
    assert stream.figures()["patches"] == 0 and stream.figures()["encoder_share"] == 0.0
    np.testing.assert_array_equal(again.depth_m, first.depth_m)
    np.testing.assert_allclose(first.depth_m, plain.predict(PHOTO).depth_m, rtol=1e-3)


def test_another_resolution_in_mid_stream_is_followed():
    plain = Predictor.load("micro", device="cpu", precision="float32", log=lambda text: None)
    stream = Predictor.load(
        "micro", device="cpu", precision="float32", incremental=IncrementalOptions(), log=lambda text: None
    )
    for rgb in (PHOTO, PHOTO[:64, :48], PHOTO):
        np.testing.assert_allclose(stream.predict(rgb).depth_m, plain.predict(rgb).depth_m, rtol=1e-3)


def test_a_gpu_gets_graphs_and_streams(monkeypatch):
    """How the pieces are put together; what they do stands in test_graphs.py and test_overlap.py."""
    network, overlapped = build(PRESETS["micro"]), []
    monkeypatch.setattr(loading, "CudaQueue", lambda: "queue")
    monkeypatch.setattr(loading, "overlap", lambda *args: overlapped.append(args))
    run = loading._runner(network, CUDA, Options(), {}, lambda text: None)
    assert isinstance(run, Graphed) and overlapped == [(network, ("queue", "queue"))]
    assert loading._runner(network, CPU, Options(), {}, lambda text: None) is network
    assert isinstance(loading._incremental(network, IncrementalOptions()), IncrementalNetwork)
    assert loading._incremental(network, None) is None
