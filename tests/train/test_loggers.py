"""Trackers receive the rows of the log."""

from pathlib import Path
from typing import Any

import pytest

from sciml.data import Dataset
from sciml.train import MLflowLogger, TensorBoardLogger, Trainer, WandbLogger


def fit(data: Dataset, model: Any, logger: Any) -> list[dict[str, float]]:
    return Trainer(max_epochs=2, progress=False, loggers=[logger], accelerator="cpu").fit(model, data).history


def test_tensorboard_receives_every_epoch(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit(line_data, make_net(), TensorBoardLogger(str(tmp_path)))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    logged = [event.value for event in events.Scalars("train/loss")]
    assert logged == pytest.approx([row["train/loss"] for row in history])


def test_wandb_receives_rows_with_their_steps(
    line_data: Dataset, make_net: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    rows = []

    class Run:
        def log(self, row: dict[str, float], step: int) -> None:
            rows.append((step, row))

        def finish(self) -> None:
            rows.append((-1, {}))

    monkeypatch.setattr(wandb, "init", lambda **kwargs: Run())
    history = fit(line_data, make_net(), WandbLogger(mode="disabled"))
    assert rows == [(int(row["step"]), row) for row in history] + [(-1, {})]


def test_mlflow_receives_rows_in_its_store(
    line_data: Dataset, make_net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger = MLflowLogger(tracking_uri=(tmp_path / "mlruns").as_uri())
    history = fit(line_data, make_net(), logger)
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert runs[0].data.metrics["train/loss"] == pytest.approx(history[-1]["train/loss"])


@pytest.mark.parametrize(
    ("module", "make"),
    [("wandb", WandbLogger), ("mlflow", MLflowLogger), ("torch.utils.tensorboard", lambda: TensorBoardLogger("x"))],
)
def test_a_missing_tracker_says_what_to_install(module: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'sciml\[tracking\]'"):
        make()


def test_a_logger_is_chosen_by_name_and_needs_a_folder(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    Trainer(max_epochs=1, progress=False, loggers=["tensorboard"], run_dir=tmp_path / "run").fit(make_net(), line_data)
    assert list((tmp_path / "run/tensorboard").glob("events.out.tfevents.*"))
    with pytest.raises(ValueError, match="loggers names 'paper'"):
        fit(line_data, make_net(), "paper")
    with pytest.raises(ValueError, match=r"set trainer\.run_dir"):
        fit(line_data, make_net(), "tensorboard")
