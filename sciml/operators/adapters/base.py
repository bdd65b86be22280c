"""What the adapters share: sizes per axis, checks of the input, and a state without foreign objects."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["DEFAULT_MODES", "Adapter", "GridAdapter", "default_modes", "modes_per_axis", "refuse_other_dtype"]

DEFAULT_MODES = 12
_LOG = logging.getLogger(__name__)


class Adapter(nn.Module):
    """What a model of ``neuraloperator`` needs to be trained, saved and loaded like any other.

    Its state holds tensors only, and a change of precision leaves its complex weights complex:
    ``torch.nn.Module.to(dtype)`` would drop their imaginary parts.
    """

    task = "operator"

    def __init__(self) -> None:
        super().__init__()
        self.register_state_dict_post_hook(_without_metadata)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        def keep_complex(value: Tensor) -> Tensor:
            if not value.is_complex():
                return fn(value)
            return torch.view_as_complex(fn(torch.view_as_real(value)).contiguous())

        return super()._apply(keep_complex, recurse)


class GridAdapter(Adapter, ABC):
    """A model of ``neuraloperator`` that maps functions on a regular grid to functions on the same grid.

    The values and the weights are those of the model itself, which is the attribute ``model``.
    """

    # Said once, when a trained model is evaluated on another grid; empty where that works.
    resolution_note = ""

    def __init__(self, in_channels: int, out_channels: int, modes: int | Sequence[int], dim: int | None) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.modes = modes_per_axis(modes, dim)
        self.dim = len(self.modes)
        self._trained_on: tuple[int, ...] | None = None

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The model of ``neuraloperator``."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, in_channels, *grid)`` to ``(batch, out_channels, *grid)``."""
        has_channels = x.dim() == self.dim + 2
        if not has_channels and x.dim() == self.dim + 1 and self.in_channels == 1:
            x = x.unsqueeze(1)
        if x.dim() != self.dim + 2 or x.shape[1] != self.in_channels:
            axes = ", ".join(f"n{i + 1}" for i in range(self.dim))
            raise ConfigError(
                f"x has shape {tuple(x.shape)}, but this {type(self).__name__} takes (batch, {self.in_channels}, "
                f"{axes}). Build it with in_channels and dim (or modes per axis) that fit the data."
            )
        refuse_other_dtype(self, x)
        self._note_resolution(tuple(x.shape[2:]))
        y = self.model(x)
        return y if has_channels or self.out_channels > 1 else y.squeeze(1)

    def _note_resolution(self, grid: tuple[int, ...]) -> None:
        if self.training:
            self._trained_on = grid
        elif self.resolution_note and self._trained_on not in (None, grid):
            _LOG.warning("trained on %s points, evaluated on %s: %s", self._trained_on, grid, self.resolution_note)
            self._trained_on = None

    @classmethod
    def from_spec(cls, spec: DataSpec, **kwargs: Any) -> Any:
        """Build the model for a dataset: channels, dimension and modes are those that fit its ``x`` and ``y``.

        Args:
            spec: What the dataset says about itself.
            **kwargs: Arguments of the constructor; they win over the dataset.
        """
        return cls(**{**grid_sizes(spec, kwargs), **kwargs})


def grid_sizes(spec: DataSpec, given: dict[str, Any]) -> dict[str, Any]:
    """Channels, dimension and modes for a dataset on a grid."""
    sizes: dict[str, Any] = {"in_channels": spec.in_channels, "out_channels": spec.out_channels}
    if "modes" not in given:
        sizes["modes"] = default_modes(spec["x"].shape)
    elif "dim" not in given:
        sizes["dim"] = spec.dim
    return sizes


def default_modes(shape: Sequence[int]) -> list[int]:
    """Twelve modes per axis, or half as many as there are points where that is less.

    Example:
        >>> default_modes((16, 64))
        [8, 12]
    """
    return [max(2, min(DEFAULT_MODES, n // 2)) for n in shape]


def modes_per_axis(modes: int | Sequence[int], dim: int | None) -> list[int]:
    """One number of modes for each axis.

    Raises:
        ConfigError: If there are not one to three axes, ``dim`` says otherwise, or a number is not positive.
    """
    if isinstance(modes, int):
        if dim is None:
            raise ConfigError(f"modes is {modes} for every axis, but dim is missing. Give dim, or modes per axis.")
        modes = [modes] * dim
    if dim is not None and len(modes) != dim:
        raise ConfigError(f"modes names {len(modes)} axes ({list(modes)}), but dim is {dim}.")
    if not 1 <= len(modes) <= 3 or min(modes) < 1:
        raise ConfigError(f"modes is {list(modes)}, expected one to three positive numbers, one per grid axis.")
    return list(modes)


def refuse_other_dtype(adapter: nn.Module, x: Tensor) -> None:
    """The spectra of ``neuraloperator`` 2.0 are in single precision whatever the weights are.

    Raises:
        ConfigError: If ``x`` is not in single precision.
    """
    if x.dtype != torch.float32:
        raise ConfigError(
            f"x is {x.dtype}, but neuraloperator computes spectra in float32 only (known defect 'double-precision'): "
            f"{type(adapter).__name__} takes float32. Load the data with dtype float32; in double precision there are "
            "fno and tfno."
        )


def _without_metadata(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """Hook that keeps a state to tensors: some of their models add their constructor arguments, classes among them."""
    state.pop("_metadata", None)
