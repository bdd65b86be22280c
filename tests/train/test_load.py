"""sciml.load: a run folder alone gives back the model with its normalisers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sciml import load
from sciml.data import Dataset
from sciml.errors import CheckpointError, ConfigError
from sciml.operators import FNO
from sciml.registry import registry
from sciml.tasks import OperatorRegression
from sciml.train import Trainer, build_model


def fit(model: nn.Module, data: Dataset, run: Path, **kwargs: Any) -> Trainer:
    trainer = Trainer(max_epochs=2, batch_size=8, progress=False, run_dir=run, accelerator="cpu", **kwargs)
    trainer.fit(model, data)
    return trainer


@pytest.mark.parametrize("name", ["fno", "deeponet", "mlp"])
def test_a_loaded_model_predicts_in_the_units_of_the_data(name: str, line_data: Dataset, tmp_path: Path) -> None:
    arguments = {"fno": {"modes": [3], "hidden_channels": 8}}.get(name, {})
    model = build_model(name, line_data.spec, **arguments)
    trainer = fit(model, line_data, tmp_path)
    expected = trainer.predict(model, line_data["test"])
    loaded = load(tmp_path)
    assert torch.equal(loaded.predict(line_data["test"]), expected)
    assert torch.equal(loaded(x=line_data["test"]["x"]), expected)


def test_a_registered_class_made_in_python_is_found_again(line_data: Dataset, tmp_path: Path) -> None:
    model = FNO(in_channels=1, out_channels=1, modes=[3], hidden_channels=8)
    trainer = fit(model, line_data, tmp_path)
    assert torch.equal(load(tmp_path).predict(line_data["test"]), trainer.predict(model, line_data["test"]))


def test_double_precision_survives(line_data: Dataset, tmp_path: Path) -> None:
    model = build_model("fno", line_data.spec, modes=[3], hidden_channels=8)
    fit(model, line_data, tmp_path, precision="64-true")
    assert load(tmp_path)(x=line_data["test"]["x"].double()).dtype == torch.float64


def test_an_unregistered_model_is_given_by_the_user(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    model = make_net()
    trainer = fit(model, line_data, tmp_path)
    with pytest.raises(CheckpointError, match=r"sciml\.load\(run, model=\.\.\.\)"):
        load(tmp_path)
    loaded = load(tmp_path, model=make_net())
    assert torch.equal(loaded.predict(line_data["test"]), trainer.predict(model, line_data["test"]))


def test_an_unfinished_run_says_how_to_continue(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="--resume"):
        load(tmp_path)


def test_broken_and_foreign_files_are_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="not a model written by sciml"):
        load(tmp_path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a model written by sciml"):
        load(tmp_path)


def test_weights_that_do_not_fit_are_refused(line_data: Dataset, tmp_path: Path) -> None:
    fit(build_model("fno", line_data.spec, modes=[3], hidden_channels=8), line_data, tmp_path)
    other = FNO(in_channels=1, out_channels=1, modes=[3], hidden_channels=4)
    with pytest.raises(CheckpointError, match="do not fit FNO"):
        load(tmp_path, model=other)


def test_build_model_names_arguments_that_do_not_exist(line_data: Dataset) -> None:
    with pytest.raises(ValueError, match="hidden_chanels"):
        build_model("fno", line_data.spec, modes=[3], hidden_chanels=8)
    with pytest.raises(LookupError, match="Did you mean 'fno'"):
        build_model("fnoo", line_data.spec)


def test_the_header_holds_no_path_and_names_the_model(line_data: Dataset, tmp_path: Path) -> None:
    from safetensors import safe_open

    fit(build_model("fno", line_data.spec, modes=[3], hidden_channels=8), line_data, tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["sciml"])
    assert header["model"]["name"] == "fno"
    assert header["task"] == {"name": "operator", "arguments": registry("tasks").create("operator").settings()}
    assert str(tmp_path) not in json.dumps(header)


def test_a_task_of_ones_own_is_not_taken_for_a_registered_one_of_the_same_name(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    own = type("OperatorRegression", (OperatorRegression,), {})
    trainer = Trainer(max_epochs=1, progress=False, run_dir=tmp_path / "run")
    net = make_net()
    trainer.fit(net, line_data, own())
    with pytest.raises(CheckpointError, match="unregistered task"):
        load(tmp_path / "run", model=make_net())
    assert isinstance(load(tmp_path / "run", model=make_net(), task=own()).task, own)


def test_inputs_may_be_numpy_arrays_of_another_precision(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    Trainer(max_epochs=1, progress=False, run_dir=tmp_path / "run").fit(make_net(), line_data)
    run = load(tmp_path / "run", model=make_net())
    x = line_data["test"]["x"]
    assert torch.equal(run(x=x.double().numpy()), run(x=x))
    with pytest.raises(ConfigError, match=r"run\(x=values\)"):
        run(x)


@pytest.mark.parametrize("model_dtype", [torch.float32, torch.float64])
def test_data_are_trained_on_in_the_precision_of_the_model(
    line_data: Dataset, make_net: Any, model_dtype: torch.dtype
) -> None:
    other = torch.float64 if model_dtype == torch.float32 else torch.float32
    splits = {
        name: split.map(lambda b: {k: v.to(other) for k, v in b.items()}) for name, split in line_data.splits.items()
    }
    data = Dataset(splits, line_data.spec, "line")
    net = make_net().to(model_dtype)
    trainer = Trainer(max_epochs=1, progress=False)
    trainer.fit(net, data)
    assert trainer.predict(net, data["test"]).dtype == model_dtype
    assert trainer.test(net, data)["test"]["relative_l2"] > 0
