"""One call of ``Trainer.fit``: set-up, epochs, validation, checkpoints, signals, and the end."""

from __future__ import annotations

import math
import platform
import shlex
import signal
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

import sciml
from sciml.data import Dataset, MultiResolutionLoader, Split, TensorLoader, training_splits
from sciml.errors import CheckpointError, ConfigError, NonFiniteError, SciMLError
from sciml.registry import model_spec, registry
from sciml.train.build import origin_of
from sciml.train.checkpoint import load_checkpoint, save_checkpoint
from sciml.train.evaluate import evaluate
from sciml.train.finite import check_split
from sciml.train.identity import check_data, check_settings, data_identity, run_settings
from sciml.train.load import save_model
from sciml.train.loggers import LOGGERS, Logger
from sciml.train.loop import TrainingLoop
from sciml.train.method import Hooks, Method, derive_seed
from sciml.train.monitor import check_monitors
from sciml.train.optim import (
    Schedule,
    build_optimizer,
    build_schedule,
    complete_optimizer,
    complete_schedule,
    optimizer_recipe,
    schedule_recipe,
)
from sciml.train.progress import make_progress
from sciml.train.randomness import restore_rng, rng_state, seed_all
from sciml.train.task import Task, dtype_of

if TYPE_CHECKING:
    from sciml.train.trainer import Trainer

__all__ = ["FitResult", "FitSession", "Interrupted"]

OptimizerLike = Mapping[str, Any] | str | Callable[[nn.Module], Optimizer]


class Interrupted(SciMLError):
    """The run was stopped by a signal; its checkpoint is saved.

    Attributes:
        signal: Number of the signal.
        is_main: Whether this is the process that writes and prints; all processes of a run raise the same.
    """

    def __init__(self, message: str, number: int, is_main: bool = True) -> None:
        super().__init__(message)
        self.signal, self.is_main = number, is_main


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


class FitSession:
    """One call of :meth:`Trainer.fit`: set-up, loop, validation, checkpoints."""

    def __init__(
        self,
        trainer: Trainer,
        model: nn.Module,
        data: Dataset,
        task: Task | str | None,
        methods: Sequence[Method],
        optimizer: OptimizerLike | None,
        scheduler: Mapping[str, Any] | str | None,
        inputs: Mapping[str, str] | None,
        resume: str | Path | None,
        config: Mapping[str, Any] | None,
    ) -> None:
        self.trainer, self.model, self.data = trainer, model, data
        self.engine = trainer.engine
        self.task = resolve_task(task, data, model)
        self.hooks = Hooks(methods)
        self.optimizer, self.scheduler = optimizer_recipe(optimizer), schedule_recipe(scheduler)
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
        with self._claimed_folder():
            return self._run()

    def _run(self) -> FitResult:
        checkpoint = self._checkpoint()
        seed_all(derive_seed(self.trainer.seed, "trainer", str(self.engine.rank)))
        self._setup()
        if self.task.fit_closed_form(self.model, self.data):
            self._begin_folder(None)
            self._finish()
            return self.result
        self._start(checkpoint)
        # From here on the folder changes: whatever could be refused has been.
        self._begin_folder(checkpoint)
        for callback in self.trainer.callbacks:
            callback.on_fit_start(self.loop)
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
        # After its last step, several processes end their run as if no signal had come: they cannot agree any more.
        if self.loop.stop_reason == "signal" or (self._signal and self.engine.world_size == 1):
            self._interrupt()
        self._finish()
        return self.result

    # Set-up

    def _checkpoint(self) -> dict[str, Any] | None:
        run, resume = self.trainer.run, self.resume
        if resume is None:
            return None
        if resume in ("auto", True):
            if run is None:
                raise ConfigError("resume='auto' needs a run_dir that holds the checkpoint.")
            if not run.last.exists() and run.started:
                raise CheckpointError(
                    f"{run.path} holds a run without its checkpoint {run.last.name}: it cannot be continued. "
                    "Replace it with --overwrite, or choose another run_dir."
                )
            return load_checkpoint(run.last) if run.last.exists() else None
        if not isinstance(resume, str | Path) or not Path(resume).exists():
            raise ConfigError(f"resume is {resume!r}, expected 'auto', a run folder, or a checkpoint file.")
        path = Path(resume)
        return load_checkpoint(path / "checkpoints" / "last.pt" if path.is_dir() else path)

    @contextmanager
    def _claimed_folder(self) -> Iterator[None]:
        """Hold the run folder for this process, without changing what it holds."""
        run = self.trainer.run
        if run is None or not self.trainer.is_main:
            yield
            return
        with run.claim(overwrite=self.trainer.overwrite, resume=self.resume is not None):
            yield

    def _begin_folder(self, checkpoint: dict[str, Any] | None) -> None:
        run = self.trainer.run
        if run is not None and self.trainer.is_main:
            if checkpoint is None:
                run.clear()
            else:
                run.truncate_log(len(checkpoint["history"]))
            run.begin()
            if self.config is not None:
                run.write_config(self.config)
        self.loggers = [self._logger(logger) for logger in self.trainer.loggers] if self.trainer.is_main else []

    def _setup(self) -> None:
        engine, trainer = self.engine, self.trainer
        self._identity = self.data
        if trainer.check_finite:
            for name in (*training_splits(self.data), *self.data.names("val")):
                check_split(name, self.data[name])
        dtype = engine.dtype or dtype_of(self.model)
        splits = {name: cast_split(split, dtype) for name, split in self.data.splits.items()}
        self.data = replace(self.data, splits=splits)
        self.task.setup(self.data)
        check_monitors(trainer, self.task, self.data, self.hooks, self._recipe()[1])
        self.task.to(engine.device)
        splits = {
            name: self.task.prepare(split.to(engine.device)) for name, split in training_splits(self.data).items()
        }
        train = splits["train" if "train" in splits else next(iter(splits))]
        self._training = splits
        self.loader = self._make_loader(splits)
        # A part that is computed from the data, such as the modes of a POD, is taken from what the model will see.
        if callable(fit_data := getattr(self.model, "fit_data", None)):
            fit_data(train)
        example = train.batch(slice(0, 1))
        for method in self.hooks.methods:
            self.model = method.transform(self.model, example)
        self.model = engine.prepare(self.model)
        self.task.bind(self.model, list(example), self.inputs or _declared_inputs(self.model))

    def _make_loader(self, splits: Mapping[str, Split]) -> TensorLoader | MultiResolutionLoader:
        trainer, engine = self.trainer, self.engine
        options: dict[str, Any] = {
            "shuffle": trainer.shuffle,
            "seed": derive_seed(trainer.seed, "loader"),
            "drop_last": trainer.drop_last,
            "rank": engine.rank,
            "world_size": engine.world_size,
        }
        if len(splits) == 1:
            return TensorLoader(next(iter(splits.values())), trainer.batch_size, **options)
        return MultiResolutionLoader(splits, trainer.batch_size, **options)

    def _try_resolutions(self) -> None:
        """One sample of every resolution through the model: one that it cannot take is refused before training."""
        if len(self._training) < 2:
            return
        model = self.loop.forward_model
        model.eval()
        for name, split in self._training.items():
            batch = split.batch(slice(0, 1))
            try:
                with torch.no_grad(), torch.random.fork_rng():
                    self.task.compute(model, batch)
            except (ValueError, RuntimeError, TypeError, LookupError) as error:
                shapes = ", ".join(f"{key} {tuple(value.shape[1:])}" for key, value in batch.items() if key != "coords")
                raise ConfigError(
                    f"{type(self.model).__name__} cannot be trained on the split {name} ({shapes}), it was built for "
                    f"{next(iter(self._training))}: {' '.join(str(error).split())} Train it at one resolution, or take "
                    "a model for functions at any resolution, such as fno."
                ) from error
        model.train()

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
        recipe = self._recipe()
        self._settings = run_settings(trainer, self.task, self.hooks.keys, *recipe)
        if self.config is not None:
            used = zip(("optimizer", "scheduler"), recipe, strict=True)
            self.config = {**self.config, **{name: part for name, part in used if isinstance(part, Mapping)}}
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
        self._try_resolutions()
        if checkpoint is not None:
            self._restore(checkpoint)

    def _recipe(self) -> tuple[Mapping[str, Any] | Callable[[nn.Module], Optimizer], Mapping[str, Any] | None]:
        """Optimizer and scheduler of the user, or else of the task, with all their arguments."""
        chosen = dict(self.task.configure_optimizers(self.model))
        optimizer = self.optimizer if self.optimizer is not None else chosen["optimizer"]
        scheduler = self.scheduler if self.scheduler is not None else chosen.get("scheduler")
        return (
            optimizer if callable(optimizer) else complete_optimizer(optimizer),
            None if scheduler is None else complete_schedule(scheduler, self.trainer.mode),
        )

    def _make_optimizer(self, num_steps: int, num_epochs: int) -> tuple[Optimizer, Schedule | None]:
        """Optimizer and schedule of the whole run, or of the current phase."""
        given, config = self._recipe()
        if self.phases:
            phase = self.phases[self._phase]
            freeze_all_but(self.model, phase.parameters)
            given = phase.optimizer or given
            num_steps, num_epochs = num_steps * phase.epochs // num_epochs, phase.epochs
        optimizer = given(self.model) if callable(given) else build_optimizer(given, self.model)
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
        # A run that is stopped must log what the unbroken run logs, so a signal brings no validation of its own.
        whole_epoch = self.loop.loader.position == 0
        if (whole_epoch and self.loop.epoch % self.trainer.validate_every == 0) or self.loop.complete:
            row.update(self._validate())
        schedule = self.loop.schedule
        if schedule is not None and schedule.interval == "epoch" and whole_epoch:
            schedule.step()
        elif schedule is not None and schedule.interval == "metric" and self._monitor(row) in row:
            schedule.step(row[self._monitor(row)])
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
        if self._all_stop():
            self.loop.stop("signal", final=False)
        steps = self.trainer.checkpoint_steps
        if steps is not None and self.loop.step % steps == 0:
            self._save()

    def _all_stop(self) -> bool:
        """Whether to stop at this step: what all processes say together, as a signal may reach them at different steps.

        One that arrives while they speak waits for the next step, or one process would stop alone.
        """
        if self.engine.world_size == 1:
            return bool(self._signal)
        flag = torch.tensor(float(self._signal), device=self.engine.device)
        return bool(float(self.engine.sum(flag)))

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
            "data": self._data_identity,
            "settings": self._settings,
            "phase_epoch": sum(phase.epochs for phase in self.phases[: self._phase]),
            "best": self.best,
            "best_weights": getattr(self, "_best_weights", None) if self.trainer.restore_best else None,
            "version": sciml.__version__,
        }

    def _save(self, path: Path | None = None) -> None:
        self._last_save = time.monotonic()
        if self.trainer.run is not None and self.trainer.is_main:
            save_checkpoint(self._state(), path or self.trainer.run.last)

    @cached_property
    def _data_identity(self) -> dict[str, Any]:
        return data_identity(self._identity)

    def _restore(self, state: dict[str, Any]) -> None:
        if missing := {"model", "task", "loop", "rng", "history", "data", "settings"} - set(state):
            raise CheckpointError(f"the checkpoint lacks {', '.join(sorted(missing))}: it is not that of a run.")
        try:
            self._restore_parts(state)
        except SciMLError:
            raise
        except Exception as error:  # a damaged file can hold anything in any place
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error

    def _restore_parts(self, state: dict[str, Any]) -> None:
        check_data(state["data"], self._identity)
        check_settings(state["settings"], self._settings)
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
            # Several processes have no states to restore: each step draws from seeds of its own.
            restore_rng(state["rng"])

    def _keep(self, crash: bool) -> str:
        run = self.trainer.run
        if run is None or not self.trainer.is_main:
            return ""
        self._save(run.crash if crash else run.last)
        return f" The weights and the optimizer before this step are in {run.crash if crash else run.last}."

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
        # A launcher ends the other processes as soon as one is gone, also one that is still saving.
        self.engine.barrier()
        # Another process may have had the signal.
        number = self._signal or signal.SIGTERM
        name = signal.Signals(number).name
        command = "Trainer.fit(..., resume='auto')"
        if self.config is not None:
            command = f"sciml fit {shlex.quote(str(run.config))} --resume"
            command += " --allow-class-path" if "class_path" in str(self.config) else ""
        raise Interrupted(
            f"stopped by {name} at step {self.loop.step} of {self.loop.max_steps}; everything is saved in {run.path}. "
            f"Continue with: {command}",
            number,
            self.trainer.is_main,
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
    origin = origin_of(model)
    return dict(model_spec(origin.name).inputs) or None if origin is not None else None


def cast_split(split: Split, dtype: torch.dtype | None) -> Split:
    """Floating-point fields in the dtype of the run."""
    if dtype is None:
        return split
    return split.map(lambda batch: {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()})
