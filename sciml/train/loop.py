"""The loop itself: one optimizer step, one epoch, and the state that makes a resumed run equal to an unbroken one."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sciml.data import MultiResolutionLoader, TensorLoader
from sciml.errors import ConfigError, NonFiniteError
from sciml.spaces import RegularGrid
from sciml.train.callbacks import Callback
from sciml.train.engine import Engine
from sciml.train.finite import FiniteCheck, first_non_finite_module, first_non_finite_parameter
from sciml.train.method import Hooks, StepContext, derive_seed
from sciml.train.optim import Schedule
from sciml.train.progress import NoProgress, Progress
from sciml.train.randomness import seed_all
from sciml.train.task import Task, trainable

__all__ = ["TrainingLoop"]

_REFRESH_SECONDS = 0.1


@dataclass
class _MicroBatch:
    batch: dict[str, Any]
    weight: float  # share of this micro-batch in the mean over all samples of the step
    grids: Mapping[str, RegularGrid]


@dataclass
class _Group:
    """The micro-batches of one optimizer step, and their samples over all processes."""

    parts: list[_MicroBatch]
    samples: int


@dataclass
class _EpochSums:
    """Sample-weighted sums over the running epoch; tensors stay tensors so that a step never waits for the device."""

    samples: int = 0
    sums: dict[str, Tensor | float] = field(default_factory=dict)

    def add(self, name: str, value: Tensor | float, samples: int) -> None:
        value = (value.detach() if isinstance(value, Tensor) else value) * samples
        self.sums[name] = self.sums[name] + value if name in self.sums else value


class TrainingLoop:
    """Runs optimizer steps until the run is complete or asked to stop.

    Args:
        model: The model with its own parameter names.
        forward_model: What is called: ``model``, compiled or wrapped for several processes.
        task: Gives the loss.
        loader: Gives encoded batches.
        optimizer: Over the parameters of ``model``.
        schedule: Learning-rate schedule, or None.
        hooks: Methods of the run.
        engine: Device and processes.
        max_epochs: Number of epochs.
        max_steps: Number of optimizer steps; the run ends at the earlier of both.
        accumulate: Batches per optimizer step.
        clip_norm: Largest norm of the gradient, or None.
        check_finite: Stop at the first loss or gradient that is not finite.
        callbacks: Observers.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        forward_model: nn.Module,
        task: Task,
        loader: TensorLoader | MultiResolutionLoader,
        optimizer: Optimizer,
        schedule: Schedule | None,
        hooks: Hooks,
        engine: Engine,
        max_epochs: int,
        max_steps: int,
        accumulate: int = 1,
        clip_norm: float | None = None,
        check_finite: bool = True,
        callbacks: list[Callback] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.forward_model, self.task, self.loader = model, forward_model, task, loader
        self.optimizer, self.schedule, self.hooks, self.engine = optimizer, schedule, hooks, engine
        self.max_epochs, self.max_steps = max_epochs, max_steps
        self.accumulate, self.clip_norm, self.check_finite = accumulate, clip_norm, check_finite
        self.callbacks = callbacks or []
        self.progress = progress or NoProgress()
        self.context = StepContext(model=model, optimizer=optimizer, grids=task.grids)
        self.step = 0
        self.epoch = 0
        self.should_stop = False
        self.stop_reason = ""
        self._final = True
        self._parameters = trainable(model)
        self._sums = _EpochSums()
        self._all_finite = FiniteCheck()
        self._step_end = [c.on_step_end for c in self.callbacks if type(c).on_step_end is not Callback.on_step_end]
        self._needs_closure = _requires_closure(optimizer)
        self._last_refresh = 0.0

    def use_optimizer(self, optimizer: Optimizer, schedule: Schedule | None) -> None:
        """Go on with another optimizer, over the parameters that are trainable now."""
        self.optimizer, self.schedule = optimizer, schedule
        self.context.optimizer = optimizer
        self._parameters = trainable(self.model)
        self._needs_closure = _requires_closure(optimizer)

    def stop(self, reason: str, final: bool = True) -> None:
        """End the run after the current step or epoch.

        Args:
            reason: Why; it stands in the result.
            final: The run stays ended when it is resumed; otherwise resuming goes on with it.
        """
        self.should_stop, self.stop_reason, self._final = True, reason, final

    @property
    def complete(self) -> bool:
        """True when the run has its full length."""
        return self.epoch >= self.max_epochs or self.step >= self.max_steps

    @property
    def done(self) -> bool:
        """True when the run is complete or was asked to stop."""
        return self.should_stop or self.complete

    def run_epoch(self, after_step: Callable[[], None] | None = None) -> dict[str, float] | None:
        """Train to the end of the current epoch.

        Args:
            after_step: Called after every optimizer step; may call :meth:`stop`.

        Returns:
            Means over the epoch for the log, or None when the run stopped before the end of the epoch.
        """
        # Switching every module takes longer than a small model's step, so it is done when it is needed.
        if not (self.forward_model.training and self.model.training):
            self.forward_model.train()
        self.context.epoch = self.epoch
        for group in self._groups():
            if self.engine.world_size > 1:
                # Seeds of its own for every step and process: a resumed run needs no state of each process.
                seed_all(derive_seed(self.loader.seed, "step", str(self.engine.rank), str(self.step)))
            self._optimizer_step(group)
            self.step += 1
            for notify in self._step_end:
                notify(self)
            if after_step is not None:
                after_step()
            if self.step >= self.max_steps or self.should_stop:
                if self.loader.position < len(self.loader):
                    return self._row() if self.step >= self.max_steps else None
                # Let the loader notice that its epoch is complete.
                break
        for _ in self.loader if self.loader.position else ():
            raise RuntimeError("the loader gave more batches than its length")
        self.epoch += 1
        for hook in self.hooks.on_epoch_end:
            hook(self.context)
        row = self._row()
        self._sums = _EpochSums()
        return row

    def _groups(self) -> Iterator[_Group]:
        loader, world = self.loader, self.engine.world_size
        batches = iter(loader)
        if self.accumulate == 1 and world == 1:
            for batch in batches:
                yield _Group([_MicroBatch(batch, 1.0, loader.split.grids)], loader.total_size)
            return
        while True:
            # Sizes and grids belong to the batch that was given out last, so they are read as it comes.
            group = [
                (batch, loader.local_size, loader.total_size, loader.split.grids)
                for batch in islice(batches, self.accumulate)
            ]
            if not group:
                return
            total = sum(size for _, _, size, _ in group)
            # Processes are averaged afterwards, hence the factor of their number.
            parts = [_MicroBatch(batch, world * local / total, grids) for batch, local, _, grids in group]
            yield _Group(parts, total)

    def _optimizer_step(self, group: _Group) -> None:
        context, hooks = self.context, self.hooks
        context.step = self.step
        if self._needs_closure:
            self.optimizer.step(lambda: self._gradients(group))  # type: ignore[arg-type, return-value]
        else:
            self._gradients(group)
            self.optimizer.step()
        for hook in hooks.on_after_step:
            hook(context)
        if self.schedule is not None and self.schedule.interval == "step":
            self.schedule.step()

    def _gradients(self, group: _Group) -> Tensor:
        for parameter in self._parameters:
            parameter.grad = None
        total: Tensor | None = None
        last = len(group.parts) - 1
        for index, micro in enumerate(group.parts):
            with self.engine.no_sync(self.forward_model, index < last) if last else _NOTHING:
                loss = self._passes(micro, group.samples)
            total = loss if total is None else total + loss
        assert total is not None
        context, hooks = self.context, self.hooks
        if self.clip_norm is not None or self.check_finite or hooks.on_unscaled_gradients or hooks.on_clipped_gradients:
            self.engine.unscale(self.optimizer)
        for hook in hooks.on_unscaled_gradients:
            hook(context)
        # The check has to wait for the loss anyhow; a number is cheaper to add up than a tensor.
        mean: Tensor | float = self._check(total, group.parts) if self.check_finite else total
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.clip_norm)
        for hook in hooks.on_clipped_gradients:
            hook(context)
        self._sums.samples += group.samples
        self._sums.add("train/loss", mean, group.samples)
        self._refresh(mean)
        return total

    def _passes(self, micro: _MicroBatch, samples: int) -> Tensor:
        context, hooks = self.context, self.hooks
        context.batch, context.grids = micro.batch, micro.grids
        for hook in hooks.on_batch_start:
            hook(context)
        num = 1
        for count in hooks.micro_passes:
            num = max(num, count())
        total: Tensor | None = None
        scale = micro.weight / num
        for index in range(num):
            context.micro_pass = index
            loss = self._forward(scale, samples)
            self.engine.backward(loss)
            for hook in hooks.on_after_backward:
                hook(context)
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total

    def _forward(self, scale: float, samples: int) -> Tensor:
        context, hooks = self.context, self.hooks
        if hooks.forward_context:
            with ExitStack() as stack:
                for enter in hooks.forward_context:
                    stack.enter_context(enter(context))
                result = self.task.compute(self.forward_model, context.batch)
        else:
            result = self.task.compute(self.forward_model, context.batch)
        context.output = result.output
        loss = result.loss
        for extra in hooks.extra_loss:
            for term in extra(context).values():
                loss = loss + term
        context.loss = loss
        for name, term in result.terms.items():
            self._sums.add(f"train/{name}", term * scale, samples)
        return loss if scale == 1.0 else loss * scale

    def _refresh(self, loss: Tensor | float) -> None:
        now = time.monotonic()
        if now - self._last_refresh > _REFRESH_SECONDS:
            self._last_refresh = now
            self.progress.update(self.step, float(loss))

    def _row(self) -> dict[str, float]:
        row = {"epoch": float(self.epoch), "step": float(self.step), "lr": self.optimizer.param_groups[0]["lr"]}
        samples = max(self._sums.samples, 1)
        for name, value in self._sums.sums.items():
            if self.engine.world_size > 1:
                total = torch.as_tensor(value, dtype=torch.float64, device=self.engine.device)
                value = self.engine.sum(total) / self.engine.world_size
            row[name] = float(value) / samples
        for logs in self.hooks.logs:
            row.update(logs())
        return row

    # A non-finite loss or gradient ends the run before the optimizer touches a weight.

    def _check(self, loss: Tensor, group: list[_MicroBatch]) -> float:
        value = float(loss)
        finite = math.isfinite(value)
        if finite and not self.engine.scales_loss:
            finite = self._all_finite([parameter.grad for parameter in self._parameters if parameter.grad is not None])
        if self.engine.world_size > 1:
            flag = torch.tensor(0.0 if finite else 1.0, device=self.engine.device)
            finite = float(self.engine.sum(flag)) == 0.0
        if not finite:
            raise NonFiniteError(self._diagnose(value, group))
        return value

    def _diagnose(self, loss: float, group: list[_MicroBatch]) -> str:
        what = "the loss is" if not math.isfinite(loss) else "the gradient is not finite, the loss is"
        text = (
            f"training stopped: {what} {loss} at step {self.step} (epoch {self.epoch}, "
            f"batch {self.loader.position - 1} of {len(self.loader)}). "
        )
        bad_field = next(
            (
                name
                for micro in group
                for name, value in micro.batch.items()
                if isinstance(value, Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all())
            ),
            None,
        )
        weight = first_non_finite_parameter(self.model, gradients=False)
        if bad_field is not None:
            return text + f"The field {bad_field!r} of the batch holds NaN or infinity: repair the data."
        if weight is not None:
            text += f"The parameter {weight!r} was not finite before the step. "
        else:
            module = first_non_finite_module(
                self.model, lambda: [self.task.compute(self.model, micro.batch) for micro in group]
            )
            gradient = first_non_finite_parameter(self.model, gradients=True)
            if module is not None:
                text += f"The first module with a non-finite output is {module!r}. "
            elif gradient is not None:
                text += f"All modules are finite; the first non-finite gradient is that of {gradient!r}. "
        return text + "Try a smaller lr, clip_norm=1.0, or precision='64-true'."

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, except the weights and the random state."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "loader": self.loader.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.schedule is None else self.schedule.scheduler.state_dict(),
            "methods": self.hooks.state_dict(),
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "sums": {"samples": self._sums.samples, "sums": dict(self._sums.sums)},
            "stop_reason": self.stop_reason if self.should_stop and self._final else "",
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called."""
        self.step, self.epoch = state["step"], state["epoch"]
        self.loader.load_state_dict(state["loader"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None and state["scheduler"] is not None:
            self.schedule.scheduler.load_state_dict(state["scheduler"])
        self.hooks.load_state_dict(state["methods"])
        if len(state["callbacks"]) != len(self.callbacks):
            raise ConfigError(
                f"the checkpoint was written with {len(state['callbacks'])} callbacks, this run has "
                f"{len(self.callbacks)}. Attach the same callbacks to resume."
            )
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved)
        self._sums = _EpochSums(state["sums"]["samples"], dict(state["sums"]["sums"]))
        if state["stop_reason"]:
            self.stop(state["stop_reason"])


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


_NOTHING = _Nothing()


def _requires_closure(optimizer: Optimizer) -> bool:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
