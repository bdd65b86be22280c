"""The strategies stay within their bounds, reach all kinds of grids, and shrink to simple ones."""

import subprocess
import sys

import pytest
import torch
from hypothesis import Phase, find, given, settings

from sciml.spaces import RegularGrid
from sciml.testing.strategies import grid_functions, regular_grids

# Finding is enough: most tests look at the kind of an example, not at the simplest one.
FIRST = settings(phases=[Phase.generate], database=None, max_examples=1000)


@given(regular_grids(dims=[1, 2], min_size=3, max_size=5, alignments=["cell"], periodic=True))
def test_grids_are_as_asked_for(grid):
    assert grid.dim in (1, 2)
    assert all(3 <= n <= 5 for n in grid.shape)
    assert grid.alignment == "cell"
    assert grid.periodic == (True,) * grid.dim
    assert grid.contains(grid.points).all()


@pytest.mark.parametrize("alignment", ["node", "cell", "left"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_every_dimension_and_alignment_occurs(dim, alignment):
    wanted = (dim, alignment)
    found = find(regular_grids(), lambda g: (g.dim, g.alignment) == wanted and any(g.periodic), settings=FIRST)
    assert len(found.shape) == dim


def test_grids_shrink_to_two_points_on_a_short_interval():
    assert find(regular_grids(), lambda grid: True, settings=settings(database=None)) == RegularGrid(
        (2,), ((0.0, 0.1),)
    )


@given(grid_functions(batch=2, max_channels=2, dtype=torch.float32))
def test_functions_have_channels_and_a_finite_norm(u):
    assert u.values.shape[0] == 2
    assert u.values.shape[1] in (1, 2)
    assert u.values.shape[2:] == u.disc.shape
    assert u.values.dtype == torch.float32
    assert u.values.is_contiguous()
    assert u.l2_norm().isfinite().all()


@settings(max_examples=20)
@given(grid_functions(regular_grids(dims=[2], max_size=3)))
def test_functions_live_on_the_grids_given(u):
    assert u.disc.dim == 2
    assert max(u.disc.shape) <= 3


@pytest.mark.parametrize(
    "wanted",
    [
        lambda u: not u.values.any(),
        lambda u: bool(u.values.any()) and u.values.unique().numel() == 1,
        lambda u: u.values.std() > 100,
    ],
    ids=["zero", "constant", "large"],
)
def test_zero_constant_and_large_functions_occur(wanted):
    assert wanted(find(grid_functions(), wanted, settings=FIRST))


def test_without_hypothesis_the_error_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; import sciml.testing; import sciml.testing.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: sciml.testing.strategies needs hypothesis: pip install hypothesis." in done.stderr


def test_importing_the_kit_loads_neither_pytest_nor_hypothesis():
    code = "import sys, sciml.testing; print({'pytest', 'hypothesis', 'jsonargparse', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pytest", "hypothesis"} & set(done.stdout.replace("'", " ").split())
