"""Every registered problem: what it says about itself, and that its file is written, read and ready for training."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sciml import load_dataset
from sciml.data import describe_file, generate, open_dataset
from sciml.problems import Problem
from sciml.registry import registry

# Shorter than the defaults, so that a test takes moments.
SETTINGS: dict[str, dict[str, Any]] = {
    "burgers-pdebench": {"frames": 5, "cells": 64},
    "fitzhugh-nagumo": {"duration": 0.5, "frames": 3},
    "navier-stokes": {"duration": 0.1, "frames": 2, "points": 16, "modes": 4},
    "navier-stokes-forced": {"duration": 0.1, "points": 16, "modes": 4},
    "shallow-water": {"duration": 0.1, "frames": 3},
}
each = pytest.mark.parametrize("name", list(registry("problems")))


def documented(problem: type) -> dict[str, str]:
    """The text of every argument of a docstring."""
    arguments = re.split(r"^\w+:$", inspect.cleandoc(problem.__doc__ or ""), flags=re.M)[1]
    parts = re.split(r"^    (\w+): ", arguments, flags=re.M)[1:]
    texts = (text.partition("\n\n")[0] for text in parts[1::2])
    return dict(zip(parts[::2], (" ".join(text.split()) for text in texts), strict=True))


@each
def test_every_parameter_is_documented_with_its_unit(name: str) -> None:
    problem = registry("problems").load(name)
    texts = documented(problem)
    assert set(texts) == {entry.name for entry in dataclasses.fields(problem)}
    units = r"\bunits?\b|lengths of|sides of|periods? |likewise|inverse"
    measured = [entry.name for entry in dataclasses.fields(problem) if "float" in str(entry.type)]
    assert not [parameter for parameter in measured if not re.search(units, texts[parameter])]


@each
def test_a_file_says_where_it_comes_from_and_trains_as_it_is(name: str, tmp_path: Path) -> None:
    if name == "elasticity":
        pytest.importorskip("skfem")
    problem: Problem = registry("problems").load(name)(**SETTINGS.get(name, {}))
    assert problem.name == name
    file = tmp_path / f"{name}.hdf5"
    generate(problem, 4, file, resolution=16, seed=0, workers=0)
    with open_dataset(file) as fields:
        assert {"input", "target"} <= set(fields.roles.values())
        assert fields.attrs["problem"] == name
        assert (fields.attrs["equation"], fields.attrs["scheme"]) == (problem.equation, problem.scheme)
        assert set(fields.attrs["versions"]) == {"sciml", "numpy", "scipy", "torch"}
        assert fields.attrs["parameters"] == problem.parameters()
    assert re.search(r"^\w+ +input +sample", describe_file(file), re.M)
    data = load_dataset(file)
    assert len(data.train) == 4
    assert {"x", "u"} & set(data.train.tensors)
    assert all(bool(torch.isfinite(value).all()) for value in data.train.tensors.values())
    target = data.train["y"]
    assert not torch.equal(target[0], target[1])
