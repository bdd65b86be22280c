"""All samplers: a function belongs to its seed and place, and is the same at every resolution and in every batch."""

import pytest
import torch

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid, TensorGrid
from sciml.spaces.random import (
    Chebyshev,
    GaussianBumps,
    GaussianProcess,
    PDEBenchInitial,
    PiecewiseConstant,
    PowerSeries,
    Sampler,
    SpectralGRF,
    wasserstein_distance,
)

SQUARE = ((0.0, 1.0), (0.0, 1.0))
SAMPLERS: dict[str, Sampler] = {
    "rbf": GaussianProcess(),
    "matern": GaussianProcess("matern32", 0.3, nodes=200),
    "periodic-kernel": GaussianProcess("periodic", 0.5, nodes=200),
    "rbf-2d": GaussianProcess(bounds=SQUARE, nodes=40),
    "periodic": SpectralGRF(modes=16),
    "periodic-2d": SpectralGRF(2.5, 7.0, 7**0.75, dim=2, modes=6),
    "neumann-2d": SpectralGRF(2.0, 3.0, 1.0, "neumann", dim=2, modes=8),
    "dirichlet-3d": SpectralGRF(2.0, 3.0, 1.0, "dirichlet", dim=3, modes=4),
    "chebyshev": Chebyshev(),
    "power": PowerSeries(5),
    "pdebench": PDEBenchInitial(),
    "bumps": GaussianBumps(bounds=SQUARE),
    "two values": PiecewiseConstant(),
}
each = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


def points(dim: int, num: int = 23) -> torch.Tensor:
    return torch.rand(num, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@each
def test_a_function_depends_on_seed_and_place_alone(sampler: Sampler) -> None:
    at = points(sampler.dim)
    whole = sampler.sample(7, seed=3)(at)
    assert torch.equal(sampler.sample(7, seed=3)(at), whole)
    for begin, end in ((0, 2), (2, 3), (3, 7)):
        part = sampler.sample(end - begin, seed=3, start=begin)(at)
        torch.testing.assert_close(part, whole[begin:end], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(sampler.sample(7, seed=4)(at), whole)
    assert not torch.allclose(whole[0], whole[1])


@each
def test_large_seeds_do_not_run_into_other_sequences(sampler: Sampler) -> None:
    at = points(sampler.dim)
    first = sampler.sample(1, seed=2**32 + 5)(at)
    assert not torch.allclose(first, sampler.sample(1, seed=5, start=1)(at))
    with pytest.raises(ConfigError, match="at least 1, 0 and 0"):
        sampler.sample(0)


@each
def test_nested_resolutions_agree_at_shared_points(sampler: Sampler) -> None:
    coarse = RegularGrid((9,) * sampler.dim, ((0.0, 1.0),) * sampler.dim)
    draw = sampler.sample(2, seed=0)
    fine = draw.on(coarse.refine(2)).values
    torch.testing.assert_close(coarse.refine(2).restrict(fine), draw.on(coarse).values, rtol=0, atol=1e-10)


@each
def test_a_grid_and_its_points_give_the_same_values(sampler: Sampler) -> None:
    draw = sampler.sample(3, seed=0)
    grid = TensorGrid.gauss_legendre((5, 6, 7)[: sampler.dim], ((0.0, 1.0),) * sampler.dim)
    values = draw.on(grid).values
    assert values.shape == (3, 1, *grid.shape)
    torch.testing.assert_close(values.flatten(1), draw(grid.points), rtol=1e-10, atol=1e-10)


@each
def test_slices_are_the_same_functions(sampler: Sampler) -> None:
    at, draw = points(sampler.dim), sampler.sample(5, seed=0)
    assert len(draw) == 5
    torch.testing.assert_close(draw[1:3](at), draw(at)[1:3], rtol=1e-12, atol=1e-12)


@each
def test_values_take_the_type_of_the_points_and_are_computed_in_double_precision(sampler: Sampler) -> None:
    at, draw = points(sampler.dim).float(), sampler.sample(2, seed=0)
    assert draw(at).dtype == torch.float32
    assert torch.equal(draw(at), draw(at.double()).float())


@pytest.mark.parametrize("name", ["rbf", "rbf-2d", "periodic", "neumann-2d", "chebyshev", "power", "bumps"])
def test_evaluation_is_differentiable_in_the_points(name: str) -> None:
    sampler = SAMPLERS[name]
    at = points(sampler.dim, 4).requires_grad_()
    assert torch.autograd.gradcheck(sampler.sample(2, seed=0), at, eps=1e-7, atol=1e-5)


@each
def test_points_of_another_dimension_are_refused(sampler: Sampler) -> None:
    with pytest.raises(ConfigError, match=rf"expected \(n, {sampler.dim}\)"):
        sampler.sample(1)(torch.rand(3, sampler.dim + 1))
    with pytest.raises(ConfigError, match="discretisation has dimension"):
        sampler.sample(1).on(RegularGrid((3,) * (sampler.dim + 1), ((0, 1),) * (sampler.dim + 1)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianProcess("rfb"), "rbf"),
        (lambda: GaussianProcess(length_scale=0), "length_scale is 0"),
        (lambda: GaussianProcess(bounds=((1, 0),)), "begin < end"),
        (lambda: SpectralGRF(bc="robin"), "periodic, neumann, dirichlet"),  # type: ignore[arg-type]
        (lambda: SpectralGRF(modes=0), "modes 0"),
        (lambda: Chebyshev(1), "at least 2"),
        (lambda: SpectralGRF(sigma=0), "sigma is 0, .* expected sigma > 0"),
        (lambda: SpectralGRF(bounds=((0, 1), (0, 1))), "bounds has 2 axes, dim is 1"),
        (lambda: PDEBenchInitial(fold_probability=2), "from 0 to 1"),
        (lambda: PDEBenchInitial(num_waves=0), "num_waves is 0, .* expected positive numbers"),
        (lambda: wasserstein_distance(GaussianProcess(), GaussianProcess(bounds=((0, 2),))), "one common interval"),
        (lambda: GaussianBumps(widths=(0.0, 1.0)), "positive widths"),
        (lambda: GaussianProcess().sample(2, seed=-1), "expected at least 1, 0 and 0"),
        (lambda: GaussianProcess(bounds=(0.0, 1.0)), "one pair per axis"),  # type: ignore[arg-type]
        (lambda: GaussianProcess().sample(1)(torch.tensor([0.5, 1.5])), r"drawn on \[0, 1\].* to 1.5"),
    ],
)
def test_impossible_settings_are_refused(build: object, message: str) -> None:
    with pytest.raises((ConfigError, LookupError), match=message):
        build()  # type: ignore[operator]
