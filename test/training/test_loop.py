"""The loop: exact resuming, stages, signals, limits, NaN, fine-tuning, and that it learns."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import cv2
import pytest
import torch

from depth_pro_ros.errors import CheckpointError, ConfigurationError
from depth_pro_ros.network import PRESETS, build, describe, load
from depth_pro_ros.training import stepping
from depth_pro_ros.training.curriculum import NO_AUGMENTATION, Schedule
from depth_pro_ros.training.export import export
from depth_pro_ros.training.loop import Settings, Trainer, random_network
from depth_pro_ros.training.stopping import TrainingError

QUIET = Settings(log_every=1, validate_every=0)


def weights(trainer) -> dict[str, torch.Tensor]:
    named = {"network": trainer.network, "average": trainer.average.network}
    return {f"{which}.{name}": tensor for which, net in named.items() for name, tensor in net.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_after(trainer, steps: int) -> None:
    """Make the trainer want to stop after so many steps."""
    step, taken = trainer._step, []

    def counted(stage, batch):
        step(stage, batch)
        taken.append(stage.name)

    def stops(stopper):
        stopper.reason = "enough" if len(taken) >= steps else None
        return len(taken) >= steps

    trainer._step, trainer._stops = counted, stops


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def trainer_in(tmp_path, recipe, sources, validation_sources):
    def make(name: str, settings: Settings = QUIET, changed=None, **more) -> Trainer:
        return Trainer(changed or recipe, tmp_path / name, sources, settings, validation_sources, **more)

    return make


@pytest.mark.parametrize("stops", [[1], [3, 3], [5, 2, 1, 1]])
def test_an_interrupted_training_ends_with_the_bits_of_an_uninterrupted_one(trainer_in, stops):
    straight = trainer_in("straight")
    assert straight.run() is None
    for number, steps in enumerate(stops):
        part = trainer_in("parts")
        if number:
            part.resume()
        stop_after(part, steps)
        assert part.run() == "enough"
    last = trainer_in("parts")
    last.resume()
    assert last.run() is None
    assert same(weights(straight), weights(last))
    assert (straight.progress.images, straight.progress.done) == (last.progress.images, last.progress.done)
    losses = [{(r["stage"], r["step"]): r["loss"] for r in log(t.folder)} for t in (straight, last)]
    assert losses[0] == losses[1]


def test_a_finished_training_is_resumed_to_nothing(trainer_in):
    first = trainer_in("a")
    first.run()
    again = trainer_in("a")
    again.resume()
    assert again.stage is None and again.run() is None
    assert same(weights(first), weights(again))


def test_a_signal_ends_the_step_saves_and_says_so(trainer_in, monkeypatch):
    trainer, before = trainer_in("a"), signal.getsignal(signal.SIGTERM)
    take, steps = stepping.take, []

    def take_and_signal(*args):
        steps.append(1)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(*args)

    monkeypatch.setattr(stepping, "take", take_and_signal)
    assert trainer.run() == "SIGTERM was received"
    assert trainer.progress.step == 2
    assert signal.getsignal(signal.SIGTERM) == before
    resumed = trainer_in("a")
    resumed.resume()
    assert resumed.progress.step == 2 and same(weights(trainer), weights(resumed))


def test_the_time_limit_stops_with_the_state_saved(trainer_in):
    trainer = trainer_in("a", replace(QUIET, limit_minutes=0.0))
    assert trainer.run() == "the time limit is reached"
    assert trainer.progress.step == 0


def test_a_stage_may_be_finished_early(trainer_in):
    trainer = trainer_in("a")
    stop_after(trainer, 2)
    trainer.run()
    trainer = trainer_in("a")
    trainer.resume()
    trainer.finish_stage()
    assert (trainer.stage.name, trainer.progress.step, trainer.progress.done) == ("fine", 0, {"coarse": 2})
    assert trainer.run() is None
    with pytest.raises(ConfigurationError, match="none to finish"):
        trainer.finish_stage()


def test_steps_and_batch_may_change_when_resuming(trainer_in, recipe):
    first = trainer_in("a")
    stop_after(first, 2)
    first.run()
    changed = recipe.changed(steps={"coarse": 3, "fine": 1, "focal": 0}, batch={"coarse": 2})
    second = trainer_in("a", changed=changed)
    second.resume()
    assert second.run() is None
    assert second.progress.done == {"coarse": 3, "fine": 1, "focal": 0}
    assert second.progress.images == 2 * 4 + 2 + 2


def test_a_stage_of_no_steps_leaves_the_weights_alone(trainer_in, recipe):
    trainer = trainer_in("a", changed=recipe.changed(steps={"coarse": 0, "fine": 0, "focal": 0}))
    before = {name: tensor.clone() for name, tensor in weights(trainer).items()}
    assert trainer.run() is None
    assert same(before, weights(trainer)) and trainer.progress.done == {"coarse": 0, "fine": 0, "focal": 0}


def test_resuming_another_preset_is_refused(trainer_in, recipe):
    trainer = trainer_in("a")
    trainer.save()
    other = trainer_in("a", changed=replace(recipe, preset="tiny"))
    with pytest.raises(CheckpointError, match="embed_dim"):
        other.resume()


def test_nan_stops_with_step_stage_and_terms_and_the_last_state_stays(trainer_in, monkeypatch):
    trainer = trainer_in("a")
    stop_after(trainer, 2)
    trainer.run()
    good = (trainer.folder / "last.pt").read_bytes()
    trainer = trainer_in("a")
    trainer.resume()
    monkeypatch.setitem(stepping.FOV_LOSSES, "l2", lambda predicted, target: predicted.mean() * float("nan"))
    monkeypatch.setattr(stepping, "LOSSES", {name: lambda p, t, m: p.mean() * float("nan") for name in stepping.LOSSES})
    with pytest.raises(TrainingError, match=r"stage 'coarse', step 2: loss nan.*scenes/log_mae nan.*resume"):
        trainer.run()
    assert (trainer.folder / "last.pt").read_bytes() == good


def test_a_stage_begins_from_the_average(trainer_in):
    trainer = trainer_in("a")
    stop_after(trainer, 5)
    trainer.run()  # stops before the second stage's first step
    average = {name: tensor.clone() for name, tensor in trainer.average.network.state_dict().items()}
    assert not same(average, trainer.network.state_dict())
    trainer._begin(trainer.stage)
    assert same(average, trainer.network.state_dict())


@pytest.mark.parametrize("coarse_steps", [5, 0])
def test_a_finer_level_starts_anew_only_after_a_coarser_one_was_trained(trainer_in, recipe, coarse_steps):
    trainer = trainer_in("run", changed=recipe.changed(steps={"coarse": coarse_steps, "focal": 0}))
    name = "decoder.fusions.3.out_conv.weight"
    learnt = torch.full_like(trainer.network.state_dict()[name], 0.5)
    for network in (trainer.network, trainer.average.network):
        network.load_state_dict({name: learnt}, strict=False)
    seen = []
    begin = trainer._begin
    trainer._begin = lambda stage: (begin(stage), seen.append(trainer.network.state_dict()[name].clone()))
    assert trainer.run() is None
    identity = torch.eye(len(learnt))[:, :, None, None]
    assert torch.equal(seen[-1], identity if coarse_steps else learnt)


def test_the_focal_stage_leaves_depth_alone_and_starts_from_the_image_encoder(trainer_in, recipe):
    before = trainer_in("a", changed=recipe.changed(steps={"focal": 0}))
    before.run()
    after = trainer_in("b")
    after.run()
    a, b = before.average.network.state_dict(), after.average.network.state_dict()
    changed = {name for name in a if not torch.equal(a[name], b[name])}
    assert changed and all(name.startswith("fov.") for name in changed)
    vit = "fov.encoder.0.blocks.0.attn.qkv.weight"
    image = b[vit.replace("fov.encoder.0", "encoder.image_encoder")]
    random = random_network(recipe).state_dict()[vit]
    assert (b[vit] - image).abs().max() < 0.02 < (random - image).abs().max()


def test_fine_tuning_with_a_frozen_encoder_changes_the_rest(trainer_in, recipe, tmp_path):
    from depth_pro_ros import network

    path = network.save(build(PRESETS["nano"], seed=9), tmp_path / "weights.safetensors")
    start = load(path)
    changed = recipe.changed(frozen={"coarse": ("encoder",), "fine": ("encoder",)}, steps={"focal": 0})
    trainer = trainer_in("a", changed=changed, network=load(path, PRESETS["nano"]))
    trainer.run()
    before, after = start.state_dict(), trainer.average.network.state_dict()
    moved = {".".join(name.split(".")[:2]) for name in before if not torch.equal(before[name], after[name])}
    assert "encoder.upsample2" in moved and not moved & {"encoder.patch_encoder", "encoder.image_encoder"}
    assert {name.split(".")[0] for name in moved} == {"encoder", "decoder", "head"}


def test_it_learns(trainer_in, recipe, sources):
    """Forty steps on the same eight scenes halve the loss."""
    stage = replace(recipe.stages[0], steps=40, batch=8, schedule=Schedule("cosine"), augmentation=NO_AUGMENTATION)
    sources["scenes"] = _FirstEight(sources["scenes"])
    trainer = trainer_in("a", changed=replace(recipe, stages=(stage,)))
    trainer.run()
    losses = [record["loss"] for record in log(trainer.folder)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


class _FirstEight:
    """The first eight images of a source, in turn."""

    size = 8

    def __init__(self, source):
        self.read = source.read

    def prepare(self) -> None:
        """Nothing is to be made ready."""


def test_validation_figures_and_pictures_are_written(trainer_in, recipe):
    settings = Settings(log_every=2, validate_every=4, validation_images=3)
    trainer = trainer_in("a", settings)
    trainer.run()
    records = [record for record in log(trainer.folder) if record["kind"] == "validation"]
    assert [(r["stage"], r["step"]) for r in records] == [("coarse", 4), ("coarse", 5), ("fine", 2), ("focal", 3)]
    assert all(0 <= r["delta1"] <= 1 and r["abs_rel"] > 0 for r in records[:3])
    assert records[3]["fov_median_error_deg"] > 0
    picture = cv2.imread(str(trainer.folder / "validation_coarse_000004.png"))
    assert picture.shape == (3 * 64, 4 * 64, 3)
    train = [record for record in log(trainer.folder) if record["kind"] == "train"]
    assert [(r["stage"], r["step"]) for r in train][:3] == [("coarse", 2), ("coarse", 4), ("fine", 2)]
    assert set(train[0]["terms"]) == {"scenes/log_mae", "scenes/ssi_mage"}


def test_exported_weights_are_the_average_with_the_facts_of_their_training(trainer_in, tmp_path):
    trainer = trainer_in("a")
    trainer.run()
    path = export(trainer, tmp_path / "out.safetensors", "float16")
    facts = describe(path).training
    assert facts["recipe"] == "test" and facts["images"] == 5 * 4 + 2 * 2 + 3 * 4
    assert facts["stages"] == {"coarse": 5, "fine": 2, "focal": 3} and facts["unfinished"] == {}
    ours, theirs = trainer.average.network.state_dict(), load(path, PRESETS["nano"]).state_dict()
    assert all(torch.allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-6) for name in ours)
    assert torch.equal(ours["fov.head.4.bias"], theirs["fov.head.4.bias"])
    exact = export(trainer, tmp_path / "exact.safetensors", "float32")
    assert same(ours, load(exact).state_dict()) and exact.stat().st_size > 1.5 * path.stat().st_size
    with pytest.raises(ConfigurationError, match="safetensors"):
        export(trainer, tmp_path / "out.pt")


def test_encoders_that_were_tied_part_with_the_same_weights(trainer_in, recipe):
    stages = tuple(replace(stage, level="quarter", tied=True) for stage in recipe.stages[:1])
    trainer = trainer_in("tied", changed=replace(recipe, stages=stages))
    assert trainer.run() is None
    for network in (trainer.network, trainer.average.network):
        whole = network.encoder.image_encoder.state_dict()
        patch = network.encoder.patch_encoder.state_dict()
        assert all(torch.equal(value, whole[name]) for name, value in patch.items())


def test_a_tied_stage_that_is_left_out_changes_nothing(trainer_in, recipe):
    stages = tuple(replace(stage, level="quarter", tied=True, steps=0) for stage in recipe.stages[:1])
    trainer = trainer_in("left_out", changed=replace(recipe, stages=stages))
    before = {name: value.clone() for name, value in weights(trainer).items()}
    assert trainer.run() is None
    assert same(weights(trainer), before)
