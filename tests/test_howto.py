"""The pages of the documentation: every piece of Python runs as it stands, in the order of its page."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from sciml import Trainer, load_dataset
from sciml.commands.run import build_run
from sciml.config import read_config
from sciml.data import open_dataset
from sciml.data.cards import read_card
from sciml.operators.convert import unregister_converter
from sciml.registry import model_spec, registry

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(page: str, leave_out: str = "\0") -> dict[str, Any]:
    """What the Python of a page leaves behind."""
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(blocks(page, "python")):
        if leave_out not in block:
            exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names


def test_every_concept_of_the_overview_runs() -> None:
    names = run("all-of-sciml.md")
    assert float(names["u"].l2_norm()) == pytest.approx(0.5**0.5, rel=1e-6)


def test_the_page_on_operator_data_runs() -> None:
    with h5py.File("1D_Advection_Sols_beta0.1.hdf5", "w") as file:
        file["tensor"] = np.random.default_rng(0).random((6, 5, 32))
    names = run("howto/operator-data.md")
    assert names["prediction"].shape == (4, 1, 16, 16)
    assert {len(names[key]) for key in ("aligned", "ragged")} == {8}
    assert load_dataset("mine.npz").train["x"].shape == (50, 1, 16, 16)
    assert torch.equal(names["data"].train["y"], torch.tensor(names["values"][:, None, -1]).float())


def test_the_page_on_other_resolutions_runs() -> None:
    names = run("howto/other-resolutions.md")
    assert 1.8 < names["errors"].order < 2.2
    unregister_converter(names["Sine"])


def test_the_card_of_the_page_is_complete() -> None:
    card = next(block for block in blocks("howto/operator-data.md", "yaml") if "licence" in block)
    folder = Path("my-darcy")
    folder.mkdir()
    (folder / "card.yaml").write_text(card)
    x = np.random.default_rng(0).random((5, 8, 8))
    for name in ("train", "test"):
        np.savez(folder / f"{name}.npz", x=x, y=2 * x)
    assert read_card(folder) == yaml.safe_load(card)
    data = load_dataset(folder)
    assert data.train.grids["y"].alignment == "cell"
    assert (data.spec["x"].units, data.spec["y"].units) == ("m^2", "Pa")


def test_the_page_on_resuming_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"max_epochs": 1, "batch_size": 400, "progress": False, "accelerator": "cpu"}
    monkeypatch.setattr("sciml.Trainer", lambda **given: Trainer(**{**given, **short}), raising=False)
    run("howto/resume.md")
    assert Path("runs/mine/model.safetensors").is_file()


def test_the_components_of_the_page_on_plugins_work_together() -> None:
    names = run("howto/plugin.md", leave_out="parametrize_with_checks")
    assert model_spec(names["TRANSFORMER"]).inputs["src"] == "x"
    for kind, name, component in [
        ("tasks", "largest-error", names["LargestError"]),
        ("methods", "decay", names["Decay"]),
        ("datasets", "shifts", names["shifts"]),
        ("formats", "pairs", names["PAIRS"]),
    ]:
        registry(kind).register(name)(component)
    Path("run.yaml").write_text(
        "model: {name: fno, modes: [4], hidden_channels: 4}\ndata: {name: shifts, points: 16}\ntask: largest-error\n"
        "methods: [decay]\ntrainer: {max_steps: 2, progress: false}\n"
    )
    made = build_run(read_config("run.yaml"))
    assert made.fit().steps == 2
    assert set(made.trainer.test(made.model, made.data)["test"]) == {"largest", "largest_se"}
    assert made.methods[0].state_dict() == {"factor": pytest.approx(0.99**2)}
    Path("pairs.txt").write_text("#pairs\n1 2 3 4\n5 6 7 8\n")
    assert open_dataset("pairs.txt").format == "pairs"
    assert load_dataset("pairs.txt").train["y"].tolist() == [[[3.0, 4.0]], [[7.0, 8.0]]]
    Path("pairs.txt").write_text("#pairs\n1 2 3\n")
    with pytest.raises(ValueError, match="3 columns, expected as many"):
        open_dataset("pairs.txt")
