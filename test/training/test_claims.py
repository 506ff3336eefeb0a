"""The claims as a trial: every contender trains and is measured, at equal budgets; a restart takes up its work."""

import pytest
import torch
from training.standin import render

from depth_pro_ros.network import PRESETS, build
from depth_pro_ros.training import pyramid
from depth_pro_ros.training.claims import FEATURES, OWN, Budget, Trial, _nothing
from depth_pro_ros.training.data import VALIDATION_SEED, SceneStream
from depth_pro_ros.training.loop import Settings

BUDGET = Budget(first=3, second=2, focal=2, batch=2)


@pytest.fixture
def trial(tmp_path):
    sources = (SceneStream("stand-in", 64, seed, render) for seed in (0, VALIDATION_SEED))
    return Trial(tmp_path, *sources, BUDGET, Settings(validate_every=0, validation_images=3), preset="nano")


def test_every_contender_is_measured_at_equal_budgets(trial):
    outcomes = list(trial.outcomes())
    by_claim = {}
    for outcome in outcomes:
        by_claim.setdefault(outcome.claim, []).append(outcome)
    assert [len(rivals) for rivals in by_claim.values()] == [2, 2, 3]
    for rivals in by_claim.values():
        assert len({rival.steps for rival in rivals}) == 1
        assert len({rival.contender for rival in rivals}) == len(rivals)
        assert len({tuple(rival.measures.values()) for rival in rivals}) > 1, "what differs must make a difference"
    assert outcomes[0].measures.keys() == {"boundary_f1", "delta1", "abs_rel"}
    assert outcomes[-1].measures.keys() == {"focal_delta25", "fov_median_error_deg"}
    again = list(trial.outcomes())
    assert [outcome.measures for outcome in again] == [outcome.measures for outcome in outcomes]


@pytest.mark.parametrize(("contender", "part"), [(FEATURES, "encoder.1"), (OWN, "downsample")])
def test_a_silenced_part_says_nothing_and_learns_nothing(contender, part):
    network = build(PRESETS["nano"]).train()
    silenced = network.fov.get_submodule(part)
    silenced.register_forward_hook(_nothing)
    before = pyramid.fov(network, torch.rand(2, 3, 64, 64))
    before.sum().backward()
    assert all(parameter.grad is None for parameter in silenced.parameters())
    for parameter in silenced.parameters():
        parameter.data.add_(1)
    heard = network.fov.head[0].weight.grad
    assert heard is not None and heard.any()
