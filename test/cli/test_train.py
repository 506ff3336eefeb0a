"""`depth_pro_ros train`: arguments change the recipe, runs stop and resume, mistakes are one line."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.standin import render

from depth_pro_ros.cli import main as program
from depth_pro_ros.cli import train
from depth_pro_ros.network import describe
from depth_pro_ros.training import cache, data, recipes
from depth_pro_ros.training.curriculum import DataSet, Objective, Recipe, Stage

OBJECTIVE = (Objective("scenes", (("log_mae", 1.0),)),)
STAGES = tuple(Stage(name, steps, 2, "quarter", OBJECTIVE, 1e-3, 2e-3) for name, steps in (("a", 3), ("b", 2)))
RECIPE = Recipe("smoke", "micro", (DataSet("scenes", world="robot", side=128),), STAGES)


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    """Give the command a recipe of seconds and scenes of milliseconds."""
    monkeypatch.setitem(recipes.RECIPES, "smoke", RECIPE)
    for module in (data, cache):
        monkeypatch.setattr(module, "scene_renderer", lambda: render)
    cache._own_renderer.cache_clear()
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    cache._own_renderer.cache_clear()


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(["--output", "out", "--recipe", "smoke", *words])


@pytest.fixture
def command(tmp_path, capsys):
    """Return a function that runs the command and returns (status, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        status = program.main(
            ["train", "--recipe", "smoke", "--output", str(tmp_path / "run"), "--threads", "1", "--workers", "0",
             "--validation-images", "2", "--log-every", "1", *words]
        )  # fmt: skip
        return status, *capsys.readouterr()

    return run


def test_a_run_stops_resumes_and_exports(command, tmp_path):
    out = tmp_path / "weights.safetensors"
    status, said, _ = command("--limit-minutes", "0.00001")
    assert status == train.STOPPED and "the time limit is reached" in said and "--resume" in said
    status, said, _ = command("--resume", "--export", str(out))
    assert status == train.DONE and "every stage is done: 10 images" in said
    assert describe(out).preset == "micro" and describe(out).training["stages"] == {"a": 3, "b": 2}
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["kind"] == "train"] == [1, 2, 3, 1, 2]
    assert [r["stage"] for r in records if r["kind"] == "validation"] == ["a", "b"]


def test_a_cache_is_rendered_once_and_used(command, tmp_path, monkeypatch):
    words = ("--cache", str(tmp_path / "cache"), "--cache-count", "scenes=6")
    assert command(*words, "--prepare")[0] == train.DONE
    assert (tmp_path / "cache" / "scenes" / "fov_00000.npy").exists()
    assert command(*words, "--validate-every", "0")[0] == train.DONE

    def never(*arguments):
        raise AssertionError("rendered again")

    monkeypatch.setattr(cache, "_render_chunk", never)
    assert command(*words, "--prepare")[0] == train.DONE


def test_scenes_may_begin_at_a_later_seed(command, tmp_path):
    for name, words in (("all", ("scenes=4",)), ("later", ("scenes=2", "--first-seed", "2"))):
        assert command("--cache", str(tmp_path / name), "--prepare", "--cache-count", *words)[0] == train.DONE
    everything, later = (np.load(tmp_path / name / "scenes" / "rgb_00000.npy") for name in ("all", "later"))
    np.testing.assert_array_equal(later, everything[2:])
    assert (later != everything[:2]).any()


def test_a_stage_is_finished_early(command, tmp_path):
    command("--limit-minutes", "0.00001")
    status, _, _ = command("--resume", "--finish-stage", "--export", str(tmp_path / "w.safetensors"))
    assert status == train.DONE
    assert describe(tmp_path / "w.safetensors").training["stages"]["a"] < 3


def test_words_change_the_recipe():
    args = arguments("--stage-steps", "7", "b=9", "--batch", "a=5", "--rate", "2", "--freeze", "encoder", "norm",
                     "--seed", "4", "--preset", "tiny")  # fmt: skip
    recipe = train.changed(RECIPE, args)
    a, b = recipe.stages
    assert (a.steps, b.steps, a.batch, b.batch) == (7, 9, 5, 2)
    assert (a.encoder_rate, b.decoder_rate) == (2e-3, 4e-3)
    assert a.frozen == ("encoder", "norm") and recipe.seed == 4 and recipe.preset == "tiny"
    assert train.changed(RECIPE, arguments()) == RECIPE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--recipe", "huge"), "tiny_robot"),
        (("--stage-steps", "c=1"), r"\['c'\].*\['a', 'b'\]"),
        (("--preset", "huge"), "micro"),
        (("--device", "tpu"), "has cpu"),
        (("--precision", "float8"), "bfloat16"),
        (("--device", "cpu", "--precision", "float16"), "allowed are auto, float32, bfloat16"),
        (("--freeze", "tail"), "tail"),
        (("--data", "scenes=/nowhere"), "correct --data"),
        (("--resume",), "leave --resume out"),
        (("--finish-stage",), "--finish-stage is for --resume"),
        (("--init", "/nowhere.safetensors"), "no checkpoint"),
        (("--cache", "{tmp}/c", "--cache-count", "99999999"), "seeds are 0 to 9999999"),
        (("--first-seed", "20000000"), "from seed 20000000: seeds are 0 to 9999999"),
    ],
)
def test_mistakes_are_one_line(command, tmp_path, words, message):
    status, _, errors = command(*(word.format(tmp=tmp_path) for word in words))
    assert status == program.FAILED
    assert len(errors.strip().splitlines()) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(errors)


def test_a_folder_that_holds_a_training_is_not_overwritten(command):
    command("--limit-minutes", "0")
    status, _, errors = command()
    assert status == program.FAILED and "--resume" in errors


def test_fine_tuning_starts_from_given_weights(command, tmp_path):
    out = tmp_path / "w.safetensors"
    command("--export", str(out), "--export-dtype", "float32", "--validate-every", "0")
    args = arguments("--init", str(out), "--validate-every", "0")
    args.output = tmp_path / "fine"
    trainer = train.make_trainer(replace(RECIPE, seed=5), {}, train.make_settings(args), args)
    from depth_pro_ros.network import load

    start = load(out).state_dict()
    assert all(torch.equal(start[name], tensor) for name, tensor in trainer.network.state_dict().items())


@pytest.mark.parametrize(
    "words", [("--batch", "many"), ("--rate", "a=-1"), ("--data", "scenes"), ("--cache-count", "=4")]
)
def test_words_of_another_form_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        arguments(*words)
    assert "not" in capsys.readouterr().err


def test_the_command_does_not_import_torch_for_its_help():
    import subprocess

    code = "import sys; from depth_pro_ros.cli import train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
