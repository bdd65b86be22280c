"""Is everything finite, and if not, where did it begin?"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Split
from sciml.errors import ConfigError

__all__ = ["FiniteCheck", "all_finite", "check_split", "first_non_finite_module", "first_non_finite_parameter"]


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """True when no value of any tensor is NaN or infinite.

    Example:
        >>> all_finite([torch.ones(2), torch.tensor([1.0, float("nan")])])
        False
    """
    return FiniteCheck()(tensors)


class FiniteCheck:
    """:func:`all_finite` for the same kinds of tensors again and again, as the gradients of every step are."""

    def __init__(self) -> None:
        self._scalars: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def __call__(self, tensors: Sequence[Tensor]) -> bool:
        groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
        for tensor in tensors:
            value = tensor.coalesce().values() if tensor.is_sparse else tensor
            value = torch.view_as_real(value) if value.is_complex() else value
            groups.setdefault((value.device, value.dtype), []).append(value)
        for (device, dtype), group in groups.items():
            if (device, dtype) not in self._scalars:
                self._scalars[device, dtype] = (torch.zeros((), device=device), torch.ones((), device=device))
            found, one = self._scalars[device, dtype]
            # One pass over all tensors, made for loss scaling: it multiplies them by one, which changes nothing, and
            # notes what is not finite. Equals all(t.isfinite().all() for t in group), about eight times faster.
            torch._amp_foreach_non_finite_check_and_unscale_(group, found, one)
            if found.item():
                found.zero_()
                return False
        return True


def check_split(name: str, split: Split) -> None:
    """Refuse data with NaN or infinite values, before they reach a statistic or a weight.

    Raises:
        ConfigError: With the field and the index of the first such sample.
    """
    for field, value in split.tensors.items():
        if not value.is_floating_point() or bool(torch.isfinite(value).all()):
            continue
        bad = (~torch.isfinite(value)).flatten(1).any(1) if value.dim() > 1 else ~torch.isfinite(value)
        where = "row" if field in split.shared else "sample"
        raise ConfigError(
            f"the field {field!r} of the split {name!r} holds NaN or infinite values in {int(bad.sum())} of {len(bad)} "
            f"{where}s, first in {where} {int(bad.nonzero()[0])}. Remove or repair these {where}s (they may be masked "
            "targets: fill them with any number and give the mask), or set check_finite=False."
        )


def first_non_finite_parameter(model: nn.Module, gradients: bool) -> str | None:
    """Name of the first parameter whose value (or gradient) is not finite."""
    for name, parameter in model.named_parameters():
        value = parameter.grad if gradients else parameter
        if value is not None and not bool(torch.isfinite(value).all()):
            return name
    return None


def first_non_finite_module(model: nn.Module, run: Any) -> str | None:
    """Repeat a forward pass and name the first module whose output is not finite.

    Args:
        model: The model.
        run: Function without arguments that calls the model.
    """
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not all(bool(torch.isfinite(t).all()) for t in _tensors(output)):
                found.append(name or type(module).__name__)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() or value.is_complex() else []
    if isinstance(value, Mapping):
        return [t for part in value.values() for t in _tensors(part)]
    if isinstance(value, list | tuple):
        return [t for part in value for t in _tensors(part)]
    return []
