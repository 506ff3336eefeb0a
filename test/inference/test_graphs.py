"""When CUDA graphs are recorded, replayed and given up; a stand-in records on the CPU."""

import pytest
import torch

from depth_pro_ros.inference.graphs import KEPT, Graphed, Recording


def network(image, fov=True):
    """Stand for a network: the mean of the image, and its first element as the angle."""
    network.calls += 1
    return image.mean((1, 2, 3), keepdim=True), image[:, 0, 0, 0].clone() if fov else None


@pytest.fixture(autouse=True)
def fresh():
    network.calls = 0


def images(batch=1, value=1.0, side=4):
    return torch.full((batch, 3, side, side), value)


class Recorder:
    """Records as CUDA does: fixed memory for the input and the answer."""

    def __init__(self, factor=1.0, error=None):
        self.made, self.factor, self.error = [], factor, error

    def __call__(self, run, image, fov):
        if self.error:
            raise self.error
        self.made.append((len(image), fov))
        static = image.clone()
        answer = tuple(None if part is None else part.clone() for part in run(static, fov=fov))

        def replay():
            for fixed, part in zip(answer, run(static, fov=fov), strict=True):
                if fixed is not None:
                    fixed.copy_(part * self.factor)

        return Recording(static, answer, replay)


def test_every_frame_gets_its_own_answer():
    recorder, told = Recorder(), []
    run = Graphed(network, told.append, recorder)
    for value in (1.0, 2.0, 3.0):
        canonical, fov_deg = run(images(value=value))
        assert (canonical.item(), fov_deg.item()) == (value, value)
    assert recorder.made == [(1, True)] and told == []


def test_one_recording_for_each_batch_and_branch():
    recorder = Recorder()
    run = Graphed(network, lambda text: None, recorder)
    for batch, fov in ((1, True), (1, False), (2, True), (1, True), (2, True)):
        canonical, fov_deg = run(images(batch, 5.0), fov=fov)
        assert canonical.flatten().tolist() == [5.0] * batch and (fov_deg is not None) == fov
    assert recorder.made == [(1, True), (1, False), (2, True)]


def test_another_resolution_in_mid_stream_is_another_recording():
    recorder = Recorder()
    run = Graphed(network, lambda text: None, recorder)
    for side in (4, 8, 4):
        assert run(images(value=2.0, side=side))[0].item() == 2.0
    assert len(recorder.made) == 2


def test_recordings_that_were_used_least_lately_are_let_go_of():
    recorder = Recorder()
    run = Graphed(network, lambda text: None, recorder)
    for batch in range(1, KEPT + 1):
        run(images(batch))
    run(images(1))
    run(images(KEPT + 1))
    run(images(1))
    assert len(recorder.made) == KEPT + 1  # the first was kept
    run(images(2))
    assert recorder.made[-1] == (2, True)  # the second was not


@pytest.mark.parametrize(
    ("recorder", "why"),
    [
        (Recorder(error=RuntimeError("operation not permitted when stream is capturing")), "not permitted"),
        (Recorder(error=torch.OutOfMemoryError("no room")), "OutOfMemoryError: no room"),
        (Recorder(factor=1.1), "depth deviates by 10.0%"),
        (Recorder(factor=float("nan")), "depth deviates by nan%"),
    ],
    ids=["not recordable", "no memory", "wrong", "not a number"],
)
def test_a_recording_that_fails_is_told_once_and_done_without(recorder, why):
    told = []
    run = Graphed(network, told.append, recorder)
    for value in (1.0, 2.0, 3.0):
        assert run(images(value=value))[0].item() == value
    assert len(told) == 1 and why in told[0] and "without them" in told[0] and not run.active


def test_a_fault_of_the_network_itself_is_not_taken_for_one_of_the_recording():
    def broken(image, fov=True):
        raise ValueError("a bug (pretended)")

    with pytest.raises(ValueError, match="a bug"):
        Graphed(broken, lambda text: None, Recorder())(images())
