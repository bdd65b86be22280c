"""Batches of functions: three layouts that hold the same functions, and padding that changes nothing."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ConfigError
from sciml.spaces import Function, FunctionBatch, Mesh, PointCloud, RegularGrid

NORMS = ["l1_norm", "l2_norm", "linf_norm", "integral"]


def functions(sizes: list[int], channels: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Function]:
    generator = torch.Generator().manual_seed(seed)

    def one(n: int) -> Function:
        cloud = PointCloud(torch.rand(n, 2, generator=generator, dtype=torch.float64), torch.arange(1.0, n + 1))
        return Function(torch.randn(channels, n, generator=generator, dtype=torch.float64).to(dtype), cloud, "p", "Pa")

    return [one(n) for n in sizes]


def parts(batch: FunctionBatch) -> list[torch.Tensor | None]:
    return [batch.values, batch.points, batch.weights, batch.ptr, batch.mask]


def assert_equal(a: FunctionBatch, b: FunctionBatch) -> None:
    for mine, theirs in zip(parts(a), parts(b), strict=True):
        assert (mine is None and theirs is None) or torch.equal(mine, theirs)  # type: ignore[arg-type]
    assert (a.discs, a.name, a.units, a.layout) == (b.discs, b.name, b.units, b.layout)


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 3), st.integers(0, 4))
def test_ragged_and_padded_turn_into_each_other_without_loss(sizes: list[int], channels: int, more: int) -> None:
    several = functions(sizes, channels)
    ragged = FunctionBatch.ragged(several)
    padded = ragged.to_padded(max(sizes) + more)
    assert_equal(padded.to_ragged(), ragged)
    assert_equal(padded.to_ragged().to_padded(max(sizes) + more), padded)
    for back, u in zip(padded.to_functions(), several, strict=True):
        assert torch.equal(back.values, u.values)
        assert back.disc == u.disc
        assert (back.name, back.units) == ("p", "Pa")
    assert ragged.counts.tolist() == padded.counts.tolist() == sizes
    assert len(ragged) == len(padded) == len(sizes)
    assert padded.weights[~padded.mask].eq(0).all()  # type: ignore[operator]


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 5), st.sampled_from(NORMS))
def test_norms_are_those_of_each_function_and_padding_changes_none(sizes: list[int], more: int, norm: str) -> None:
    several = functions(sizes)
    expected = torch.stack([getattr(u, norm)() for u in several])
    ragged = FunctionBatch.ragged(several)
    torch.testing.assert_close(getattr(ragged, norm)(), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(getattr(ragged.to_padded(), norm)(), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(getattr(ragged.to_padded(9 + more), norm)(), expected, rtol=1e-12, atol=1e-12)


def test_what_stands_on_padding_does_not_matter() -> None:
    clean = FunctionBatch.ragged(functions([2, 4])).to_padded(6)
    assert clean.mask is not None
    blank = ~clean.mask
    dirty = FunctionBatch.padded(
        clean.values.masked_fill(blank[:, None], math.nan),
        clean.points.masked_fill(blank[..., None], 3.0),
        clean.weights.masked_fill(blank, 1.0),
        clean.mask,
        "p",
        "Pa",
    )
    prediction = clean.with_values(torch.full_like(clean.values, math.inf).where(blank[:, None], clean.values))
    for batch in (dirty, prediction):
        for mine, theirs in zip(parts(batch), parts(clean), strict=True):
            assert mine is None or torch.equal(mine, theirs)  # type: ignore[arg-type]
        assert torch.equal(batch.l2_norm(), clean.l2_norm())


def test_a_shared_batch_becomes_ragged_and_comes_back() -> None:
    grid = RegularGrid((4, 3), ((0.0, 1.0), (0.0, 2.0)))
    shared = FunctionBatch.shared(torch.randn(5, 2, 4, 3, dtype=torch.float64), grid, "p", "Pa")
    ragged = shared.to_ragged()
    assert (ragged.values.shape, ragged.points.shape) == ((60, 2), (60, 2))
    assert_equal(ragged.to_shared(), shared)
    assert_equal(shared.to_padded().to_shared(), shared)
    for norm in [*NORMS, "h1_norm"]:
        expected = getattr(Function(shared.values, grid), norm)()
        for batch in (shared, ragged, shared.to_padded(15)):
            torch.testing.assert_close(getattr(batch, norm)(), expected, rtol=1e-12, atol=1e-12)
    assert shared.disc == grid
    assert shared.to_shared() is shared
    with pytest.raises(ConfigError, match="have discretisations of their own"):
        _ = ragged.disc
    with pytest.raises(ConfigError, match="resample them to one first"):
        FunctionBatch.ragged(functions([2, 3])).to_shared()


def test_h1_norms_of_functions_on_meshes_of_their_own() -> None:
    generator = torch.Generator().manual_seed(0)
    meshes = [Mesh.delaunay(torch.rand(n, 2, generator=generator, dtype=torch.float64)) for n in (6, 9)]
    several = [Function(torch.sin(mesh.points).T, mesh) for mesh in (meshes[0], meshes[0], meshes[1], meshes[0])]
    expected = torch.stack([u.h1_norm() for u in several])
    for batch in (FunctionBatch.ragged(several), FunctionBatch.ragged(several).to_padded(20)):
        torch.testing.assert_close(batch.h1_norm(), expected, rtol=1e-12, atol=0)
    known_at_points = FunctionBatch.ragged(torch.zeros(4, 1), torch.zeros(4, 2), torch.ones(4), torch.tensor([0, 4]))
    with pytest.raises(ConfigError, match="list of functions on meshes"):
        known_at_points.h1_norm()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layout", ["ragged", "padded", "shared"])
def test_gradients_flow_and_are_zero_at_zero(norm: str, layout: str) -> None:
    cloud = PointCloud(torch.rand(4, 2, dtype=torch.float64), torch.arange(1.0, 5.0))
    shared = FunctionBatch.shared(torch.randn(2, 2, 4, dtype=torch.float64), cloud)
    ragged = FunctionBatch.ragged(functions([2, 4]))
    batch = {"ragged": ragged, "padded": ragged.to_padded(5), "shared": shared}[layout]
    values = batch.values.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: getattr(batch.with_values(v), norm)(), (values,))
    assert torch.autograd.gradcheck(lambda v: batch.with_values(v).to_ragged().to_padded().values, (values,))
    if norm != "integral":
        zero = torch.zeros_like(values, requires_grad=True)
        slope = torch.autograd.grad(getattr(batch.with_values(zero), norm)().sum(), zero)[0]
        assert slope.eq(0).all()


def test_single_precision_is_kept_in_every_layout() -> None:
    double = FunctionBatch.ragged(functions([3, 5]))
    single = FunctionBatch.ragged(functions([3, 5], dtype=torch.float32))
    assert {single.values.dtype, single.points.dtype, single.weights.dtype, single.l2_norm().dtype} == {torch.float32}
    assert_equal(double.to(dtype=torch.float32), single)
    torch.testing.assert_close(single.to_padded().l2_norm().double(), double.l2_norm(), rtol=1e-4, atol=1e-5)
    assert double.to("cpu").values.dtype == torch.float64


def test_a_coefficient_of_booleans_has_an_integral() -> None:
    grid = RegularGrid((5,), ((0.0, 1.0),))
    u = Function((grid.points >= 0.5).T, grid)
    batch = FunctionBatch.ragged([u, u])
    torch.testing.assert_close(batch.integral(), torch.full((2, 1), 0.625))
    torch.testing.assert_close(batch.to_padded(7).l1_norm(), torch.full((2,), 0.625))


def test_batches_at_the_same_points_are_added_and_scaled() -> None:
    a, b = FunctionBatch.ragged(functions([2, 3])), FunctionBatch.ragged(functions([2, 3]))
    assert torch.equal((a + b).values, 2 * a.values)
    assert (a - b).l2_norm().eq(0).all()
    torch.testing.assert_close((0.5 * a).l2_norm(), 0.5 * a.l2_norm())
    loose = FunctionBatch.ragged(a.values, a.points, a.weights, a.ptr)  # type: ignore[arg-type]
    assert (loose - a).l2_norm().eq(0).all()


def test_batches_at_different_points_are_refused_with_both_named() -> None:
    a = FunctionBatch.ragged(functions([2, 3]))
    with pytest.raises(TypeError, match=r"(?s)ragged batch of 2.*on PointCloud.*padded batch of 2.*one layout"):
        a - a.to_padded()
    with pytest.raises(TypeError, match=r"(?s)2 functions at 5 points on PointCloud.*1 functions at 3 points"):
        a + FunctionBatch.ragged(functions([3]))
    with pytest.raises(TypeError, match="Resample one of them"):
        a + FunctionBatch.ragged(functions([2, 3], seed=1))
    with pytest.raises(TypeError, match="the other operand a Function"):
        a - functions([5])[0]  # type: ignore[operator]


def test_an_index_of_pyg_finds_the_functions() -> None:
    from torch_geometric.utils import scatter

    batch = FunctionBatch.ragged(functions([2, 1, 4]))
    index = torch.arange(3).repeat_interleave(batch.counts)
    torch.testing.assert_close(scatter(batch.values * batch.weights[:, None], index), batch.integral())


def test_batches_are_copied_and_pickled() -> None:
    batch = FunctionBatch.ragged(functions([2, 3]))
    assert_equal(copy.deepcopy(batch), batch)
    assert_equal(pickle.loads(pickle.dumps(batch.to_padded())), batch.to_padded())


def test_parts_that_do_not_fit_are_refused() -> None:
    values, points, weights = torch.zeros(4, 1), torch.zeros(4, 2), torch.ones(4)
    with pytest.raises(ConfigError, match="give points, weights and ptr"):
        FunctionBatch.ragged(values)
    with pytest.raises(ConfigError, match=r"expected \(total, C\), \(total, d\) and \(total,\)"):
        FunctionBatch.ragged(values, points[:3], weights, torch.tensor([0, 4]))
    for ptr in ([0, 3], [1, 4], [0, 4, 4], [4], [0, 3, 2, 4]):
        with pytest.raises(ConfigError, match="increasing indices from 0 to 4"):
            FunctionBatch.ragged(values, points, weights, torch.tensor(ptr))
    mask = torch.tensor([[True, False]])
    with pytest.raises(ConfigError, match=r"Booleans \(B, N\)"):
        FunctionBatch.padded(torch.zeros(1, 1, 2), torch.zeros(1, 2, 2), torch.ones(1, 2), mask.int())
    with pytest.raises(ConfigError, match="function 0 has no points"):
        FunctionBatch.padded(torch.zeros(1, 1, 2), torch.zeros(1, 2, 2), torch.ones(1, 2), mask & False)
    batch = FunctionBatch.ragged(functions([2, 3]))
    with pytest.raises(ConfigError, match="a function has 3 points"):
        batch.to_padded(2)
    with pytest.raises(ConfigError, match="only the channels may differ"):
        batch.with_values(torch.zeros(4, 2))
    assert batch.with_values(torch.zeros(5, 7)).channels == 7


def test_functions_that_do_not_belong_together_are_refused() -> None:
    first, second = functions([2, 3])
    with pytest.raises(ConfigError, match="list of functions is empty"):
        FunctionBatch.ragged([])
    with pytest.raises(ConfigError, match="function 1 has 1 channels"):
        FunctionBatch.ragged([first, Function(second.values[:1], second.disc, units="Pa")])
    with pytest.raises(ConfigError, match="units None"):
        FunctionBatch.ragged([first, Function(second.values, second.disc)])
    with pytest.raises(ConfigError, match=r"expected one function \(C, \*points\)"):
        FunctionBatch.ragged([Function(first.values[None], first.disc)])
    with pytest.raises(TypeError, match="entry 0 is a Tensor"):
        FunctionBatch.ragged([torch.zeros(2)])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match=r"expected \(B, C, 4,"):
        FunctionBatch.shared(torch.zeros(2, 4), RegularGrid((4,), ((0.0, 1.0),)))


def test_the_norm_of_many_small_functions_equals_numpy() -> None:
    sizes = np.random.default_rng(0).integers(1, 30, 200).tolist()
    batch = FunctionBatch.ragged(functions(sizes, 1))
    pieces = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    values, weights = batch.values[:, 0].numpy(), batch.weights.numpy()
    expected = [math.sqrt(sum(weights[j] * values[j] ** 2 for j in piece)) for piece in pieces]
    np.testing.assert_allclose(batch.l2_norm().numpy(), expected, rtol=1e-12)


def test_shared_batches_of_different_sizes_do_not_broadcast() -> None:
    grid = RegularGrid((4,), ((0.0, 1.0),))
    one, three = (FunctionBatch.shared(torch.zeros(n, 1, 4), grid) for n in (1, 3))
    with pytest.raises(TypeError, match=r"(?s)shared batch of 1 .*shared batch of 3 "):
        one + three
