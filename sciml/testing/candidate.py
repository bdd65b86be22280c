"""The model under test: how the checks build it, call it and compare two of its kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Batch
from sciml.registry import ModelSpec, model_spec
from sciml.testing import batches
from sciml.train.binding import Binding, bind
from sciml.train.randomness import seed_all

__all__ = ["Candidate", "ModelLike", "NotBuilt", "differing_state", "model_name"]

ModelLike = str | Callable[..., Any] | ModelSpec


class NotBuilt(AssertionError):
    """The example is unusable: one check reports it, the others cannot say anything about the model."""


def model_name(model: ModelLike) -> str:
    """Registered name, or name of the class or function that builds.

    Example:
        >>> model_name("fno"), model_name(nn.Linear), model_name(ModelSpec(nn.Linear))
        ('fno', 'Linear', 'Linear')
    """
    if isinstance(model, str):
        return model
    build = model.build if isinstance(model, ModelSpec) else model
    while isinstance(build, functools.partial):
        build = build.func
    return getattr(build, "__name__", type(build).__name__)


@dataclass(frozen=True)
class Candidate:
    """A model with its example.

    Args:
        name: Name for messages.
        spec: How to build and feed it.
    """

    name: str
    spec: ModelSpec

    @classmethod
    def of(cls, model: ModelLike) -> Candidate:
        """The candidate behind a registered name, a class or a ModelSpec."""
        return cls(model_name(model), model_spec(model))

    def example(self) -> tuple[dict[str, Any], Batch]:
        """Constructor arguments and batch, fresh at each call.

        Raises:
            NotBuilt: If there is no example, or it has another form.
        """
        if self.spec.example is None:
            raise NotBuilt(
                f"{self.name} has no example. Give the class a static method example() (or the ModelSpec the argument "
                "example=) that returns (constructor arguments, small batch with the target 'y')."
            )
        try:
            found = self.spec.example()
        except Exception as error:
            raise NotBuilt(f"example() raised {_show(error)}.") from error
        if not (isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, Mapping) for part in found)):
            raise NotBuilt("example() must return a tuple of two dicts: constructor arguments, and batch of tensors.")
        arguments, batch = found
        others = [name for name, value in batch.items() if not isinstance(value, Tensor)]
        if others or batches.TARGET not in batch or len(batch) < 2 or batches.num_samples(batch) < 2:
            wrong = f", no tensors: {', '.join(others)}" if others else ""
            raise NotBuilt(
                f"the example batch holds {', '.join(batch) or 'nothing'}{wrong}. It must map names to "
                "tensors, hold inputs and the target 'y', and have at least two samples."
            )
        return dict(arguments), dict(batch)

    def batch(self) -> Batch:
        """The example batch."""
        return self.example()[1]

    def build(self, seed: int = 0) -> nn.Module:
        """The example's model in eval mode, drawn after seeding all global generators.

        Raises:
            NotBuilt: If it cannot be built, or is no torch module.
        """
        arguments, _ = self.example()
        seed_all(seed)
        try:
            model = self.spec.build(**arguments)
        except Exception as error:
            raise NotBuilt(f"building with the example's arguments {arguments} raised {_show(error)}.") from error
        if not isinstance(model, nn.Module):
            raise NotBuilt(f"building gave a {type(model).__name__}, expected a torch.nn.Module.")
        return model.eval()

    def shaken(self, seed: int = 0) -> nn.Module:
        """As :meth:`build`, with noise on the parameters, so that a layer that starts at zero hides nothing."""
        model = self.build(seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.is_floating_point() or parameter.is_complex():
                    scale = 0.1 * (parameter.abs().mean().item() or 1.0)
                    noise = torch.randn(parameter.shape, generator=generator).to(parameter)
                    parameter.add_(scale * noise)
        return model

    def binding(self, model: nn.Module, batch: Batch) -> Binding:
        """Which entry of the batch goes to which argument of ``forward``; the target goes to none."""
        return bind(model, [name for name in batch if name != batches.TARGET], self.spec.inputs)

    def run(self, model: nn.Module, batch: Batch, seed: int = 0) -> Tensor:
        """Output for a copy of the batch, after seeding all global generators."""
        seed_all(seed)
        output = self.binding(model, batch)(model, batches.to(batch))
        if not isinstance(output, Tensor):
            raise AssertionError(f"forward returns a {type(output).__name__}, expected one tensor shaped like y.")
        return output

    @torch.no_grad()
    def predict(self, model: nn.Module, batch: Batch | None = None) -> Tensor:
        """Output in eval mode, by default for the example batch."""
        return self.run(model.eval(), self.batch() if batch is None else batch)


def differing_state(a: nn.Module, b: nn.Module) -> list[str]:
    """Names of parameters and persistent buffers in which two models differ, bit for bit."""
    first, second = a.state_dict(), b.state_dict()
    return sorted(
        name
        for name in first.keys() | second.keys()
        if name not in first or name not in second or not _equal(first[name], second[name])
    )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


def _show(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).rstrip('.')}"
