"""Training at several resolutions: loss, normalisation, resume, models that cannot, and `sciml fit` from end to end."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from sciml import load, load_dataset
from sciml.cli import main
from sciml.data import Dataset, Split, at_resolutions, grid_split, operator_dataset
from sciml.errors import CheckpointError, ConfigError
from sciml.operators.convert import to_operator
from sciml.spaces import RegularGrid
from sciml.tasks import OperatorRegression
from sciml.train import Callback, Method, RunFolder, StepContext, Trainer, build_model
from sciml.train.checkpoint import load_checkpoint
from sciml.train.loop import TrainingLoop


def smooth(n: int, num: int = 6, seed: int = 0, closed: bool = True) -> Split:
    """Sums of two sines of random size; the target is the square."""
    grid = RegularGrid((n,), ((0.0, 1.0),), periodic=not closed)
    size = torch.randn(num, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = size @ torch.stack([torch.sin(2 * torch.pi * grid.axes[0] + 1), torch.sin(4 * torch.pi * grid.axes[0])])
    return grid_split(x, x**2, grid, torch.float64)


def lines(**options: Any) -> Dataset:
    return at_resolutions(operator_dataset({"train": smooth(17, 22), "test": smooth(17, 4, 1)}), [9, 17], **options)


class Spectrum(nn.Module):
    """A convolution on the line with dropout, so that a run depends on the random state too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.GELU(), nn.Dropout(0.2), nn.Conv1d(4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, 1, points)`` to the same."""
        return self.layers(x)


def fit(run: Path | None, resume: str | None = None, data: Dataset | None = None, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    options: dict[str, Any] = {"max_epochs": 3, "batch_size": 4, "accelerator": "cpu", "progress": False, **settings}
    trainer = Trainer(run_dir=run, **options)
    trainer.fit(Spectrum(), data or lines(), resume=resume)
    return trainer


@pytest.mark.parametrize("loss", ["relative_l2", "mse"])
def test_the_loss_is_taken_by_quadrature_on_the_grid_of_the_batch(loss: str) -> None:
    task = OperatorRegression(loss=loss, normalize=False)
    data = lines()
    task.setup(data)
    model = nn.Identity()
    task.bind(model, ["x", "y"], {"input": "x"})
    values = {}
    for name in ("train_17", "train_9"):
        x, y = (data[name][key].numpy()[:, 0] for key in ("x", "y"))
        points = data[name].grids["y"].axes[0].numpy()
        error, norm = np.trapezoid((x - y) ** 2, points), np.trapezoid(y**2, points)
        expected = np.sqrt(error / norm).mean() if loss == "relative_l2" else error.mean()
        values[name] = float(task.compute(model, task.prepare(data[name]).batch(slice(None))).loss)
        assert values[name] == pytest.approx(expected, rel=1e-12)
    # The square has eight waves on the line at most: both rules are exact but for aliasing on nine points.
    assert values["train_9"] == pytest.approx(values["train_17"], rel=0.05)


def test_the_h1_loss_takes_the_spacing_of_the_batch() -> None:
    task = OperatorRegression(loss="relative_h1", normalize=False)
    data = at_resolutions(operator_dataset({"train": smooth(257)}), [129, 257])
    task.setup(data)
    model = nn.Identity()
    task.bind(model, ["x", "y"], {"input": "x"})
    values = [float(task.compute(model, data[name].batch(slice(None))).loss) for name in data]
    # Second order: a wrong spacing would change derivatives by a factor of two.
    assert values[0] == pytest.approx(values[1], rel=1e-2)


def test_every_sample_counts_alike_in_the_normalisation_whatever_its_points() -> None:
    fine, coarse = smooth(33, 3, 0), smooth(5, 7, 1)
    task = OperatorRegression()
    task.setup(operator_dataset({"train_33": fine, "train_5": coarse}))
    means = np.concatenate([part["x"].numpy().mean((1, 2)) for part in (fine, coarse)])
    squares = np.concatenate([(part["x"].numpy() ** 2).mean((1, 2)) for part in (fine, coarse)])
    assert float(task.normalizer["x"].mean) == pytest.approx(means.mean(), rel=1e-10)
    assert float(task.normalizer["x"].std) == pytest.approx(np.sqrt(squares.mean() - means.mean() ** 2), rel=1e-10)


def test_methods_see_the_grid_of_their_batch() -> None:
    class Watch(Method):
        key = "watch"

        def on_batch_start(self, context: StepContext) -> None:
            seen.append((context.grids["y"].shape, tuple(context.batch["y"].shape[2:])))

    seen: list[Any] = []
    model = Spectrum().double()
    trainer = Trainer(max_epochs=1, batch_size=3, accumulate=2, progress=False)
    trainer.fit(model, lines(), methods=[Watch()])
    assert {grid for grid, _ in seen} == {(9,), (17,)}
    assert all(grid == shape for grid, shape in seen)


class StopAfter(Callback):
    """Ends the process, as far as the run is concerned, before step ``last`` is saved."""

    def __init__(self, last: int) -> None:
        self.last = last

    def on_step_end(self, loop: TrainingLoop) -> None:
        if loop.step == self.last:
            raise KeyboardInterrupt


# 22 samples on 17 points in batches of 4, on 9 points in batches of 7: an epoch has 10 steps.
@pytest.mark.parametrize("stop", [1, 7, 10, 13])
def test_a_stopped_run_resumed_equals_the_unbroken_one_bit_for_bit(stop: int, tmp_path: Path) -> None:
    fit(tmp_path / "whole", callbacks=[Callback()])
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "parts", callbacks=[StopAfter(stop + 1)], checkpoint_steps=1)
    assert load_checkpoint(tmp_path / "parts/checkpoints/last.pt")["loop"]["step"] == stop
    fit(tmp_path / "parts", "auto", callbacks=[Callback()], checkpoint_steps=1)
    whole, parts = (tmp_path / name / "model.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (tmp_path / "parts/metrics.csv").read_bytes()
    states = [load_checkpoint(tmp_path / name / "checkpoints/last.pt")["loop"]["loader"] for name in ("whole", "parts")]
    assert states[0] == states[1]


def test_a_run_is_resumed_on_all_its_training_data_only(tmp_path: Path) -> None:
    fit(tmp_path / "run", max_epochs=1)
    data = lines()
    with pytest.raises(CheckpointError, match="train_9"):
        fit(tmp_path / "run", "auto", operator_dataset({"train": data["train_17"]}), max_epochs=2)
    coarse = data["train_9"]
    changed = Split({**coarse.tensors, "y": coarse["y"] + 1}, grids=coarse.grids)
    with pytest.raises(CheckpointError, match="same shapes, other values"):
        fit(tmp_path / "run", "auto", Dataset({**data.splits, "train_9": changed}, data.spec), max_epochs=2)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fno", {"modes": [3, 3], "hidden_channels": 8}),
        ("tfno", {"modes": [3, 3], "hidden_channels": 8, "rank": 0.5}),
        ("oformer", {}),
    ],
)
def test_models_for_functions_train_at_several_resolutions(name: str, arguments: dict[str, Any]) -> None:
    data = load_dataset("darcy-small", resolutions=[8, 16], test_resolutions=[8, 16, 32])
    data = Dataset({key: data[key].select(slice(0, 20)) for key in data}, data.spec)
    model = build_model(name, data.spec, **arguments)
    trainer = Trainer(max_epochs=1, batch_size=10, progress=False)
    trainer.fit(model, data)
    errors = trainer.test(model, data)
    assert list(errors) == ["test_8", "test_16", "test_32"]
    assert all(np.isfinite(value["relative_l2"]) for value in errors.values())


def test_a_converted_network_trains_at_several_resolutions() -> None:
    network = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.GELU(), nn.Conv1d(4, 1, 1)).double()
    before = [parameter.clone() for parameter in network.parameters()]
    fine = {"train": smooth(16, 22, closed=False), "test": smooth(16, 4, 1, closed=False)}
    data = at_resolutions(operator_dataset(fine), [8, 16])
    Trainer(max_epochs=1, batch_size=4, progress=False).fit(to_operator(network, reference=(16,)), data)
    assert not any(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(("name", "words"), [("deeponet", "fixed sensors"), ("mlp", "the grid that it was built for")])
def test_a_model_for_one_grid_is_refused_before_training(name: str, words: str) -> None:
    data = load_dataset("darcy-small", resolutions=[8, 16])
    model = build_model(name, data.spec)
    with pytest.raises(
        ConfigError, match=f"cannot be trained on the split train_8 .*{words}.*Train it at one resolution"
    ):
        Trainer(max_epochs=1, progress=False).fit(model, data)


def test_trying_the_resolutions_leaves_the_random_state_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noisy(Spectrum):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x + 0.1 * torch.randn(x.shape, dtype=x.dtype))

    def weights() -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = Noisy()
        Trainer(max_epochs=1, batch_size=4, progress=False).fit(model, lines())
        return list(model.parameters())

    first = weights()
    monkeypatch.setattr("sciml.train.session.FitSession._try_resolutions", lambda self: None)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(), strict=True))


CONFIG: dict[str, Any] = {
    "model": {"name": "fno", "modes": [4, 4], "hidden_channels": 8, "num_layers": 2},
    "data": {
        "name": "problem",
        "problem": "darcy",
        "train": 12,
        "test": 4,
        "resolution": 17,
        "resolutions": [9, 17],
        "test_resolutions": [9, 33],
        "workers": 0,
    },
    "trainer": {"max_epochs": 2, "batch_size": 4, "progress": False, "run_dir": "run"},
}


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    Path("two.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def test_fit_trains_on_two_resolutions_and_reports_each(generated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "two.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "train_17 12, train_9 12, test 4, test_9 4, test_33 4 samples" in printed
    table = next(line for line in printed.splitlines() if "test_33" in line and "samples" not in line)
    assert table.split() == ["test", "test_9", "test_33"]
    assert "resolution.png" in printed
    assert Path("run/resolution.png").stat().st_size > 0
    # 12 samples in batches of 4, and in batches of 4 * 17**2 // 9**2 = 14 > 12 samples: 4 steps an epoch.
    assert RunFolder("run").rows()[-1]["step"] == 8
    report = json.loads(Path("run/metrics.json").read_text())
    arguments = {key: value for key, value in CONFIG["data"].items() if key != "name"}
    data = load_dataset("problem", **arguments)
    for name in ("test", "test_9", "test_33"):
        y = data[name]["y"].numpy()
        axes = [axis.numpy() for axis in data[name].grids["y"].axes]
        error = (load("run").predict(data[name]).numpy() - y)[:, 0]
        norms = [np.trapezoid(np.trapezoid(u**2, axes[1]), axes[0]) for u in (error, y[:, 0])]
        assert report[name]["relative_l2"] == pytest.approx(np.sqrt(norms[0] / norms[1]).mean(), rel=1e-4)
        assert report[name]["relative_l2_se"] > 0
    assert main(["test", "run"]) == 0
    assert table in capsys.readouterr().out


def test_the_stored_configuration_gives_the_same_run(generated: Path) -> None:
    assert main(["fit", "two.yaml"]) == 0
    assert main(["fit", "run/config.yaml", "--trainer.run_dir", "again"]) == 0
    assert Path("run/metrics.csv").read_bytes() == Path("again/metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--data.resolutions", "[7]"], "no stride through them gives 7. Strides give 8, 4, 2"),
        (["--data.resolutions", "[33]"], "resolution 33 is finer than the data"),
        (["--data.resolutions", "8"], "data.resolutions is 8, expected a list"),
        (["--data.resampling", "fft"], "unknown resampling 'fft'"),
    ],
)
def test_mistakes_are_one_line(
    option: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = ["--trainer.max_epochs", "1", "--trainer.run_dir", str(tmp_path / "run")]
    assert main(["fit", "--model", "fno", "--model.modes", "4", "--data", "darcy-small", *run, *option]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_misspelt_option_of_a_card_names_the_resolutions() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resolutions'"):
        load_dataset("darcy-small", resolution=[8])
