"""Datasets made from problems: made once, kept under what made them, splits that never touch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sciml.data import open_dataset, problem_dataset
from sciml.errors import ConfigError, UnknownNameError
from sciml.registry import registry

HERE = Path(__file__).parent


@pytest.fixture
def decay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(HERE / "generation"))
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    from toy_problem import Decay

    monkeypatch.setattr(registry("problems"), "_registered", {})
    registry("problems").register("toy-decay")(Decay)
    return Decay


def make(problem: Any = "toy-decay", **options: Any) -> Any:
    return problem_dataset(problem, **{"train": 6, "val": 2, "test": 3, "workers": 0, **options})


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "generated").iterdir())


def test_splits_are_stretches_of_one_sequence(decay: Any) -> None:
    data = make(seed=5)
    assert {name: len(data[name]) for name in data} == {"train": 6, "val": 2, "test": 3}
    expected = decay().generate(6, seed=5)
    torch.testing.assert_close(data.train["x"][:, 0], torch.tensor(expected.arrays["u0"]).float(), rtol=0, atol=0)
    torch.testing.assert_close(data.train["y"], torch.tensor(expected.arrays["u"]).float(), rtol=0, atol=0)
    rows = torch.cat([data[name]["x"].flatten(1) for name in data])
    assert len(torch.unique(rows, dim=0)) == 11


def test_the_test_set_does_not_depend_on_the_size_of_the_others(decay: Any) -> None:
    small, large = make(), make(train=9, val=0)
    assert torch.equal(small["test"]["x"], large["test"]["x"])
    assert torch.equal(small.train["x"], large.train["x"][:6])
    assert "val" not in large


def test_test_samples_at_other_resolutions_are_the_same_functions(decay: Any) -> None:
    data = make(resolution=8, test_resolutions=(16, 4))
    assert list(data) == ["train", "val", "test", "test_16", "test_4"]
    torch.testing.assert_close(data["test_16"]["y"][..., ::2], data["test"]["y"])
    assert data["test_16"].grids["x"].shape == (16,)


def test_parameters_reach_the_problem(decay: Any) -> None:
    slow, fast = make(parameters={"rate": 1.0}), make(parameters={"rate": 2.0})
    torch.testing.assert_close(slow.train["y"][:, 1] ** 2, fast.train["y"][:, 1] * fast.train["x"][:, 0])
    assert fast.card["parameters"]["rate"] == 2.0
    assert "--set rate=2.0" in fast.card["obtain"]
    with pytest.raises(ConfigError, match="decay has no parameter speed; there are rate, frames"):
        make(parameters={"speed": 1})


def test_files_are_made_once_and_again_when_something_changes(decay: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = {"parameters": {"log": str(log)}}
    first = make(**options)
    calls = log.read_text()
    assert files(tmp_path) == sorted(Path(part["file"]).name for part in first.card["splits"].values())
    again = make(**options)
    assert log.read_text() == calls
    assert first.hash == again.hash
    make(**options, train=7)
    assert len(log.read_text().splitlines()) == len(calls.splitlines()) + 7  # the training samples only
    make(**options, seed=1)
    make(parameters={"log": str(log), "rate": 2.0})
    make(**options, resolution=16)
    assert len(files(tmp_path)) == 3 + 1 + 3 * 3


def test_the_code_of_the_problem_is_part_of_the_key(
    decay: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    monkeypatch.setattr("sciml.data.generated.code_hash", lambda problem: "other")
    make()
    assert len(files(tmp_path)) == 6


def test_without_a_cache_nothing_is_left(decay: Any, tmp_path: Path) -> None:
    data = make(cache=False)
    assert data.hash == make().hash
    assert len(files(tmp_path)) == 3
    assert data.card["splits"]["train"]["file"] is None


def test_query_points_are_drawn_for_training_only(decay: Any) -> None:
    data = make(queries=5)
    assert data.train["coords"].shape == (6, 5, 2)
    assert data["test"]["coords"].shape == (24, 2)
    assert not data.spec["coords"].shared
    assert make(layout="points").train["y"].shape == (6, 24)


def test_card_and_specification_say_what_the_data_are(decay: Any) -> None:
    data = make()
    assert data.name == "decay"
    assert data.spec["y"].units == "m/s"
    assert data.spec["x"].units is None
    assert data.card["equation"] == "u_t = -rate u"
    assert data.card["scheme"] == "exact"
    json.dumps(data.card)
    with open_dataset(data.card["splits"]["test"]["file"], "pdebench-hdf5") as fields:
        assert fields.attrs["generated"]["start"] == 2 * 10**8


def test_a_yaml_names_the_problem(decay: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciml.data import load_dataset

    data = load_dataset("problem", problem="toy-decay", train=4, test=2, workers=0)
    assert {name: len(data[name]) for name in data} == {"train": 4, "test": 2}


def test_mistakes_are_named(decay: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown problem 'toy-decai'\. Did you mean 'toy-decay'"):
        make("toy-decai")
    with pytest.raises(ConfigError, match="train is 0, val 2, test 3; expected at least 1, 0 and 0"):
        make(train=0)
