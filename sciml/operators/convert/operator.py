"""A network as a neural operator: its modules converted one by one, its weights shared."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import LatticeAxis, axes_of, between_scales
from sciml.operators.convert.site import ONE, Call, Run, grid_of
from sciml.spaces import Discretization, Function, RegularGrid, interpolate, resample

__all__ = ["Layout", "OperatorModule", "Row"]

Layout = Literal["channels-first", "channels-last"]


@dataclass(frozen=True)
class Row:
    """One line of the report: a module, its rule, the order of consistency."""

    path: str
    layer: str
    rule: str
    order: str
    parameters: int


class OperatorModule(nn.Module):
    """A converted network: a map between functions on any grid that refines or coarsens the reference's.

    :func:`sciml.operators.convert.to_operator` makes it. Its parameters are those of the network itself: whoever trains
    one trains the other.

    Args:
        network: The converted modules.
        original: The network as it was.
        reference: Grid of the input at which both are the same; for point clouds the number of points.
        call: Shapes of input and output at the reference.
        run: State that the converted modules share.
        axes: Lattices of the input.
        layout: Where the network has its channels.
        resolution: ``follow``: the output is as fine as the input; ``latent``: as the network leaves it.
        rows: What became of every module.

    Shapes:
        - **x**: what the network takes, at any scale: ``(batch, channels, *points)``, or ``(batch, points, channels)``
          if the channels are last; or a :class:`~sciml.spaces.Function` ``(batch, channels, *points)``
        - **output**: likewise; a tensor for a tensor, a function for a function
    """

    def __init__(
        self,
        network: nn.Module,
        original: nn.Module,
        reference: RegularGrid | int,
        call: Call,
        run: Run,
        axes: tuple[LatticeAxis, ...],
        layout: Layout,
        resolution: str,
        rows: list[Row],
    ) -> None:
        super().__init__()
        self.network = network
        self._original = (original,)  # in a tuple, it is no submodule: its parameters are those of the network
        self.reference = reference
        self.layout, self.resolution, self.rows = layout, resolution, rows
        self.call, self.axes, self._run = call, axes, run

    @property
    def scale(self) -> tuple[Fraction, ...]:
        """How much finer than the reference the last input was, per axis."""
        return self._run.scale

    def forward(self, x: Tensor | Function, *args: Any, weights: Tensor | None = None, **kwargs: Any) -> Any:
        """Apply the operator.

        Args:
            x: The input function.
            args: Further arguments of the network.
            weights: Quadrature weights of the points of a tensor, ``(points,)`` or ``(batch, points)``, up to a factor;
                a function brings its own. None on grids: they have their own. Of nodes of several graphs they are
                scaled for each graph, if the network takes an argument ``batch``.
            kwargs: Further named arguments of the network.

        Raises:
            ConversionError: If the input does not live on the domain of the reference, fits no scale of it, has points
                without weights, or a size inside of the network is fixed.
        """
        if isinstance(x, Function):
            return self._on_function(x, *args, **kwargs)
        shape = self._points(x)
        if weights is None and self.axes[0].kind == "cloud" and shape != self.reference_shape:
            raise ConversionError(
                f"weights are missing: the input has {shape[0]} points, the reference {self.reference_shape[0]}. Give "
                "their quadrature weights, up to a factor; equal ones are weights=torch.ones(n)."
            )
        with self._pass(shape, self._relative(weights, shape, kwargs.get("batch"))):
            return self._finish(self.network(x, *args, **kwargs))

    def at_reference(self, x: Function, *args: Any, method: str = "linear", **kwargs: Any) -> Any:
        """The network as it was, on the input resampled to the reference.

        Args:
            x: The input function, on a grid.
            args: Further arguments of the network.
            method: How to resample.
            kwargs: Further named arguments.
        """
        grid = self._grid("at_reference")
        values = resample(x, grid, method, outside="extrapolate").values
        return self.original(self._to_network(values, grid.dim), *args, **kwargs)

    def query(self, x: Function, points: Tensor, *args: Any, method: str = "linear", **kwargs: Any) -> Tensor:
        """Values of the output function at any points.

        Args:
            x: The input function, on a grid.
            points: ``(m, dim)``.
            args: Further arguments of the network.
            method: How to interpolate.
            kwargs: Further named arguments.

        Returns:
            ``(batch, channels, m)``.

        Raises:
            ConversionError: If the output is no function on a grid.
        """
        output = self(x, *args, **kwargs)
        if not isinstance(output, Function):
            raise ConversionError("the output of the network is no function on a grid: there is nothing to query.")
        return interpolate(output.values, output.disc, points, method, outside="extrapolate")

    def extra_repr(self) -> str:
        """Where it came from."""
        shape = self.reference.shape if isinstance(self.reference, RegularGrid) else (self.reference,)
        return f"reference={tuple(shape)}, layout={self.layout!r}, resolution={self.resolution!r}"

    @contextmanager
    def _pass(self, shape: Sequence[int], weights: Tensor | None) -> Iterator[None]:
        scale = [a.scale(n, old) for a, n, old in zip(self.axes, shape, self.reference_shape, strict=True)]
        self._run.begin(scale, weights)
        try:
            yield
        except (RuntimeError, ValueError, IndexError) as error:
            if all(s == 1 for s in scale) or isinstance(error, ConversionError):
                raise
            raise ConversionError(
                f"at scale {', '.join(map(str, scale))} the network fails: {str(error).rstrip('.')}. If a size "
                "is fixed in its code, make it follow the input; if the input does not divide by the strides, choose "
                "another."
            ) from error

    @property
    def original(self) -> nn.Module:
        """The network as it was; it shares its parameters with this one."""
        return self._original[0]

    @property
    def reference_shape(self) -> tuple[int, ...]:
        """Points per axis at the reference."""
        return self.reference.shape if isinstance(self.reference, RegularGrid) else (self.reference,)

    def _grid(self, what: str) -> RegularGrid:
        if not isinstance(self.reference, RegularGrid):
            raise ConversionError(f"{what} needs a network on a grid, not on points.")
        return self.reference

    def _points(self, x: Tensor) -> tuple[int, ...]:
        dim = len(self.axes)
        if x.dim() != len(self.call.inputs) or 0 in x.shape:
            raise ConversionError(
                f"the input has shape {tuple(x.shape)}, at the reference {self.call.inputs}: expected as many axes, "
                "none of them empty."
            )
        if self.axes[0].kind == "cloud" and self.call.inputs[:1] == self.reference_shape:
            return (x.shape[0],)  # the nodes of a graph
        return tuple(x.shape[-dim - 1 : -1]) if self.layout == "channels-last" else tuple(x.shape[-dim:])

    def _relative(self, weights: Tensor | None, shape: Sequence[int], batch: Tensor | None = None) -> Tensor | None:
        if weights is None:
            return None
        if weights.shape[-1] != math.prod(shape):
            raise ConversionError(f"weights have shape {tuple(weights.shape)}, the input {tuple(shape)} points.")
        weights = weights.double()
        total = weights.sum(-1, keepdim=True)
        if isinstance(batch, Tensor) and batch.shape == weights.shape:
            total = weights.new_zeros(int(batch.max()) + 1).index_add(0, batch, weights)[batch]
        if bool((weights < 0).any()) or not bool((total > 0).all()):
            raise ConversionError("weights must not be negative, and some must be positive.")
        return weights * (math.prod(self.reference_shape) / total)

    def _to_network(self, values: Tensor, dim: int) -> Tensor:
        return values.movedim(-dim - 1, -1) if self.layout == "channels-last" else values

    def _on_function(self, x: Function, *args: Any, **kwargs: Any) -> Any:
        disc, dim = x.disc, len(x.disc.shape)
        grid = self._check_domain(disc)
        weights = None if grid is not None else self._relative(x.weights.flatten(), disc.shape)
        inputs = self._to_network(x.values, dim)
        with self._pass(disc.shape, weights):
            output = self._finish(self.network(inputs, *args, **kwargs))
        if not isinstance(output, Tensor) or output.dim() != x.values.dim():
            return output
        values = output.movedim(-1, -dim - 1) if self.layout == "channels-last" else output
        new = tuple(values.shape[-dim:])
        if new == disc.shape:
            return Function(values, disc)
        return Function(values, grid.with_shape(new)) if grid is not None else output

    def _check_domain(self, disc: Discretization) -> RegularGrid | None:
        if not isinstance(self.reference, RegularGrid):
            return None
        reference = self.reference
        if not isinstance(disc, RegularGrid):
            raise ConversionError(
                f"the input lives on a {type(disc).__name__}, the network on a regular grid: resample it to a grid, "
                "or convert a network for points."
            )
        for name in ("bounds", "periodic", "alignment"):
            if getattr(disc, name) != getattr(reference, name):
                raise ConversionError(
                    f"the input's grid has {name} {getattr(disc, name)}, the reference {getattr(reference, name)}: a "
                    "converted network acts on the domain it was trained on."
                )
        return disc

    def _finish(self, output: Any) -> Any:
        """Check the shape of the output; one that stayed on the lattice of the reference follows the input."""
        dim, scale, reference = len(self.axes), self._run.scale, self.call.output
        if not isinstance(output, Tensor) or self.axes[0].kind == "cloud" or all(s == 1 for s in scale):
            return output
        if output.dim() != len(reference) or len(reference) != dim + 2:
            return output
        moved = output.movedim(-1, 1) if self.layout == "channels-last" else output
        channels, *old = (reference[-1], *reference[1:-1]) if self.layout == "channels-last" else reference[1:]
        counts = [axis.count(n, s) for axis, n, s in zip(self.axes, old, scale, strict=True)]
        shape = list(moved.shape[2:])
        if moved.shape[1] != channels or shape not in (counts, old):
            raise ConversionError(
                f"the output has shape {tuple(output.shape)}, at the reference {reference}: at scale "
                f"{', '.join(map(str, scale))} the points should be {', '.join(map(str, counts))}. A size is fixed in "
                "the network's code (a view, F.interpolate with a size)."
            )
        if shape == counts or self.resolution == "latent" or any(c.denominator != 1 for c in counts):
            return output
        moved = between_scales(moved, self.axes, [ONE] * dim, scale, [int(c) for c in counts])
        return moved.movedim(1, -1) if self.layout == "channels-last" else moved


def reference_axes(reference: RegularGrid | Sequence[int] | int, periodic: bool) -> tuple[Any, tuple[LatticeAxis, ...]]:
    """The reference as a grid (or a number of points), and its lattices."""
    if isinstance(reference, int):
        return reference, (LatticeAxis("cloud"),)
    grid = grid_of(reference, periodic)
    return grid, axes_of(grid)
