"""Jobs in their order, and processes that end."""

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor

import numpy as np
import pytest
from cli.bag_maker import (
    BROKEN,
    IMAGE,
    START,
    STORE,
    KnownPredictor,
    camera,
    image,
    messages,
    picture,
    pixels,
    read,
    write,
)

from depth_pro_ros.cli import bag_workers
from depth_pro_ros.cli import main as command_line
from depth_pro_ros.cli.bag_images import FramePredictor, Job, Network
from depth_pro_ros.cli.bag_workers import InProcess, Model, Processes, workers
from depth_pro_ros.errors import InferenceError, OutputError

DEPTH = "/camera/depth/image_rect"


def jobs(folder, count):
    raw = bytes(STORE.serialize_cdr(image(picture(0), "rgb8", START), IMAGE))
    return [Job("/image", n, IMAGE, raw, None, False, folder / f"{n}.npz") for n in range(count)]


class LaterFirst:
    """A pool whose jobs end in the reverse of their order, as soon as one is asked for."""

    def __init__(self):
        self.waiting = []
        self.most = 0

    def submit(self, function, *args):
        future = Future()
        if function is bag_workers._describe:
            future.set_result({"weights": "pool"})
            return future
        self.waiting.append((future, args))
        self.most = max(self.most, len(self.waiting))
        plain = future.result

        def result():
            for one, (job,) in reversed(self.waiting):
                one.set_result(f"problem of {job.number}")
            self.waiting = []
            return plain()

        future.result = result
        return future


def test_results_keep_the_order_and_few_images_wait(tmp_path):
    pool = LaterFirst()
    found = Processes(pool, 2)
    assert found.description == {"weights": "pool"}
    told = [(job.number, problem) for job, problem in found.results(iter(jobs(tmp_path, 11)))]
    assert told == [(n, f"problem of {n}") for n in range(11)]
    assert pool.most <= 4


def test_one_worker_is_this_process(tmp_path):
    known = KnownPredictor(fail={1: BROKEN})
    with workers(1, Model(Network("w"), "auto", 1.0), load=lambda *args, **kwargs: known) as found:
        assert isinstance(found, InProcess) and found.description == known.description
        told = list(found.results(jobs(tmp_path, 3)))
    assert [problem for _, problem in told] == [None, "the device ran out of memory", None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npz", "2.npz"]


def test_the_predictor_is_loaded_without_a_range_s_end():
    seen = {}

    def load(weights, **options):
        seen.update(options, weights=weights)
        return KnownPredictor()

    with workers(1, Model(Network("w.pt", "cuda", "fp16", "onnxruntime", "fast"), 77.0, 0.5), load):
        pass
    assert callable(seen.pop("log"))
    network = {"weights": "w.pt", "device": "cuda", "precision": "fp16", "backend": "onnxruntime", "quality": "fast"}
    assert seen == {**network, "max_range_m": float("inf")}


def test_a_disk_that_is_full_ends_the_run(tmp_path):
    (tmp_path / "file").write_text("no folder")
    work = FramePredictor(KnownPredictor(), "auto")
    with pytest.raises(OutputError):
        work(jobs(tmp_path / "file", 1)[0])


def test_a_killed_process_is_told(tmp_path):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        with pytest.raises(InferenceError, match="ended from outside, mostly for want of memory.*fewer --workers"):
            with bag_workers._whole_pool():
                pool.submit(os._exit, 9).result()


@pytest.mark.slow
def test_several_processes_write_what_one_does(tmp_path, capsys):
    old = write(tmp_path / "in", camera(5, with_info=False))
    for count in (1, 2):
        argv = ["bag", old, tmp_path / str(count), "--weights", "micro", "--device", "cpu", "--workers", count]
        assert command_line.main([str(a) for a in argv]) == 0
    assert "THE WEIGHTS ARE UNTRAINED" in capsys.readouterr().err
    one, two = read(tmp_path / "1"), read(tmp_path / "2")
    assert set(one) == set(two) and len(one[DEPTH]) == 5
    for (at, left), (same, right) in zip(one[DEPTH], two[DEPTH], strict=True):
        assert at == same and left[:60] == right[:60]
    for left, right in zip(messages(tmp_path / "1", DEPTH), messages(tmp_path / "2", DEPTH), strict=True):
        np.testing.assert_allclose(pixels(left), pixels(right), rtol=1e-4)


@pytest.mark.slow
def test_missing_weights_are_told_by_the_workers(tmp_path, capsys):
    old = write(tmp_path / "in", camera(2))
    for count in ("1", "2"):
        argv = ["bag", str(old), str(tmp_path / "out"), "--weights", str(tmp_path / "none.pt"), "--workers", count]
        assert command_line.main(argv) == 2
        assert "none.pt" in capsys.readouterr().err
        assert os.listdir(tmp_path) == ["in"]
