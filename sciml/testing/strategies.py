"""Hypothesis strategies for grids and functions on them, small enough for examples of milliseconds."""

from collections.abc import Sequence
from typing import Any

import torch

from sciml.spaces import Function, RegularGrid

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("sciml.testing.strategies needs hypothesis: pip install hypothesis.") from error

__all__ = ["grid_functions", "regular_grids"]


@st.composite
def regular_grids(
    draw: st.DrawFn,
    dims: Sequence[int] = (1, 2, 3),
    min_size: int = 2,
    max_size: int = 6,
    alignments: Sequence[str] = ("node", "cell", "left"),
    periodic: bool | None = None,
) -> RegularGrid:
    """Grids on boxes with lengths between 0.1 and 10.

    Args:
        draw: Given by hypothesis.
        dims: Possible numbers of axes.
        min_size: Least number of points per axis.
        max_size: Largest number of points per axis.
        alignments: Possible alignments.
        periodic: Whether all axes are periodic; None draws it for each axis.

    Example:
        >>> from hypothesis import given
        >>> @given(regular_grids(dims=[2]))
        ... def test_weights_sum_to_the_volume(grid):
        ...     assert abs(grid.weights.sum() - grid.volume) < 1e-10 * grid.volume
        >>> test_weights_sum_to_the_volume()
    """
    dim = draw(st.sampled_from(list(dims)))

    def per_axis(strategy: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return draw(st.tuples(*[strategy] * dim))

    # Hundredths: hypothesis shrinks them to readable numbers.
    begins = [n / 100 for n in per_axis(st.integers(-500, 500))]
    lengths = [n / 100 for n in per_axis(st.integers(10, 1000))]
    return RegularGrid(
        shape=per_axis(st.integers(min_size, max_size)),
        bounds=tuple((begin, begin + length) for begin, length in zip(begins, lengths, strict=True)),
        periodic=per_axis(st.booleans()) if periodic is None else periodic,
        alignment=draw(st.sampled_from(list(alignments))),
    )


@st.composite
def grid_functions(
    draw: st.DrawFn,
    grids: st.SearchStrategy[RegularGrid] | None = None,
    batch: int | None = None,
    max_channels: int = 3,
    dtype: torch.dtype = torch.float64,
) -> Function:
    """Functions on a grid: zero, constant in each channel, or independent normal values of any scale.

    Args:
        draw: Given by hypothesis.
        grids: Where they live; None takes :func:`regular_grids`.
        batch: Number of functions in one object; None gives values without a batch axis.
        max_channels: Largest number of channels.
        dtype: Type of the values.

    Example:
        >>> from hypothesis import given
        >>> @given(grid_functions(batch=2))
        ... def test_norm_is_homogeneous(u):
        ...     torch.testing.assert_close((3 * u).l2_norm(), 3 * u.l2_norm())
        >>> test_norm_is_homogeneous()
    """
    grid = draw(regular_grids() if grids is None else grids)
    channels = draw(st.integers(1, max_channels))
    leading = (channels,) if batch is None else (batch, channels)
    kind = draw(st.sampled_from(["zero", "constant", "random"]))
    shape = {"zero": (1,) * grid.dim, "constant": (1,) * grid.dim, "random": grid.shape}[kind]
    scale = 0.0 if kind == "zero" else 10.0 ** draw(st.integers(-3, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    values = scale * torch.randn(*leading, *shape, generator=generator, dtype=torch.float64)
    return Function(values.expand(*leading, *grid.shape).to(dtype).clone(), grid)
