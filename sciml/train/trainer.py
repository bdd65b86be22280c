"""The trainer: puts model, data, task, methods and optimizer together, runs the loop, and loses nothing on the way."""

from __future__ import annotations

import math
import platform
import signal
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import sciml
from sciml.data import Dataset, Split, TensorLoader
from sciml.errors import CheckpointError, ConfigError, NonFiniteError, SciMLError
from sciml.registry import model_spec, registry
from sciml.train.callbacks import Callback
from sciml.train.checkpoint import load_checkpoint, save_checkpoint
from sciml.train.engine import Engine, make_engine
from sciml.train.evaluate import evaluate, predict_split
from sciml.train.load import save_model
from sciml.train.loggers import LOGGERS, Logger
from sciml.train.loop import TrainingLoop
from sciml.train.method import Hooks, Method, derive_seed
from sciml.train.optim import Schedule, build_optimizer, build_schedule
from sciml.train.progress import make_progress
from sciml.train.randomness import restore_rng, rng_state, seed_all
from sciml.train.run_folder import RunFolder
from sciml.train.task import Task

__all__ = ["FitResult", "Interrupted", "Trainer"]

OptimizerLike = Mapping[str, Any] | Callable[[nn.Module], Optimizer]


class Interrupted(SciMLError):
    """The run was stopped by a signal; its checkpoint is saved.

    Attributes:
        signal: Number of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


@dataclass
class FitResult:
    """What a training run did.

    Attributes:
        history: One row an epoch, as in ``metrics.csv``.
        steps: Optimizer steps of the whole run.
        epochs: Complete epochs of the whole run.
        seconds: Wall time of training and validation in this process.
        stop_reason: Why the run ended early; empty when it was complete.
        task: The task, with the normalisers that were fitted.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    epochs: int = 0
    seconds: float = 0.0
    stop_reason: str = ""
    task: Task | None = None


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
            if value is not None and value < 1:
                raise ConfigError(f"trainer.{name} is {value}, expected at least 1.")
        if clip_norm is not None and not clip_norm > 0:
            raise ConfigError(f"trainer.clip_norm is {clip_norm}, expected a positive number.")
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
        scheduler: Mapping[str, Any] | None = None,
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
            optimizer: ``{"name": ..., arguments}`` or a function of the model; None leaves it to the task.
            scheduler: ``{"name": ..., arguments}``.
            inputs: Forward argument to batch key, where the names differ.
            resume: ``"auto"`` continues the run folder if it has a checkpoint; a path continues from that file.
            config: Kept in the run folder as ``config.yaml``.

        Returns:
            History and counts.

        Raises:
            ConfigError: If components do not fit together.
            NonFiniteError: If the loss or a gradient stops being finite.
            Interrupted: If the run was stopped by SIGTERM or Ctrl-C after its checkpoint was saved.
        """
        fit = _Fit(self, model, data, task, methods, optimizer, scheduler, inputs, resume, config)
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
        """
        task = self._fitted(task)
        task.to(self.engine.device)
        return {
            name: evaluate(
                model, task, _cast(data[name], self.engine.dtype), batch_size=self.eval_batch_size, engine=self.engine
            )
            for name in data.names(prefix)
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


class _Fit:
    """One call of :meth:`Trainer.fit`: set-up, loop, validation, checkpoints."""

    def __init__(
        self,
        trainer: Trainer,
        model: nn.Module,
        data: Dataset,
        task: Task | str | None,
        methods: Sequence[Method],
        optimizer: OptimizerLike | None,
        scheduler: Mapping[str, Any] | None,
        inputs: Mapping[str, str] | None,
        resume: str | Path | None,
        config: Mapping[str, Any] | None,
    ) -> None:
        self.trainer, self.model, self.data = trainer, model, data
        self.engine = trainer.engine
        self.task = resolve_task(task, data, model)
        self.hooks = Hooks(methods)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.inputs, self.resume, self.config = inputs, resume, config
        self.result = FitResult(task=self.task)
        self.best = math.inf
        self._last_save = time.monotonic()
        self._signal = 0
        if trainer.max_epochs is None and trainer.max_steps is None and not self.task.phases():
            raise ConfigError("the trainer needs max_epochs or max_steps.")
        if trainer.max_epochs is not None and self.task.phases():
            raise ConfigError("the phases of the task set the number of epochs: leave out trainer.max_epochs.")

    def run(self) -> FitResult:
        checkpoint = self._checkpoint()
        self._prepare_folder(checkpoint)
        seed_all(derive_seed(self.trainer.seed, "trainer", str(self.engine.rank)))
        self._setup()
        if self.task.fit_closed_form(self.model, self.data):
            self._finish()
            return self.result
        self._start(checkpoint)
        begin = time.perf_counter()
        try:
            with ExitStack() as stack:
                stack.enter_context(self._signals())
                stack.callback(self.loop.progress.stop)
                self.loop.progress.start(self.loop.step, self.loop.max_steps)
                while not self.loop.done:
                    self._epoch()
        except NonFiniteError as error:
            raise NonFiniteError(f"{error}{self._keep(crash=True)}") from None
        finally:
            self.result.seconds = time.perf_counter() - begin
            for logger in self.loggers:
                logger.close()
        if self._signal:
            self._interrupt()
        self._finish()
        return self.result

    # Set-up

    def _checkpoint(self) -> dict[str, Any] | None:
        run, resume = self.trainer.run, self.resume
        if resume is None:
            return None
        if resume == "auto":
            if run is None:
                raise ConfigError("resume='auto' needs a run_dir that holds the checkpoint.")
            return load_checkpoint(run.last) if run.last.exists() else None
        path = Path(resume)
        return load_checkpoint(path / "checkpoints" / "last.pt" if path.is_dir() else path)

    def _prepare_folder(self, checkpoint: dict[str, Any] | None) -> None:
        run = self.trainer.run
        if run is None or not self.trainer.is_main:
            return
        if checkpoint is None:
            run.create(overwrite=self.trainer.overwrite or self.resume == "auto")
        else:
            run.path.mkdir(parents=True, exist_ok=True)
            run.truncate_log(len(checkpoint["history"]))
        if self.config is not None:
            run.write_config(self.config)

    def _setup(self) -> None:
        engine, trainer = self.engine, self.trainer
        splits = {name: _cast(split, engine.dtype) for name, split in self.data.splits.items()}
        self.data = replace(self.data, splits=splits)
        self.task.setup(self.data)
        self.task.to(engine.device)
        train = self.task.prepare(self.data.train.to(engine.device))
        self.loader = TensorLoader(
            train,
            trainer.batch_size,
            shuffle=trainer.shuffle,
            seed=derive_seed(trainer.seed, "loader"),
            drop_last=trainer.drop_last,
            rank=engine.rank,
            world_size=engine.world_size,
        )
        example = train.batch(slice(0, 1))
        for method in self.hooks.methods:
            self.model = method.transform(self.model, example)
        self.model = engine.prepare(self.model)
        self.task.bind(self.model, list(example), self.inputs or _declared_inputs(self.model))

    def _start(self, checkpoint: dict[str, Any] | None) -> None:
        trainer = self.trainer
        per_epoch = math.ceil(len(self.loader) / trainer.accumulate)
        self.phases = self.task.phases()
        epochs = sum(phase.epochs for phase in self.phases) or trainer.max_epochs
        max_steps = trainer.max_steps or (epochs or 0) * per_epoch
        max_epochs = epochs or math.ceil(max_steps / per_epoch)
        max_steps = min(max_steps, max_epochs * per_epoch)
        if self.phases and self.engine.world_size > 1:
            raise ConfigError(f"the phases of {type(self.task).__name__} need one process, this run has several.")
        self._phase = 0
        optimizer, schedule = self._make_optimizer(max_steps, max_epochs)
        forward_model: nn.Module = self.model
        if trainer.compile == "model":
            forward_model = torch.compile(forward_model)  # type: ignore[assignment]
        forward_model, optimizer = self.engine.setup(forward_model, optimizer)
        for key, method in zip(self.hooks.keys, self.hooks.methods, strict=True):
            method.setup(self.model, derive_seed(trainer.seed, key), max_steps)
        self.loop = TrainingLoop(
            model=self.model,
            forward_model=forward_model,
            task=self.task,
            loader=self.loader,
            optimizer=optimizer,
            schedule=schedule,
            hooks=self.hooks,
            engine=self.engine,
            max_epochs=max_epochs,
            max_steps=max_steps,
            accumulate=trainer.accumulate,
            clip_norm=trainer.clip_norm,
            check_finite=trainer.check_finite,
            callbacks=trainer.callbacks,
            progress=make_progress(trainer.progress if trainer.is_main else False),
        )
        self.loggers = [self._logger(logger) for logger in trainer.loggers] if trainer.is_main else []
        if checkpoint is not None:
            self._restore(checkpoint)
        for callback in trainer.callbacks:
            callback.on_fit_start(self.loop)

    def _make_optimizer(self, num_steps: int, num_epochs: int) -> tuple[Optimizer, Schedule | None]:
        """Optimizer and schedule of the whole run, or of the current phase."""
        chosen = dict(self.task.configure_optimizers(self.model))
        given = self.optimizer if self.optimizer is not None else chosen["optimizer"]
        if self.phases:
            phase = self.phases[self._phase]
            freeze_all_but(self.model, phase.parameters)
            given = phase.optimizer or given
            num_steps, num_epochs = num_steps * phase.epochs // num_epochs, phase.epochs
        optimizer = given(self.model) if callable(given) else build_optimizer(given, self.model)
        config = self.scheduler if self.scheduler is not None else chosen.get("scheduler")
        schedule = None if config is None else build_schedule(config, optimizer, num_steps, num_epochs)
        for method in self.hooks.methods:
            optimizer = method.wrap_optimizer(optimizer)
        return optimizer, schedule

    def _enter_phase(self, epoch: int) -> None:
        """Switch parameters and optimizer when the run has reached the next phase."""
        ends = list(accumulate(phase.epochs for phase in self.phases))
        phase = min(bisect_right(ends, epoch), len(ends) - 1)
        if phase != self._phase:
            self._phase = phase
            self.loop.use_optimizer(*self._make_optimizer(self.loop.max_steps, self.loop.max_epochs))

    def _logger(self, logger: Logger | str) -> Logger:
        if not isinstance(logger, str):
            return logger
        if logger not in LOGGERS:
            raise ConfigError(f"trainer.loggers names {logger!r}, expected {', '.join(LOGGERS)}.")
        if logger == "tensorboard":
            if self.trainer.run is None:
                raise ConfigError("the tensorboard logger writes into the run folder: set trainer.run_dir.")
            return LOGGERS[logger](str(self.trainer.run.path / "tensorboard"))
        return LOGGERS[logger]()

    # One epoch

    def _epoch(self) -> None:
        if self.phases:
            self._enter_phase(self.loop.epoch)
        steps = self.trainer.checkpoint_steps
        watch = self._after_step if steps is not None or self._catch else None
        row = self.loop.run_epoch(watch)
        if row is None:
            return
        if self.loop.epoch % self.trainer.validate_every == 0 or self.loop.done:
            row.update(self._validate())
        schedule = self.loop.schedule
        if schedule is not None and schedule.interval == "epoch":
            schedule.scheduler.step()
        elif schedule is not None and schedule.interval == "metric" and self._monitor(row) in row:
            schedule.scheduler.step(row[self._monitor(row)])
        for callback in self.trainer.callbacks:
            callback.on_epoch_end(self.loop, row)
        self.result.history.append(row)
        self.loop.progress.epoch(self.loop.epoch, row)
        for logger in self.loggers:
            logger.log(row, self.loop.step)
        if self.trainer.run is not None and self.trainer.is_main:
            self.trainer.run.append_row(row)
        self._track_best(row)
        if time.monotonic() - self._last_save >= self.trainer.checkpoint_seconds:
            self._save()

    def _after_step(self) -> None:
        if self._signal:
            self.loop.stop("signal")
        steps = self.trainer.checkpoint_steps
        if steps is not None and self.loop.step % steps == 0:
            self._save()

    def _validate(self) -> dict[str, float]:
        row: dict[str, float] = {}
        with ExitStack() as stack:
            for callback in self.trainer.callbacks:
                stack.enter_context(callback.evaluation_weights(self.loop))
            for name in self.data.names("val"):
                metrics = evaluate(
                    self.loop.forward_model,
                    self.task,
                    self.data[name],
                    batch_size=self.trainer.eval_batch_size,
                    engine=self.engine,
                )
                row.update({f"{name}/{key}": value for key, value in metrics.items() if not key.endswith("_se")})
        return row

    def _monitor(self, row: Mapping[str, float]) -> str:
        if self.trainer.monitor is not None:
            return self.trainer.monitor
        return next((name for name in row if name.startswith("val")), "")

    def _track_best(self, row: Mapping[str, float]) -> None:
        name = self._monitor(row)
        if name not in row:
            if self.trainer.monitor is not None and (self.loop.epoch % self.trainer.validate_every == 0):
                raise ConfigError(f"trainer.monitor is {name!r}; the log has {', '.join(sorted(row))}.")
            return
        value = row[name] if self.trainer.mode == "min" else -row[name]
        if value < self.best:
            self.best = value
            with ExitStack() as stack:
                for callback in self.trainer.callbacks:
                    stack.enter_context(callback.evaluation_weights(self.loop))
                weights = {key: tensor.detach().cpu().clone() for key, tensor in self.model.state_dict().items()}
            self._best_weights = weights
            if self.trainer.run is not None and self.trainer.is_main:
                save_checkpoint({"model": weights, "row": dict(row)}, self.trainer.run.best)

    # Saving

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "task": self.task.state_dict(),
            "loop": self.loop.state_dict(),
            "rng": rng_state(),
            "history": self.result.history,
            "phase_epoch": sum(phase.epochs for phase in self.phases[: self._phase]),
            "best": self.best,
            "best_weights": getattr(self, "_best_weights", None) if self.trainer.restore_best else None,
            "version": sciml.__version__,
        }

    def _save(self, path: Path | None = None) -> None:
        self._last_save = time.monotonic()
        if self.trainer.run is not None and self.trainer.is_main:
            save_checkpoint(self._state(), path or self.trainer.run.last)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint does not fit the model: {error}") from error
        self.task.restore(state["task"])
        if self.phases:
            # A checkpoint at the end of a phase still holds the optimizer of that phase.
            self._enter_phase(state["phase_epoch"])
        self.loop.load_state_dict(state["loop"])
        self.result.history = list(state["history"])
        self.best = state["best"]
        if state["best_weights"] is not None:
            self._best_weights = state["best_weights"]
        if self.engine.world_size == 1:
            restore_rng(state["rng"])

    def _keep(self, crash: bool) -> str:
        run = self.trainer.run
        if run is None or not self.trainer.is_main:
            return ""
        self._save(run.crash if crash else run.last)
        return f" The state before this step is in {run.crash if crash else run.last}."

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGTERM and Ctrl-C into a stop at the next step, where there is a folder to save to."""
        self._catch = self.trainer.run is not None and threading.current_thread() is threading.main_thread()
        if not self._catch:
            yield
            return

        def handle(number: int, frame: Any) -> None:
            if self._signal:  # a second Ctrl-C does not wait
                raise KeyboardInterrupt
            self._signal = number

        old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _interrupt(self) -> None:
        run = self.trainer.run
        assert run is not None
        self._save()
        name = signal.Signals(self._signal).name
        raise Interrupted(
            f"stopped by {name} at step {self.loop.step} of {self.loop.max_steps}; everything is saved in {run.path}. "
            f"Continue with: sciml fit {run.config} --resume",
            self._signal,
        )

    def _finish(self) -> None:
        loop = getattr(self, "loop", None)
        if loop is not None:
            self._save()
            for callback in self.trainer.callbacks:
                callback.on_fit_end(loop)
            if self.trainer.restore_best and hasattr(self, "_best_weights"):
                self.model.load_state_dict(self._best_weights)
            self.result.steps, self.result.epochs = loop.step, loop.epoch
            self.result.stop_reason = loop.stop_reason
        run = self.trainer.run
        if run is not None and self.trainer.is_main:
            info = {
                "sciml": sciml.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "keys": list(self.loader.split.tensors),
                "data": self.data.name,
            }
            save_model(run.model, self.model, self.task, self.inputs or _declared_inputs(self.model), info)
        self.engine.barrier()


def resolve_task(task: Task | str | None, data: Dataset, model: nn.Module) -> Task:
    """The task given, or the one that the dataset or the model names.

    Raises:
        ConfigError: If none of them names a task.
    """
    if isinstance(task, Task):
        return task
    name = task or data.spec.task or getattr(type(model), "task", None)
    if not name:
        raise ConfigError("no task: neither the dataset nor the model names one. Give task=...")
    created = registry("tasks").create(name)
    if not isinstance(created, Task):
        raise ConfigError(f"task {name!r} is a {type(created).__name__}, expected a sciml.Task.")
    return created


def freeze_all_but(model: nn.Module, patterns: Sequence[str]) -> None:
    """Let only the parameters whose names match a pattern receive gradients.

    Raises:
        ConfigError: If a pattern matches nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"phase.parameters has {pattern!r}, which matches none of {', '.join(names)}.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(fnmatchcase(name, pattern) for pattern in patterns))


def _declared_inputs(model: nn.Module) -> Mapping[str, str] | None:
    from sciml.train.build import origin_of

    origin = origin_of(model)
    return dict(model_spec(origin.name).inputs) or None if origin is not None else None


def _cast(split: Split, dtype: torch.dtype | None) -> Split:
    """Floating-point fields in the dtype of the run."""
    if dtype is None:
        return split
    return split.map(lambda batch: {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()})
