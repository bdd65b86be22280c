"""The trainer: what a run needs to know, and the calls that start, test and apply it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sciml.data import Dataset, Split
from sciml.errors import ConfigError
from sciml.train.callbacks import Callback
from sciml.train.engine import Engine, make_engine
from sciml.train.evaluate import evaluate, predict_split
from sciml.train.loggers import LOGGERS, Logger
from sciml.train.method import Method
from sciml.train.run_folder import RunFolder
from sciml.train.session import FitResult, FitSession, OptimizerLike
from sciml.train.task import Task

__all__ = ["Trainer"]


class Trainer:
    """Trains any model on any dataset with any task.

    The plain step is a bare PyTorch loop: hooks, wrappers and checks that are not asked for cost nothing. A stopped run
    that is resumed equals the run that was never stopped, bit for bit on a CPU.

    Args:
        max_epochs: Passes over the training split. One of ``max_epochs`` and ``max_steps`` is needed.
        max_steps: Optimizer steps; the run ends at the earlier of both.
        batch_size: Samples per batch over all processes.
        eval_batch_size: Samples per batch of validation and test; ``batch_size`` at least 256 when None.
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        devices: Number of devices, or their indices.
        num_nodes: Number of machines.
        strategy: Distribution strategy by the name lightning-fabric gives it, for example ``ddp``.
        precision: ``32-true``, ``64-true``, ``16-mixed``, ``bf16-mixed``.
        accumulate: Batches per optimizer step.
        clip_norm: Largest norm of the gradient.
        compile: ``"model"`` compiles the model with ``torch.compile``.
        check_finite: Stop at the first loss or gradient that is not finite, before it reaches a weight.
        seed: Seed of the data order, of dropout and of the random streams of methods.
        shuffle: New order of the samples in every epoch.
        drop_last: Leave out a smaller last batch.
        validate_every: Epochs between validations.
        monitor: Column of the log that chooses ``best.pt``; the first validation metric when None.
        mode: Whether ``monitor`` should fall (``min``) or rise (``max``).
        restore_best: End with the weights of the best validation.
        callbacks: Observers.
        loggers: Trackers, as objects or by name (``tensorboard``, ``mlflow``, ``wandb``).
        run_dir: Folder for configuration, log, checkpoints and the final model; None writes nothing.
        overwrite: Replace a run folder that exists.
        checkpoint_seconds: Least time between checkpoints at the end of epochs.
        checkpoint_steps: Optimizer steps between checkpoints, within epochs too.
        progress: Show a progress bar, or plain lines where there is no terminal.

    Raises:
        ConfigError: If an argument has a value that cannot work.

    Example:
        >>> from sciml.operators import FNO
        >>> from sciml import load_dataset
        >>> data = load_dataset("darcy-small")
        >>> model = FNO(in_channels=1, out_channels=1, modes=[4, 4], hidden_channels=8)
        >>> trainer = Trainer(max_steps=2, batch_size=16, progress=False)
        >>> trainer.fit(model, data).steps
        2
    """

    def __init__(
        self,
        max_epochs: int | None = None,
        max_steps: int | None = None,
        *,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        accelerator: str = "auto",
        devices: int | str | list[int] = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        precision: str = "32-true",
        accumulate: int = 1,
        clip_norm: float | None = None,
        compile: str | None = None,
        check_finite: bool = True,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        validate_every: int = 1,
        monitor: str | None = None,
        mode: str = "min",
        restore_best: bool = False,
        callbacks: Sequence[Callback] = (),
        loggers: Sequence[Logger | str] = (),
        run_dir: str | Path | None = None,
        overwrite: bool = False,
        checkpoint_seconds: float = 30.0,
        checkpoint_steps: int | None = None,
        progress: bool = True,
    ) -> None:
        positive = {
            "max_epochs": max_epochs,
            "max_steps": max_steps,
            "batch_size": batch_size,
            "eval_batch_size": eval_batch_size,
            "accumulate": accumulate,
            "validate_every": validate_every,
            "checkpoint_steps": checkpoint_steps,
            "num_nodes": num_nodes,
        }
        for name, value in positive.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ConfigError(f"trainer.{name} is {value!r}, expected an integer.")
            if value is not None and value < 1:
                raise ConfigError(f"trainer.{name} is {value}, expected at least 1.")
        if clip_norm is not None and not clip_norm > 0:
            raise ConfigError(f"trainer.clip_norm is {clip_norm}, expected a positive number.")
        for logger in loggers:
            if isinstance(logger, str) and logger not in LOGGERS:
                raise ConfigError(f"trainer.loggers names {logger!r}, expected {', '.join(LOGGERS)}.")
        if compile not in (None, "model"):
            raise ConfigError(f"trainer.compile is {compile!r}, expected 'model' or nothing.")
        if mode not in ("min", "max"):
            raise ConfigError(f"trainer.mode is {mode!r}, expected 'min' or 'max'.")
        self.max_epochs, self.max_steps = max_epochs, max_steps
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or max(batch_size, 256)
        self.accelerator, self.devices, self.num_nodes = accelerator, devices, num_nodes
        self.strategy, self.precision = strategy, precision
        self.accumulate, self.clip_norm, self.compile = accumulate, clip_norm, compile
        self.check_finite, self.seed = check_finite, seed
        self.shuffle, self.drop_last, self.validate_every = shuffle, drop_last, validate_every
        self.monitor, self.mode, self.restore_best = monitor, mode, restore_best
        self.callbacks = list(callbacks)
        self.loggers = list(loggers)
        self.run = None if run_dir is None else RunFolder(run_dir)
        self.overwrite = overwrite
        self.checkpoint_seconds, self.checkpoint_steps = checkpoint_seconds, checkpoint_steps
        self.progress = progress
        self._engine: Engine | None = None
        self._task: Task | None = None

    @property
    def engine(self) -> Engine:
        """Device and processes; started when first used."""
        if self._engine is None:
            self._engine = make_engine(self.accelerator, self.devices, self.num_nodes, self.strategy, self.precision)
        return self._engine

    @property
    def is_main(self) -> bool:
        """True on the one process that writes and prints."""
        return self.engine.rank == 0

    def fit(
        self,
        model: nn.Module,
        data: Dataset,
        task: Task | str | None = None,
        methods: Sequence[Method] = (),
        *,
        optimizer: OptimizerLike | None = None,
        scheduler: Mapping[str, Any] | str | None = None,
        inputs: Mapping[str, str] | None = None,
        resume: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> FitResult:
        """Train.

        Args:
            model: The network; it is trained in place.
            data: Splits ``train`` and, optionally, those whose names begin with ``val``.
            task: The task, or its name; None takes what the dataset or the model says.
            methods: Training methods.
            optimizer: Name, ``{"name": ..., arguments}``, or a function of the model; None leaves it to the task.
            scheduler: Name, or ``{"name": ..., arguments}``.
            inputs: Forward argument to batch key, where the names differ.
            resume: ``"auto"`` continues the run folder if it has a checkpoint; a path continues from that file.
            config: Kept in the run folder as ``config.yaml``, with optimizer and scheduler as they are used.

        Returns:
            History and counts.

        Raises:
            ConfigError: If components do not fit together.
            NonFiniteError: If the loss or a gradient stops being finite.
            Interrupted: If the run was stopped by SIGTERM or Ctrl-C after its checkpoint was saved.
        """
        fit = FitSession(self, model, data, task, methods, optimizer, scheduler, inputs, resume, config)
        self._task = fit.task
        return fit.run()

    def test(
        self, model: nn.Module, data: Dataset, task: Task | None = None, prefix: str = "test"
    ) -> dict[str, dict[str, float]]:
        """Metrics with standard errors on every split whose name begins with ``prefix``.

        Args:
            model: A trained model, bound by :meth:`fit` or :func:`sciml.load`.
            data: The splits.
            task: The task that was fitted; that of the last :meth:`fit` when None.
            prefix: Begin of the split names.

        Raises:
            ConfigError: If there is no such split.
        """
        task = self._fitted(task)
        task.to(self.engine.device)
        names = data.names(prefix)
        if not names:
            raise ConfigError(f"no split has a name that begins with {prefix!r}; there are {', '.join(data)}.")
        return {
            name: evaluate(model, task, data[name], batch_size=self.eval_batch_size, engine=self.engine)
            for name in names
        }

    def _fitted(self, task: Task | None) -> Task:
        task = task if task is not None else self._task
        if task is None:
            raise ConfigError("no task: call fit first, or give the task that was fitted.")
        return task

    def predict(self, model: nn.Module, split: Split, task: Task | None = None) -> torch.Tensor:
        """Predictions for all samples of a split, in the units of the data, on the CPU."""
        return predict_split(
            model, self._fitted(task), split, batch_size=self.eval_batch_size, device=self.engine.device
        )
