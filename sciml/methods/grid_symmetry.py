"""Augmentation by the symmetries of a box: reflections and exchanges of equal axes."""

from itertools import permutations, product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.train.method import Method, StepContext

__all__ = ["GridSymmetry", "apply_symmetry", "symmetries"]

Symmetry = tuple[tuple[int, ...], tuple[bool, ...]]


def symmetries(shape: tuple[int, ...]) -> list[Symmetry]:
    """All symmetries of a grid: permutations of axes of equal length, and reflections.

    Returns:
        ``(axis order, which axes are reflected)``; the identity comes first.

    Example:
        >>> len(symmetries((16, 16))), len(symmetries((16, 8)))
        (8, 4)
    """
    orders = [p for p in permutations(range(len(shape))) if all(shape[a] == n for a, n in zip(p, shape, strict=True))]
    return [(order, flips) for order in orders for flips in product((False, True), repeat=len(shape))]


def apply_symmetry(u: Tensor, symmetry: Symmetry, alignment: str = "node") -> Tensor:
    """Values ``(batch, channels, *grid)`` turned by one symmetry.

    Args:
        u: Values.
        symmetry: One of :func:`symmetries`.
        alignment: That of the grid. On a ``left`` grid, whose last end is not stored, a reflection maps point i to
            n - i, and the first point to itself: exact for periodic functions and those that are equal at both ends.
    """
    order, flips = symmetry
    offset = u.dim() - len(order)
    u = u.permute(*range(offset), *(offset + axis for axis in order))
    axes = [offset + axis for axis, flip in enumerate(flips) if flip]
    u = u.flip(axes) if axes else u
    return u.roll([1] * len(axes), axes) if axes and alignment == "left" else u


class GridSymmetry(Method):
    r"""Turns every sample by a random symmetry of the grid, inputs and targets alike.

    Valid where the operator commutes with the symmetries: isotropic equations on a box, with the same boundary
    condition on all sides, for scalar fields. Components of vectors would have to change sign or place, which this does
    not do.

    Args:
        fields: Names of the fields that are turned, ``(batch, channels, *grid)``.
        alignment: That of the grid: ``node``, ``cell`` or ``left``.

    Raises:
        ConfigError: If a field is missing from the batch, or the fields have different grids.

    Example:
        >>> GridSymmetry(alignment="left").fields
        ('x', 'y')
    """

    name = "grid-symmetry"
    priority: ClassVar[int] = 20

    def __init__(self, fields: list[str] | tuple[str, ...] = ("x", "y"), alignment: str = "node") -> None:
        if alignment not in ("node", "cell", "left"):
            raise ConfigError(f"alignment is {alignment!r}, expected 'node', 'cell' or 'left'.")
        if not fields:
            raise ConfigError("fields is empty, expected the names of fields on the grid.")
        self.fields = tuple(fields)
        self.alignment = alignment
        self._generator = torch.Generator()

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        self._generator.manual_seed(seed)

    def on_batch_start(self, context: StepContext) -> None:
        missing = [name for name in self.fields if name not in context.batch]
        if missing:
            raise ConfigError(f"grid-symmetry turns {missing}, the batch holds {sorted(context.batch)}. Set fields.")
        values = {name: context.batch[name] for name in self.fields}
        grids = {tuple(value.shape[2:]) for value in values.values()}
        if len(grids) > 1 or not next(iter(grids)):
            shapes = {name: tuple(value.shape) for name, value in values.items()}
            raise ConfigError(f"grid-symmetry needs fields (batch, channels, *grid) on one grid, given {shapes}.")
        group = symmetries(next(iter(grids)))
        size = len(values[self.fields[0]])
        choice = torch.randint(len(group), (size,), generator=self._generator)
        turned = {name: value.clone() for name, value in values.items()}
        for index in choice.unique().tolist():
            samples = (choice == index).nonzero().squeeze(1).to(turned[self.fields[0]].device)
            for name, value in values.items():
                turned[name][samples] = apply_symmetry(value[samples], group[index], self.alignment)
        context.batch = {**context.batch, **turned}

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])
