"""Where a converted module stands: the sizes that it met at the reference, and its scale in the present pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeVar

from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.nn.recast import recast
from sciml.operators.convert.lattice import LatticeAxis, Window, axes_of, between_scales
from sciml.spaces import RegularGrid

__all__ = ["Call", "OwnSite", "Resolution", "Run", "Site", "adopt", "grid_of"]

Resolution = Literal["follow", "latent"]
ONE = Fraction(1)
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Call:
    """Shapes of one call of a module at the reference."""

    inputs: tuple[int, ...]
    output: tuple[int, ...]


@dataclass
class Run:
    """The present pass of a converted network; one object shared by all its modules.

    Args:
        scale: How much finer than the reference the input is, per axis.
        weights: Quadrature weights of the input's points relative to the reference, ``(points,)`` or
            ``(batch, points)``; None when they are equal.
        calls: How often each module was called already.
        met: Scales at which functions have passed, by their shape at the reference.
    """

    scale: tuple[Fraction, ...]
    weights: Tensor | None = None
    calls: dict[str, int] = field(default_factory=dict)
    met: dict[tuple[int, ...], tuple[Fraction, ...]] = field(default_factory=dict)

    def begin(self, scale: Sequence[Fraction], weights: Tensor | None = None) -> None:
        """Start a pass."""
        self.scale, self.weights = tuple(scale), weights
        self.calls.clear()
        self.met.clear()


@dataclass
class Site:
    """What a converted module knows of its place in the network.

    Args:
        path: Name of the module.
        axes: Lattice of every axis of the input of the network.
        run: State of the present pass.
        resolution: Whether strided modules keep their stride in points (``follow``) or return to the reference's sizes.
        calls: Shapes at the reference, in order; a module that stands alone has one.
        points: Points per axis of the input of the network at the reference.
    """

    path: str
    axes: tuple[LatticeAxis, ...]
    run: Run
    resolution: Resolution = "follow"
    calls: list[Call] = field(default_factory=list)
    points: tuple[int, ...] = ()

    def call(self) -> Call:
        """The reference's counterpart of this call.

        Raises:
            ConversionError: If the module is called more often than at the reference.
        """
        number = self.run.calls.get(self.path, 0)
        self.run.calls[self.path] = number + 1
        if number >= len(self.calls):
            raise ConversionError(
                f"{self.path} is called {number + 1} times, but {len(self.calls)} times at the reference: the "
                "converter needs networks whose calls do not depend on the input."
            )
        return self.calls[number]

    def scales(self, shape: Sequence[int], reference: Sequence[int]) -> tuple[Fraction, ...]:
        """How much finer than at the reference the last axes of an input are.

        Args:
            shape: Points per axis now.
            reference: Points per axis at the reference.

        Raises:
            ConversionError: If a size is neither that of the network's scale nor of the reference.
        """
        axes = self.axes_for(len(reference))
        found = tuple(self._scale(axis, s, n, old) for (axis, s), n, old in zip(axes, shape, reference, strict=True))
        self.run.met[tuple(reference)] = found
        return found

    def lifted(self, values: Tensor, reference: Sequence[int]) -> Tensor:
        """What a module that goes up gives on the reference's lattice, where the network has gone down to it.

        It is interpolated to the lattice that functions of this shape had on the way down, so that both can be joined.

        Args:
            values: ``(..., *points)`` at the scale of the reference.
            reference: Points per axis of the output at the reference.
        """
        scales = self.run.met.get(tuple(reference))
        if self.resolution != "latent" or scales is None:
            return values
        axes = self.lattice(len(reference))
        counts = [self.count(axis, n, s) for axis, n, s in zip(axes, reference, scales, strict=True)]
        return between_scales(values, axes, [ONE] * len(axes), scales, counts)

    def lattice(self, dim: int) -> tuple[LatticeAxis, ...]:
        """The axes of a module with ``dim`` axes."""
        return tuple(axis for axis, _ in self.axes_for(dim))

    def axes_for(self, dim: int) -> list[tuple[LatticeAxis, Fraction]]:
        """Lattice and scale of the axes of a module with ``dim`` axes."""
        if dim != len(self.axes):
            raise ConversionError(
                f"{self.path} works on {dim} axes, the input of the network has {len(self.axes)}; "
                f"say what it is: roles={{{self.path!r}: 'pointwise'}} or 'wrap'."
            )
        return list(zip(self.axes, self.run.scale, strict=True))

    def _scale(self, axis: LatticeAxis, scale: Fraction, n: int, reference: int) -> Fraction:
        for candidate in (scale, ONE):
            if axis.count(reference, candidate) == n:
                return candidate
        raise ConversionError(
            f"{self.path} receives {n} points along an axis, at the reference {reference}: at scale {scale} "
            f"{_number(axis.count(reference, scale))} are expected. A size is fixed somewhere before it (a view, "
            "F.interpolate with a size), or the input does not divide by the strides."
        )

    def count(self, axis: LatticeAxis, reference: int, scale: Fraction) -> int:
        """Points of an output along an axis.

        Raises:
            ConversionError: If it is not whole.
        """
        count = axis.count(reference, scale)
        if count.denominator != 1:
            raise ConversionError(
                f"the output of {self.path} has {reference} points at the reference and would have {_number(count)} at "
                f"scale {scale}: choose an input whose size divides by the strides of the network."
            )
        return int(count)

    def out_scale(self, scale: Fraction, window: Window, latent: bool = False) -> tuple[Fraction, int]:
        """Scale of the output of a strided module, and its stride in points of the input.

        Raises:
            ConversionError: If the stride is not whole.
        """
        if window.stride == 1 or not (latent or self.resolution == "latent"):
            return scale, window.stride
        stride = window.stride * scale
        if stride.denominator != 1:
            raise ConversionError(
                f"{self.path} keeps the reference's lattice behind it and needs a stride of {stride} points at scale "
                f"{scale}, which is not whole; choose a scale that divides, or resolution='follow'."
            )
        return ONE, int(stride)


@dataclass
class OwnSite(Site):
    """The place of a layer that stands alone: its input is that of the network, and it may be called at any time.

    Args:
        output: Points per axis of the output of an input, at the reference.
    """

    output: Callable[[Sequence[int]], tuple[int, ...]] = tuple

    @classmethod
    def of(
        cls,
        path: str,
        reference: RegularGrid | Sequence[int],
        resolution: Resolution,
        output: Callable[[Sequence[int]], tuple[int, ...]],
    ) -> "OwnSite":
        """The place of a layer whose input has a reference grid, or that shape (cells)."""
        axes = axes_of(grid_of(reference))
        shape = reference.shape if isinstance(reference, RegularGrid) else tuple(reference)
        return cls(path, axes, Run((ONE,) * len(axes)), resolution, [Call(shape, output(shape))], shape, output)

    def call(self) -> Call:
        """The shapes at the reference."""
        return self.calls[0]

    def scales(self, shape: Sequence[int], reference: Sequence[int]) -> tuple[Fraction, ...]:
        """How much finer than the reference an input is."""
        return tuple(axis.scale(n, old) for axis, n, old in zip(self.axes, shape, reference, strict=True))


def grid_of(reference: RegularGrid | Sequence[int], periodic: bool = False) -> RegularGrid:
    """A reference as a grid; a bare shape means cells of the unit box."""
    if isinstance(reference, RegularGrid):
        return reference
    shape = tuple(reference)
    return RegularGrid(shape=shape, bounds=((0.0, 1.0),) * len(shape), periodic=periodic, alignment="cell")


def adopt(module: nn.Module, cls: type[M], site: Site) -> M:
    """An instance of a converted class with the parameters, buffers, children and attributes of a module.

    Args:
        module: A module of a class that ``cls`` inherits from.
        cls: The converted class.
        site: Where it stands.
    """
    new = recast(module, cls)
    new.site = site  # type: ignore[assignment]
    return new


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4g}"
