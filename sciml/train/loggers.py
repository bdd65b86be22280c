"""Thin adapters to experiment trackers; each package is imported when its logger is made."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

__all__ = ["LOGGERS", "Logger", "MLflowLogger", "TensorBoardLogger", "WandbLogger"]


class Logger(Protocol):
    """Receives the rows of the training log."""

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One row."""

    def close(self) -> None:
        """Flush at the end of the run."""


class TensorBoardLogger:
    """Writes scalars for TensorBoard.

    Args:
        log_dir: Folder of the event files.
    """

    def __init__(self, log_dir: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoardLogger needs tensorboard: pip install 'sciml[tracking]'.") from error
        self._writer = SummaryWriter(log_dir)

    def log(self, row: Mapping[str, float], step: int) -> None:
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class MLflowLogger:
    """Logs to the active MLflow run, or starts one.

    Args:
        experiment: Name of the experiment.
        tracking_uri: Where MLflow keeps its data; its own default when None.
    """

    def __init__(self, experiment: str = "sciml", tracking_uri: str | None = None) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise ImportError("MLflowLogger needs mlflow: pip install 'sciml[tracking]'.") from error
        self._mlflow: Any = mlflow
        if tracking_uri is not None:
            mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_experiment(experiment)
        self._run = mlflow.start_run()

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics({name: float(value) for name, value in row.items()}, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


class WandbLogger:
    """Logs to Weights & Biases.

    Args:
        project: Name of the project.
        mode: ``online``, ``offline`` or ``disabled``.
    """

    def __init__(self, project: str = "sciml", mode: Literal["online", "offline", "disabled"] = "offline") -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError("WandbLogger needs wandb: pip install 'sciml[tracking]'.") from error
        self._run: Any = wandb.init(project=project, mode=mode)

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._run.log(dict(row), step=step)

    def close(self) -> None:
        self._run.finish()


LOGGERS: dict[str, Any] = {"tensorboard": TensorBoardLogger, "mlflow": MLflowLogger, "wandb": WandbLogger}
