"""The predictor against the original's own formulas, written out here, and against stand-in networks."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.errors import CalibrationError, CheckpointError, ConfigurationError, ImageError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference import FocalFilter, Predictor
from depth_pro_ros.inference.precision import FLOAT32, candidates, choose_device, deviation
from depth_pro_ros.inference.weights import Loaded, cache_folder, locate
from depth_pro_ros.network import PRESETS, build, save
from depth_pro_ros.records import Intrinsics

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 255, (120, 200, 3), dtype=np.uint8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def predictor():
    return Predictor.load("micro", device="cpu", precision="float32", log=lambda text: None)


class Constant(torch.nn.Module):
    """Answers with one canonical inverse depth and one angle, and counts who asked for the angle."""

    def __init__(self, canonical=0.5, fov_deg=60.0):
        super().__init__()
        self.config = PRESETS["micro"]
        self.canonical, self.fov_deg, self.fov_calls = canonical, fov_deg, 0

    def forward(self, image, fov=True):
        self.fov_calls += fov
        plane = torch.full((len(image), 1, 512, 512), float(self.canonical))
        return plane, torch.full((len(image),), float(self.fov_deg)) if fov else None


def constant(**kwargs):
    return Predictor(Loaded(Constant(**kwargs), "constant", "micro", True, {}), CPU, FLOAT32, max_range_m=100.0)


def test_equals_the_original_step_by_step(predictor):
    """The published inference: normalise, resize to the network, C * W / f, resize back, invert."""
    x = torch.from_numpy(PHOTO).permute(2, 0, 1)[None] / 255
    x = F.interpolate((x - 0.5) / 0.5, size=(512, 512), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        canonical, fov_deg = predictor.network(x)
    f_px = 0.5 * 200 / torch.tan(0.5 * torch.deg2rad(fov_deg))
    inverse = F.interpolate(canonical * (200 / f_px), size=(120, 200), mode="bilinear", align_corners=False)
    expected = (1 / inverse.clamp(1e-4, 1e4))[0, 0].numpy()
    result = predictor.predict(PHOTO)
    assert result.depth_m.dtype == np.float32 and result.depth_m.shape == (120, 200)
    difference = np.abs(result.depth_m / expected - 1)  # coordinates are rounded elsewhere, which noise shows most
    assert difference.max() < 2e-3 and np.median(difference) < 2e-5
    np.testing.assert_allclose([result.focal_px, result.focal_estimated_px], [f_px.item()] * 2, rtol=1e-5)
    assert result.intrinsics == pinhole.centred(200, 120, result.focal_px)
    assert set(result.timings_ms) == {"preprocess", "network", "metric"}


def test_known_focal_length_sets_the_scale_and_spares_the_branch():
    network = constant()
    camera = Intrinsics(200, 120, fx=150.0, fy=140.0, cx=90.0, cy=70.0)
    result = network.predict(PHOTO, intrinsics=camera)
    np.testing.assert_allclose(result.depth_m, 150 / (200 * 0.5))  # D = f / (w C); fx alone counts
    assert (result.intrinsics, result.focal_px, result.focal_estimated_px) == (camera, 150.0, None)
    assert network.network.fov_calls == 0
    asked = network.predict(PHOTO, intrinsics=camera, estimate_focal=True)
    np.testing.assert_allclose(asked.depth_m, result.depth_m)
    # cx = 90: 90.5 px left of the axis and 109.5 right must span 60 degrees together.
    f = asked.focal_estimated_px
    assert math.isclose(math.degrees(math.atan(90.5 / f) + math.atan(109.5 / f)), 60.0, rel_tol=1e-9)


def test_fixed_focal_length_and_wanted_size():
    result = constant().predict(PHOTO, focal_px=300.0, size=(50, 40))
    assert result.depth_m.shape == (40, 50)
    np.testing.assert_allclose(result.depth_m, 3.0)
    assert result.focal_px == 300.0
    assert math.isclose(result.intrinsics.fx, 75.0) and math.isclose(result.intrinsics.fy, 100.0)
    assert math.isclose(result.intrinsics.cx, (199 / 2 + 0.5) / 4 - 0.5)


def test_sky_is_infinite_and_not_a_number_stays_unknown():
    assert np.isposinf(constant(canonical=0.0).predict(PHOTO, focal_px=200.0).depth_m).all()
    assert np.isposinf(constant(canonical=1 / 101).predict(PHOTO, focal_px=200.0).depth_m).all()  # beyond 100 m
    np.testing.assert_allclose(constant(canonical=1 / 99).predict(PHOTO, focal_px=200.0).depth_m, 99.0, rtol=1e-5)
    assert np.isnan(constant(canonical=math.nan).predict(PHOTO, focal_px=200.0).depth_m).all()
    assert (constant(canonical=1e9).predict(PHOTO, focal_px=200.0).depth_m >= 1e-4).all()


def test_batch_of_different_sizes_equals_one_by_one(predictor):
    other = RNG.integers(0, 255, (64, 48, 3), dtype=np.uint8)
    camera = pinhole.centred(48, 64, 60.0)
    both = predictor.predict_batch([PHOTO, other], [None, camera])
    alone = [predictor.predict(PHOTO), predictor.predict(other, camera)]
    for batched, single in zip(both, alone, strict=True):
        np.testing.assert_allclose(batched.depth_m, single.depth_m, rtol=1e-4)
        assert math.isclose(batched.focal_px, single.focal_px, rel_tol=1e-5)


def test_focal_filter_median_latch_and_reset():
    focal = FocalFilter(window=3)
    size = (640, 480)
    assert focal.update(500.0, size) == 500.0
    assert focal.update(900.0, size) == 700.0
    assert focal.latched(size) is None
    assert focal.update(510.0, size) == 510.0  # the outlier is gone
    assert focal.latched(size) == 510.0 and focal.update(9000.0, size) == 510.0
    assert focal.update(250.0, (320, 240)) == 250.0 and focal.latched(size) is None
    focal.reset()
    assert focal.update(300.0, size) == 300.0
    sliding = FocalFilter(window=3, latch=False)
    assert [sliding.update(f, size) for f in (1.0, 2.0, 3.0, 4.0, 5.0)] == [1.0, 1.5, 2.0, 3.0, 4.0]


def test_a_latched_focal_length_spares_the_branch():
    network, focal = constant(), FocalFilter(window=2)
    results = [network.predict(PHOTO, focal_filter=focal) for _ in range(5)]
    assert network.network.fov_calls == 2
    assert {result.focal_px for result in results} == {results[0].focal_px}
    assert [result.focal_estimated_px is None for result in results] == [False, False, True, True, True]


@pytest.mark.parametrize("angle", [0.0, -5.0, 180.0, math.nan])
def test_an_impossible_field_of_view_is_refused_unless_the_focal_length_is_known(angle):
    with pytest.raises(InferenceError, match="no pinhole camera"):
        constant(fov_deg=angle).predict(PHOTO)
    result = constant(fov_deg=angle).predict(PHOTO, intrinsics=pinhole.centred(200, 120, 100.0), estimate_focal=True)
    assert result.focal_estimated_px is None and np.isfinite(result.depth_m).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32),
     np.zeros((0, 4, 3), np.uint8), [[1, 2, 3]]],
    ids=["grey", "alpha", "float", "empty", "list"],
)  # fmt: skip
def test_images_of_another_form_are_refused(image):
    with pytest.raises(ImageError, match="allowed is RGB"):
        constant().predict(image)


def test_contradictory_cameras_are_refused():
    with pytest.raises(CalibrationError, match="200x120.*100x60"):
        constant().predict(PHOTO, intrinsics=pinhole.centred(100, 60, 50.0))
    with pytest.raises(CalibrationError, match="give one of them"):
        constant().predict(PHOTO, intrinsics=pinhole.centred(200, 120, 50.0), focal_px=3.0)
    for focal in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(CalibrationError):
            constant().predict(PHOTO, focal_px=focal)
    with pytest.raises(ConfigurationError, match="max_range_m"):
        Predictor(Loaded(Constant(), "c", "micro", True, {}), CPU, FLOAT32, max_range_m=0.0)


def test_non_contiguous_and_read_only_images_are_taken():
    flipped = PHOTO[:, ::-1]
    read_only = PHOTO.copy()
    read_only.setflags(write=False)
    assert constant().predict(flipped, focal_px=1.0).depth_m.shape == (120, 200)
    assert constant().predict(read_only, focal_px=1.0).depth_m.shape == (120, 200)


def test_devices(monkeypatch):
    told = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto", told.append).type == "cpu" and "NO GPU FOUND" in told[0]
    assert choose_device("cpu", told.append).type == "cpu" and len(told) == 1
    with pytest.raises(ConfigurationError, match="'cuda' was asked for"):
        choose_device("cuda", told.append)
    with pytest.raises(ConfigurationError, match="allowed: auto, cuda, cpu, mps"):
        choose_device("tpu", told.append)


def test_precisions_of_a_cpu(monkeypatch):
    names = [precision.name for precision in candidates("bfloat16", CPU)]
    assert names in (["bfloat16"], ["bfloat16 weights, float32 arithmetic"])
    assert candidates("auto", CPU)[-1] == FLOAT32 and candidates("float32", CPU) == [FLOAT32]
    with pytest.raises(ConfigurationError, match="allowed: auto, float32"):
        candidates("int4", CPU)


class Rounding(Constant):
    """Is right in float32, and a tenth off in half precision."""

    def __init__(self):
        super().__init__()
        self.compute_dtype, self.weight = torch.float32, torch.nn.Parameter(torch.ones(1))

    def forward(self, image, fov=True):
        canonical, angle = super().forward(image, fov)
        return canonical * (1.0 if self.compute_dtype is torch.float32 else 1.1), angle


def test_deviation_is_measured_against_float32():
    assert deviation(build(PRESETS["micro"]), torch.float32) == 0.0
    assert deviation(Rounding(), torch.bfloat16) == pytest.approx(0.1, rel=1e-4)


def test_out_of_memory_names_the_frame_and_the_next_one_works():
    predictor = constant()
    forward = predictor.network.forward

    def full(*_, **__):
        predictor.network.forward = forward
        raise torch.OutOfMemoryError("pretended")

    predictor.network.forward = full
    with pytest.raises(InferenceError, match="out of memory with 1 image.*200x120.*patch_batch"):
        predictor.predict(PHOTO, focal_px=1.0)
    assert np.isfinite(predictor.predict(PHOTO, focal_px=1.0).depth_m).all()


def test_weights_are_found_by_name_and_by_path(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="no weights for 'depth_pro'"):
        locate("depth_pro")
    cache_folder().mkdir()
    (cache_folder() / "depth_pro.pt").touch()
    assert locate("depth_pro") == tmp_path / "depth_pro_ros" / "depth_pro.pt"
    path = save(build(PRESETS["micro"], seed=5), tmp_path / "own.safetensors", training={"images": 1})
    predictor = Predictor.load(path, device="cpu", log=lambda text: None)
    assert predictor.description["trained"] is True and predictor.description["preset"] == "micro"
    assert predictor.warm_up() > 0
    assert Predictor.load("micro", device="cpu", log=lambda text: None).description["trained"] is False


def test_half_precision_weights_of_a_file_predict_almost_the_same(tmp_path):
    path = save(build(PRESETS["micro"], seed=5), tmp_path / "own.safetensors")
    exact = Predictor.load(path, device="cpu", precision="float32", log=lambda text: None).predict(PHOTO)
    half = Predictor.load(path, device="cpu", precision="bfloat16", log=lambda text: None).predict(PHOTO)
    assert 0 < np.median(np.abs(half.depth_m / exact.depth_m - 1)) < 0.03


@pytest.mark.slow
def test_compiled_network_predicts_the_same(predictor):
    told = []
    compiled = Predictor.load("micro", device="cpu", precision="float32", compile=True, log=told.append)
    assert compiled.description["compiled"] and told == []
    np.testing.assert_allclose(compiled.predict(PHOTO).depth_m, predictor.predict(PHOTO).depth_m, rtol=1e-3)


def test_a_compiler_that_fails_is_told_and_done_without(monkeypatch):
    def broken(network):
        def run(*_, **__):
            raise RuntimeError("no C compiler (pretended)")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    told = []
    predictor = Predictor.load("micro", device="cpu", precision="float32", compile=True, log=told.append)
    assert "no C compiler" in told[0] and np.isfinite(predictor.predict(PHOTO).depth_m).all()
