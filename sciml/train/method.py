"""Training methods: the hooks of one optimizer step, and their order.

A method overrides the hooks it needs; the trainer calls only those, so an attached method costs what it does and
nothing else. One optimizer step runs

1. ``on_batch_start``, then for each of ``micro_passes`` passes
2. the forward pass inside ``forward_context``, ``extra_loss``, the backward pass, ``on_after_backward``,
3. ``on_unscaled_gradients``, clipping, ``on_clipped_gradients``,
4. the optimizer step, ``on_after_step``;

``transform`` and ``wrap_optimizer`` run once before, ``on_epoch_end`` after each epoch. Where several methods share a
hook they run in the order of ``priority``, never in the order of the list.
"""

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid

__all__ = ["Method", "StepContext", "derive_seed"]


@dataclass
class StepContext:
    """What hooks may look at and change.

    Attributes:
        model: The model as it is trained.
        optimizer: The optimizer.
        step: Number of optimizer steps done so far.
        epoch: Number of epochs done so far.
        batch: The current batch, as the task encoded it.
        output: Output of the last forward pass of this step.
        loss: Loss of the last pass, with extra terms.
        micro_pass: Index of the pass within this step.
        grids: Field name to the grid of the current batch, where there is one.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    epoch: int = 0
    batch: dict[str, Any] = field(default_factory=dict)
    output: Any = None
    loss: Tensor | None = None
    micro_pass: int = 0
    grids: Mapping[str, RegularGrid] = field(default_factory=dict)


def derive_seed(seed: int, *names: str) -> int:
    """A 63-bit seed that depends on the run's seed and a name, the same on every machine.

    Example:
        >>> derive_seed(0, "gradient-noise") == derive_seed(0, "gradient-noise")
        True
    """
    text = "/".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class Method:
    """Base of all training methods; every hook does nothing.

    A method must not draw from the global random state: :meth:`setup` gives it a seed of its own, derived from the
    run's seed and ``key``, and equal on all ranks.

    Attributes:
        name: Registry name, also the default ``key`` under which state and random stream are kept.
        priority: Place among methods that share a hook; low numbers first.
    """

    name: ClassVar[str] = ""
    priority: ClassVar[int] = 50

    @property
    def key(self) -> str:
        """Name of this method's state in checkpoints; the trainer numbers a second one of the same class."""
        return self.name or type(self).__name__

    def transform(self, model: nn.Module, batch: dict[str, Any]) -> nn.Module:
        """Change the model before the optimizer exists; also called before weights are loaded."""
        return model

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        """Called once, after the model is on its device and before the first step."""

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Replace the optimizer."""
        return optimizer

    def on_batch_start(self, context: StepContext) -> None:
        """Before the first forward pass of a batch; may replace ``context.batch``."""

    def forward_context(self, context: StepContext) -> AbstractContextManager[Any]:
        """Context manager around the task's forward pass."""
        return nullcontext()

    def extra_loss(self, context: StepContext) -> dict[str, Tensor]:
        """Terms added to the task's loss, by name."""
        return {}

    def micro_passes(self) -> int:
        """Number of forward and backward passes of the same batch in one step; each is scaled by its inverse."""
        return 1

    def on_after_backward(self, context: StepContext) -> None:
        """After each backward pass, once per micro-batch of accumulation."""

    def on_unscaled_gradients(self, context: StepContext) -> None:
        """Once per optimizer step, before clipping."""

    def on_clipped_gradients(self, context: StepContext) -> None:
        """Once per optimizer step, after clipping."""

    def on_after_step(self, context: StepContext) -> None:
        """After the optimizer's step."""

    def on_epoch_end(self, context: StepContext) -> None:
        """After each training epoch, before validation."""

    def logs(self) -> dict[str, float]:
        """Numbers for the training log."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""


_HOOKS = (
    "on_batch_start",
    "forward_context",
    "extra_loss",
    "micro_passes",
    "on_after_backward",
    "on_unscaled_gradients",
    "on_clipped_gradients",
    "on_after_step",
    "on_epoch_end",
    "logs",
)


class Hooks:
    """The methods of a run, sorted, with the hooks that each of them overrides.

    Args:
        methods: In any order.

    Raises:
        ConfigError: If something else than a :class:`Method` is among them.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        if isinstance(methods, Method):
            raise ConfigError(f"methods is {methods!r}, expected a list: methods=[...].")
        methods = list(methods)
        for method in methods:
            if not isinstance(method, Method):
                raise ConfigError(f"methods holds {method!r}, expected instances of sciml.Method.")
            _warn_of_unknown_hooks(type(method))
        self.methods = sorted(methods, key=lambda method: (method.priority, method.key))
        self.keys = _unique_keys(self.methods)
        for hook in _HOOKS:
            active = [getattr(m, hook) for m in self.methods if getattr(type(m), hook) is not getattr(Method, hook)]
            setattr(self, hook, active)

    on_batch_start: list[Any]
    forward_context: list[Any]
    extra_loss: list[Any]
    micro_passes: list[Any]
    on_after_backward: list[Any]
    on_unscaled_gradients: list[Any]
    on_clipped_gradients: list[Any]
    on_after_step: list[Any]
    on_epoch_end: list[Any]
    logs: list[Any]

    @property
    def plain(self) -> bool:
        """True when no method acts within a step."""
        return not any(getattr(self, hook) for hook in _HOOKS[:8])

    def state_dict(self) -> dict[str, Any]:
        return {key: method.state_dict() for key, method in zip(self.keys, self.methods, strict=True)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        missing, unexpected = set(self.keys) - set(state), set(state) - set(self.keys)
        if missing or unexpected:
            raise ConfigError(
                f"the checkpoint was written with methods {sorted(state)}, this run has {sorted(self.keys)}. "
                "Attach the same methods to resume."
            )
        for key, method in zip(self.keys, self.methods, strict=True):
            method.load_state_dict(state[key])


def _unique_keys(methods: list[Method]) -> list[str]:
    seen: dict[str, int] = {}
    keys = []
    for method in methods:
        seen[method.key] = seen.get(method.key, 0) + 1
        keys.append(method.key if seen[method.key] == 1 else f"{method.key}#{seen[method.key]}")
    return keys


def _warn_of_unknown_hooks(cls: type[Method]) -> None:
    for name in dir(cls):
        if name.startswith("on_") and not hasattr(Method, name):
            close = get_close_matches(name, [hook for hook in _HOOKS if hook.startswith("on_")], n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            warnings.warn(f"{cls.__name__}.{name} is no hook and will not be called.{hint}", stacklevel=4)
