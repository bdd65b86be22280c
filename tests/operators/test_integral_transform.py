"""Integrals over balls: equal to dense quadrature, to neuraloperator's, convergent, and blind to what has no weight."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn import radius_neighbours
from sciml.operators import IntegralTransform, integral_transform
from sciml.spaces import PointCloud

KINDS = ("linear", "linear-kernel", "nonlinear", "nonlinear-kernel")
CUTOFFS = ("none", "cosine", "quartic", "bump")


def layer(kind: str = "linear", dim: int = 2, channels: int = 3, **options: Any) -> IntegralTransform:
    torch.manual_seed(0)
    return IntegralTransform(dim, channels, options.pop("radius", 0.4), kind, hidden=(8, 7), **options).double()  # type: ignore[arg-type]


def case(
    num: int = 40, batch: int = 2, channels: int = 3, dim: int = 2, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    return draw(batch, 3, num), draw(num, 2), draw(num) / num


def dense(module: IntegralTransform, f: Tensor | None, points: Tensor, queries: Tensor, weights: Tensor) -> Tensor:
    """All pairs at once, the kernel network applied to each as it stands: ``(batch, channels, queries)``."""
    distance = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
    t = distance / module.radius
    cut = {
        "none": torch.ones_like(t),
        "cosine": (1 + torch.cos(math.pi * t)) / 2,
        "quartic": (1 - t**2) ** 2,
        "bump": math.e * torch.exp(-1 / (1 - t.clamp_max(1 - 1e-9) ** 2)),
    }[module.cutoff]
    weight = torch.where(t <= 1, weights * cut, torch.zeros_like(t))
    num, dim = points.shape
    pairs = torch.cat([points.expand(len(queries), num, dim), queries[:, None].expand(-1, num, dim)], -1)
    if f is None:
        kernel = module.kernel(pairs)[None]
    elif module.kind.startswith("nonlinear"):
        at = f.transpose(1, 2)[:, None].expand(-1, len(queries), -1, -1)
        kernel = module.kernel(torch.cat([pairs.expand(len(f), -1, -1, -1), at], -1))
    else:
        kernel = module.kernel(pairs)[None]
    if module.kind in ("linear", "nonlinear"):
        assert f is not None
        kernel = kernel * f.transpose(1, 2)[:, None]
    total = torch.einsum("qn,bqnc->bcq", weight, kernel)
    return total / weight.sum(1) if module.mean else total


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_dense_quadrature(kind: str, cutoff: str, mean: bool) -> None:
    f, points, weights = case()
    module = layer(kind, cutoff=cutoff, mean=mean)
    queries = case(30, seed=1)[1]
    given = None if kind == "linear-kernel" else f
    expected = dense(module, given, points, queries, weights)
    found = module(given, points, queries, weights)
    torch.testing.assert_close(found, expected if given is not None else expected[0].t(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
def test_stretches_and_recomputing_change_neither_values_nor_gradients(
    recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    f, points, weights = case()
    module = layer("nonlinear", recompute=recompute)
    expected = dense(module, f, points, points, weights)
    gradients = torch.autograd.grad(expected.square().sum(), list(module.parameters()))
    monkeypatch.setattr(integral_transform, "_PAIRS", 50)
    found = module(f, points, weights=weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for a, b in zip(torch.autograd.grad(found.square().sum(), list(module.parameters())), gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_derivatives(kind: str) -> None:
    f, points, weights = (part.requires_grad_() for part in case(num=6, batch=1))
    module = layer(kind, cutoff="bump", radius=0.7)
    pairs = radius_neighbours(points, radius=0.7)

    def integrate(f: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return module(f, points, weights=weights, neighbours=pairs)

    assert torch.autograd.gradcheck(integrate, (f, points, weights))
    assert torch.autograd.gradgradcheck(integrate, (f, points, weights))


def test_geometries_of_a_batch_are_integrated_one_by_one() -> None:
    module = layer("nonlinear", cutoff="cosine")
    cases = [case(num, batch=1, seed=num) for num in (12, 5, 20)]
    queries = [case(num, seed=num)[1] for num in (4, 9, 1)]
    ptr, query_ptr = (torch.tensor([0, *n]).cumsum(0) for n in ((12, 5, 20), (4, 9, 1)))
    together = module(
        torch.cat([f[0].t() for f, _, _ in cases]),
        torch.cat([p for _, p, _ in cases]),
        torch.cat(queries),
        torch.cat([w for _, _, w in cases]),
        ptr=ptr,
        query_ptr=query_ptr,
    )
    alone = [module(f[0].t(), p, q, w) for (f, p, w), q in zip(cases, queries, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_split_in_two_and_points_without_weight_change_nothing(kind: str) -> None:
    f, points, weights = case()
    module, queries = layer(kind), case(30, seed=1)[1]
    split = torch.cat([torch.arange(40), torch.tensor([7, 3])])
    halves = weights[split].clone()
    halves[[7, 40]] = weights[7] / 2
    halves[41] = 0.0
    given = None if kind == "linear-kernel" else f
    again = None if given is None else given[:, :, split]
    expected = module(given, points, queries, weights)
    torch.testing.assert_close(module(again, points[split], queries, halves), expected, rtol=0, atol=1e-14)


def test_the_order_of_points_does_not_matter_and_weights_scale_the_result() -> None:
    f, points, weights = case()
    module, order = layer("nonlinear"), torch.randperm(40)
    found = module(f, points, weights=weights)
    torch.testing.assert_close(
        module(f[..., order], points[order], weights=weights[order]), found[..., order], rtol=0, atol=1e-13
    )
    torch.testing.assert_close(module(f, points, weights=3 * weights), 3 * found, rtol=1e-13, atol=0)
    mean = layer("nonlinear", mean=True)
    torch.testing.assert_close(
        mean(f, points, weights=3 * weights), mean(f, points, weights=weights), rtol=0, atol=1e-13
    )


def test_it_converges_as_the_points_are_refined() -> None:
    module, queries = layer("linear", dim=1, channels=1, cutoff="bump", radius=0.3), torch.rand(20, 1).double()

    def integral(n: int) -> Tensor:
        x = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n * 3 - 1
        return module(torch.sin(3 * x).t()[None], x, queries, torch.full((n,), 3 / n, dtype=torch.float64))

    exact = integral(20_000)
    errors = [(integral(n) - exact).abs().max().item() for n in (100, 200, 400)]
    # The rule of midpoints on a function that vanishes smoothly at the ends: better than any power.
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4


def test_a_point_that_leaves_the_ball_does_so_without_a_jump() -> None:
    queries = torch.zeros(1, 1).double()

    def jump(cutoff: str) -> float:
        module = layer("linear-kernel", dim=1, cutoff=cutoff)
        inside, outside = (torch.tensor([[0.1], [0.4 + e]], dtype=torch.float64) for e in (-1e-9, 1e-9))
        weights = torch.ones(2).double()
        return (module(None, inside, queries, weights) - module(None, outside, queries, weights)).abs().max().item()

    assert jump("none") > 1e-2
    assert max(jump(cutoff) for cutoff in CUTOFFS[1:]) < 1e-8


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_it_equals_that_of_neuraloperator_with_weights_per_pair(kind: str) -> None:
    layers = pytest.importorskip("neuralop.layers.integral_transform")
    f, points, weights = case()
    queries = case(30, seed=1)[1]
    module = layer(kind)
    peer = layers.IntegralTransform(
        channel_mlp_layers=list(module.kernel.widths), transform_type=kind, use_torch_scatter=False
    ).double()
    for ours, theirs in zip(module.kernel.layers, peer.channel_mlp.fcs, strict=True):
        theirs.load_state_dict(ours.state_dict())
    pairs = radius_neighbours(points, queries, radius=0.4)
    crs = {"neighbors_index": pairs.index, "neighbors_row_splits": pairs.ptr}
    expected = peer(points, crs, queries, f.transpose(1, 2), weights[pairs.index])
    # Its sums are in single precision whatever the input.
    found = module(f, points, queries, weights).transpose(1, 2)
    torch.testing.assert_close(found, expected.double(), rtol=0, atol=1e-6)


def test_single_precision_follows_the_layer_and_queries_far_away_are_zero() -> None:
    f, points, weights = case()
    module = layer(mean=True).float()
    found = module(f.float(), points, torch.full((2, 2), 9.0), weights)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.zeros(2, 3, 2))


def test_a_discretisation_brings_its_weights() -> None:
    f, points, weights = case()
    module = layer()
    torch.testing.assert_close(module(f, PointCloud(points, weights=weights)), module(f, points, weights=weights))


def test_the_state_survives() -> None:
    first, second = layer(), IntegralTransform(2, 3, 0.4, hidden=(8, 7)).double()
    second.load_state_dict(first.state_dict())
    f, points, weights = case()
    assert torch.equal(first(f, points, weights=weights), second(f, points, weights=weights))
    assert isinstance(first.kernel, nn.Module)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "bilinear"}, "kind is 'bilinear'.*expected one of linear, linear-kernel"),
        ({"cutoff": "gauss"}, "cutoff 'gauss'.*cosine, quartic, bump"),
        ({"radius": -1.0}, "radius -1.0"),
        ({"in_channels": 5}, "in_channels is 5, expected 3"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layer(**options)


def test_inputs_that_do_not_fit() -> None:
    f, points, weights = case()
    module = layer()
    with pytest.raises(ConfigError, match=r"weights are missing.*torch.full\(\(n,\), volume / n\)"):
        module(f, points)
    with pytest.raises(ConfigError, match=r"f has shape \(2, 3, 39\), expected \(batch, 3, 40\) or \(40, 3\)"):
        module(f[..., :39], points, weights=weights)
    with pytest.raises(ConfigError, match=r"points have shape \(40, 1\), expected \(points, 2\)"):
        module(f, points[:, :1], weights=weights)
    with pytest.raises(ConfigError, match=r"neighbours are of 40 queries.*search again"):
        module(f, points, points[:9], weights, neighbours=radius_neighbours(points, radius=0.4))
    with pytest.raises(ConfigError, match="integrates the kernel alone"):
        layer("linear-kernel")(f, points, weights=weights)
