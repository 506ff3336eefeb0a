"""Memory: what is counted against PyTorch's own profiler, budgets, and running out in the middle of a frame."""

import gc
import itertools

import pytest
import torch

from depth_pro_ros.errors import ConfigurationError, InferenceError
from depth_pro_ros.inference import memory
from depth_pro_ros.inference.memory import LADDER, Parts, Thrifty, activation_bytes, fit, memory_limit, weight_bytes
from depth_pro_ros.network import PRESETS, build, folded
from depth_pro_ros.network.simplify import simplify

MICRO = PRESETS["micro"]
WHOLE, SMALLEST = LADDER[0], LADDER[-1]


@pytest.fixture(scope="module")
def network():
    return simplify(build(MICRO)).requires_grad_(False)


@pytest.fixture(autouse=True)
def whole(network):
    WHOLE.set_on(network)


def profiled_peak(run):
    """Return the peak of live bytes by PyTorch's profiler, which hears of every allocation."""
    gc.collect()  # or what earlier tests left is given back meanwhile
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


@torch.inference_mode()
def test_counted_without_computing_is_what_a_pass_takes(network, monkeypatch):
    """Within a quarter: kernels take some memory for themselves. On a CPU the head works in strips and takes less."""
    image = torch.zeros(1, 3, MICRO.image_size, MICRO.image_size)
    counted = activation_bytes(MICRO, torch.float32, WHOLE)
    assert profiled_peak(lambda: network(image, fov=False)) < counted
    monkeypatch.setattr(folded, "STRIP_BYTES", 1 << 40)
    assert counted + image.nbytes == pytest.approx(profiled_peak(lambda: network(image, fov=False)), rel=0.25)


def test_smaller_parts_and_smaller_numbers_take_less():
    whole, parts = (activation_bytes(MICRO, torch.float32, rung) for rung in (WHOLE, SMALLEST))
    assert parts < 0.7 * whole
    assert activation_bytes(MICRO, torch.bfloat16, WHOLE) < 0.6 * whole


def test_weights():
    layer = torch.nn.Linear(3, 5)
    layer.register_buffer("extra", torch.zeros(7, dtype=torch.float16))
    assert weight_bytes(layer) == (15 + 5) * 4 + 14


def counted(monkeypatch, sizes):
    """Let passes take `sizes` GB by parts, and weights nothing; return the parts that were asked for."""
    asked = []

    def count(config, dtype, parts):
        asked.append(parts)
        return sizes[parts] * 1e9 / memory.MARGIN

    monkeypatch.setattr(memory, "activation_bytes", count)
    monkeypatch.setattr(memory, "weight_bytes", lambda network: 0)
    return asked


SIZES = {rung: 8.0 - number for number, rung in enumerate(LADDER)}  # 8 GB down to 1


def test_the_largest_parts_that_keep_to_the_budget_are_taken(network, monkeypatch):
    counted(monkeypatch, SIZES)
    for budget, parts in ((9.0, LADDER[0]), (8.0, LADDER[0]), (5.5, LADDER[3]), (1.0, LADDER[-1])):
        WHOLE.set_on(network)
        assert fit(network, Parts.of(network), budget) == pytest.approx(SIZES[parts])
        assert Parts.of(network) == parts


def test_parts_are_never_larger_than_before(network, monkeypatch):
    counted(monkeypatch, {Parts(2, 1): 4.0, **SIZES})
    fit(network, Parts(2, 1), 100.0)
    assert Parts.of(network) == Parts(2, 1)


def test_what_a_device_really_takes_decides(network, monkeypatch):
    """It takes 2 GB more than was counted."""
    counted(monkeypatch, SIZES)
    taken = fit(network, WHOLE, 5.5, lambda: int((SIZES[Parts.of(network)] + 2) * 1e9))
    assert (taken, Parts.of(network)) == (5.0, LADDER[5])
    with pytest.raises(ConfigurationError, match="at least 3.00 GB"):
        fit(network, WHOLE, 2.5, lambda: int((SIZES[Parts.of(network)] + 2) * 1e9))


def test_too_small_a_budget_says_the_least(network, monkeypatch):
    counted(monkeypatch, SIZES)
    with pytest.raises(ConfigurationError, match=r"max_memory_gb is 0.5.*at least 1.00 GB in float32.*smaller network"):
        fit(network, WHOLE, 0.5)


class Scarce:
    """A network's pass that fits only in parts of `fits` patches; what does not raises `error`."""

    def __init__(self, network, fits, error):
        self.network, self.fits, self.error, self.tried = network, fits, error, []

    def __call__(self, image, fov=True):
        self.tried.append(Parts.of(self.network))
        if self.tried[-1].patch_batch > self.fits:
            raise self.error
        return image + 1, None


OUT = [
    torch.OutOfMemoryError("CUDA out of memory (pretended)"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT, ids=["gpu", "cpu"])
def test_running_out_halves_the_parts_for_good_with_one_warning(network, error):
    told, scarce = [], Scarce(network, 20, error)
    run = Thrifty(scarce, network, told.append)
    for value in (1, 2, 3):
        assert run(value)[0] == value + 1  # the very frame that ran out, and the next ones
    assert scarce.tried == [Parts(35, 1), *[Parts(17, 2)] * 3]
    assert len(told) == 1 and "17 patches" in told[0] and str(error) in told[0] and "max_memory_gb" in told[0]


def test_a_frame_is_tried_once_more_only_and_the_next_goes_on_from_there(network):
    told, scarce = [], Scarce(network, 10, OUT[0])
    run = Thrifty(scarce, network, told.append)
    with pytest.raises(torch.OutOfMemoryError):
        run(1)
    assert run(1)[0] == 2
    assert [parts.patch_batch for parts in scarce.tried] == [35, 17, 17, 8] and len(told) == 2


def test_nothing_is_tried_with_single_patches_or_after_other_faults(network):
    for parts, error in ((Parts(1, 4), OUT[0]), (WHOLE, RuntimeError("another fault"))):
        parts.set_on(network)
        scarce = Scarce(network, 0, error)
        with pytest.raises(RuntimeError, match=str(error)[:9]):
            Thrifty(scarce, network, lambda text: None)(1)
        assert len(scarce.tried) == 1 and Parts.of(network) == parts


def test_memory_errors_become_the_packages_and_others_do_not():
    for error in OUT:
        with pytest.raises(InferenceError, match="out of memory with a frame: do this"):
            with memory_limit(InferenceError, "a frame", "do this"):
                raise error
    with pytest.raises(RuntimeError, match="^another$"):
        with memory_limit(InferenceError, "a frame", "do this"):
            raise RuntimeError("another")
