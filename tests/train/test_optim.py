"""Optimizers and schedules by name, and what a user may give instead."""

from typing import Any

import pytest
import torch
from torch import nn

from sciml.errors import ConfigError, UnknownNameError
from sciml.train.optim import build_optimizer, build_schedule, optimizer_recipe, schedule_recipe


def test_a_name_alone_is_a_recipe() -> None:
    assert optimizer_recipe("adam") == {"name": "adam"}
    assert schedule_recipe("onecycle") == {"name": "onecycle"}
    assert optimizer_recipe(None) is schedule_recipe(None) is None
    optimizer = build_optimizer("sgd", nn.Linear(2, 1))
    assert isinstance(optimizer, torch.optim.SGD)
    assert build_schedule("cosine", optimizer, 10, 2).scheduler.T_max == 10


def test_onecycle_alone_climbs_to_the_rate_of_the_optimizer() -> None:
    optimizer = build_optimizer({"name": "adam", "lr": 0.02}, nn.Linear(2, 1))
    schedule = build_schedule("onecycle", optimizer, 10, 2)
    rates = []
    for _ in range(9):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert max(rates) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.optim.Adam(nn.Linear(2, 1).parameters()), r"finished Adam.*\{'name': 'adam', 'lr': 1e-3\}"),
        (torch.optim.Adam, "the class Adam.*lambda model: Adam"),
        (3, "optimizer is a int, expected a name"),
        ({"lr": 0.1}, "optimizer needs a name"),
        ({"name": "adam", "rate": 0.1}, "optimizer adam has no argument rate"),
    ],
)
def test_what_is_no_recipe_is_refused_with_the_way_out(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimizer_recipe(given)


def test_unknown_names_and_missing_arguments_are_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cosine'"):
        schedule_recipe("cosin")
    optimizer = build_optimizer("adam", nn.Linear(2, 1))
    with pytest.raises(ConfigError, match="scheduler step needs step_size"):
        build_schedule("step", optimizer, 10, 2)
    assert schedule_recipe({"name": "step", "step_size": 2, "interval": "step"}) is not None
    with pytest.raises(ConfigError, match="optimizer adam with"):
        build_optimizer({"name": "adam", "lr": "fast"}, nn.Linear(2, 1))
