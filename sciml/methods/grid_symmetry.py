"""Augmentation by the symmetries of a box: reflections of its axes and exchanges of equal ones."""

from functools import cache
from itertools import permutations, product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.train.method import Method, StepContext

__all__ = ["GridSymmetry", "Symmetry", "apply_symmetry", "symmetries"]

Symmetry = tuple[tuple[int, ...], tuple[bool, ...]]
"""Order of the grid axes, and which axes of the result are reflected."""


@cache
def symmetries(
    shape: tuple[int, ...], axes: tuple[int, ...] | None = None, exchange: bool = True
) -> tuple[Symmetry, ...]:
    """All symmetries of a grid: reflections of its axes, and permutations of axes of equal length.

    Args:
        shape: Points per axis.
        axes: Axes that may be reflected and exchanged; all when None.
        exchange: Permute axes of equal length.

    Returns:
        Every symmetry once, the identity first.

    Example:
        >>> len(symmetries((16, 16))), len(symmetries((16, 8))), len(symmetries((4, 4, 4)))
        (8, 4, 48)
    """
    dim = len(shape)
    moved = range(dim) if axes is None else axes
    orders = [
        order
        for order in permutations(range(dim))
        if all(new == old or (exchange and new in moved and shape[new] == shape[old]) for old, new in enumerate(order))
    ]
    choices = [(False, True) if axis in moved else (False,) for axis in range(dim)]
    return tuple((order, flips) for order in orders for flips in product(*choices))


def apply_symmetry(u: Tensor, symmetry: Symmetry, alignment: str = "node") -> Tensor:
    """The values of a scalar function on the grid after a symmetry: axes in a new order, then reflections.

    Args:
        u: Values ``(..., *grid)``.
        symmetry: One of :func:`symmetries`.
        alignment: Where the points of the grid lie. On ``node`` and ``cell`` grids a reflection maps point i to
            n - 1 - i. On a ``left`` grid, whose last end is not stored, it maps i to n - i and the first point to
            itself: exact for periodic functions and all others that are equal at both ends.

    Example:
        >>> apply_symmetry(torch.tensor([[0, 1], [2, 3]]), ((1, 0), (True, False)))
        tensor([[1, 3],
                [0, 2]])
    """
    order, flips = symmetry
    first = u.dim() - len(order)
    u = u.permute(*range(first), *(first + axis for axis in order))
    axes = [first + axis for axis, flip in enumerate(flips) if flip]
    if axes:
        u = u.flip(axes)
        if alignment == "left":
            u = u.roll([1] * len(axes), axes)
    return u.contiguous()


class GridSymmetry(Method):
    r"""Turns training samples by random symmetries of the grid, inputs and targets alike.

    For an operator G that commutes with a symmetry g, the pair :math:`(x, y)` is as good a sample as
    :math:`(x \circ g, y \circ g)`. In two dimensions a square has 8 symmetries, in three a cube has 48.

    Valid where the operator commutes with them: the coefficients of the equation have no direction, the box has equal
    sides along the axes that are exchanged, all its sides carry the same boundary condition, and every field is scalar.
    Not covered are components of vectors, which would have to change sign or place, and channels that hold
    coordinates. Query points ``coords`` stay as they are: the functions are turned, not the grid.

    Args:
        fields: Names of the fields that are turned.
        alignment: That of the grid (see :class:`sciml.spaces.RegularGrid`), read from the data when None: ``node``,
            ``cell`` or ``left``, which suits periodic grids as well. A wrong one moves the fields by a grid point.
        axes: Grid axes that may be reflected and exchanged, from 0; all when None. Leave out time.
        exchange: Exchange axes of equal length; not where they have different physical lengths.
        per_sample: Draw a symmetry for every sample, instead of one for the whole batch, which costs less.

    Shapes:
        - **fields**: ``(batch, channels, *grid)``, all on the same grid.

    Raises:
        ConfigError: If a field is missing from the batch, the fields have different grids, or ``axes`` names an axis
            that the grid lacks.

    Note:
        All processes of a run draw the same symmetries.

    Example:
        >>> from sciml.train import StepContext
        >>> method = GridSymmetry(alignment="left")
        >>> method.setup(nn.Identity(), seed=0, total_steps=None)
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> context = StepContext(nn.Identity(), optimizer=None, batch={"x": x, "y": 2 * x})
        >>> method.on_batch_start(context)
        >>> torch.equal(context.batch["y"], 2 * context.batch["x"])
        True
    """

    name = "grid-symmetry"
    priority: ClassVar[int] = 20

    def __init__(
        self,
        fields: list[str] | tuple[str, ...] = ("x", "y"),
        alignment: str | None = None,
        *,
        axes: list[int] | None = None,
        exchange: bool = True,
        per_sample: bool = False,
    ) -> None:
        if alignment not in (None, "node", "cell", "left"):
            raise ConfigError(f"alignment is {alignment!r}, expected 'node', 'cell' or 'left'.")
        if not fields or isinstance(fields, str):
            raise ConfigError(f"fields is {fields!r}, expected a list of names of fields on the grid.")
        if axes is not None and (min(axes, default=0) < 0 or len(set(axes)) < len(axes)):
            raise ConfigError(f"axes is {axes}, expected different numbers of grid axes, counted from 0.")
        self.fields = tuple(fields)
        self.alignment = alignment
        self.axes = None if axes is None else tuple(axes)
        self.exchange, self.per_sample = exchange, per_sample
        self._generator = torch.Generator()

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        self._generator.manual_seed(seed)

    def on_batch_start(self, context: StepContext) -> None:
        values = {name: context.batch[name] for name in self.fields if name in context.batch}
        group = self._group(values, context.batch)
        # Drawn on the CPU, so that a run draws the same symmetries on every device.
        size = len(values[self.fields[0]]) if self.per_sample else 1
        choice = torch.randint(len(group), (size,), generator=self._generator)
        alignment = self.alignment or self._alignment_of_data(context)
        if self.per_sample:
            turned = {name: self._turn_each(value, group, choice, alignment) for name, value in values.items()}
        else:
            symmetry = group[int(choice)]
            turned = {name: apply_symmetry(value, symmetry, alignment) for name, value in values.items()}
        context.batch = {**context.batch, **turned}

    def _alignment_of_data(self, context: StepContext) -> str:
        grids = [context.grids[name] for name in self.fields if name in context.grids]
        # Points of a periodic axis lie as on a left grid: the last end is the first.
        found = {
            "left" if grid.alignment == "node" and periodic else grid.alignment
            for grid in grids
            for periodic in (grid.periodic if isinstance(grid.periodic, tuple) else (grid.periodic,))
        }
        if len(found) != 1:
            raise ConfigError(
                f"grid-symmetry cannot read one alignment from the data, found {sorted(found) or 'no grid'}. "
                "Set alignment to 'node', 'cell' or 'left'."
            )
        return found.pop()

    def _group(self, values: dict[str, Tensor], batch: dict[str, Any]) -> tuple[Symmetry, ...]:
        missing = [name for name in self.fields if name not in values]
        if missing:
            raise ConfigError(f"grid-symmetry turns the fields {missing}, the batch holds {sorted(batch)}. Set fields.")
        grids = {tuple(value.shape[2:]) for value in values.values()}
        grid = grids.pop()
        if grids or not grid:
            shapes = {name: tuple(value.shape) for name, value in values.items()}
            raise ConfigError(f"grid-symmetry needs fields (batch, channels, *grid) on one grid, given {shapes}.")
        if self.axes and max(self.axes) >= len(grid):
            raise ConfigError(f"axes is {list(self.axes)}, but the grid {grid} has the axes 0 to {len(grid) - 1}.")
        return symmetries(grid, self.axes, self.exchange)

    @staticmethod
    def _turn_each(value: Tensor, group: tuple[Symmetry, ...], choice: Tensor, alignment: str) -> Tensor:
        result = torch.empty_like(value)
        for index in choice.unique().tolist():
            samples = (choice == index).nonzero().squeeze(1).to(value.device)
            result[samples] = apply_symmetry(value[samples], group[index], alignment)
        return result

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])
