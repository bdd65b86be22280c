"""Weighted normalisation against sums written out, torch's own layers, repeated points and integrals."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn.weighted_batch_norm import WeightedBatchNorm, WeightedInstanceNorm
from sciml.nn.weighted_norm import WeightedGroupNorm, WeightedLayerNorm, weighted_moments

EXACT = {"rtol": 1e-12, "atol": 1e-12}
GRIDS = {1: (7,), 2: (4, 5), 3: (3, 2, 4)}
PLAIN = {
    "batch": (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    "instance": (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
}
WEIGHTED = {"batch": WeightedBatchNorm, "instance": WeightedInstanceNorm}


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def with_random_parameters(layer: nn.Module) -> nn.Module:
    layer = layer.double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def outcome(layer: nn.Module, x: Tensor, *args: Tensor) -> list[Tensor]:
    """Output and all gradients of a call whose loss is not symmetric, then the buffers."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x, *args)
    (y * torch.linspace(0.3, 1, y.numel()).double().view(y.shape)).square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in layer.parameters()), *layer.buffers()]


def same(a: list[Tensor], b: list[Tensor]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def equal_weights(grid: tuple[int, ...]) -> list[Tensor]:
    """All forms of equal weights on a grid, in batches of three."""
    n = int(np.prod(grid))
    return [torch.ones(grid), torch.full((3, *grid), 1 / n).double(), torch.full((n,), 7.0), torch.ones(3, n)]


def test_moments_are_the_sums_written_out() -> None:
    x, weights = randn(2, 3, 5), torch.rand(2, 1, 5).double()
    mean, variance = weighted_moments(x, weights, (0, 2))
    values, w = x.numpy(), weights.numpy()
    for c in range(3):
        pairs = [(w[b, 0, j], values[b, c, j]) for b in range(2) for j in range(5)]
        total = sum(a for a, _ in pairs)
        m = sum(a * f for a, f in pairs) / total
        assert mean[c].item() == pytest.approx(m, rel=1e-12)
        assert variance[c].item() == pytest.approx(sum(a * (f - m) ** 2 for a, f in pairs) / total, rel=1e-12)


def test_moments_without_weights_are_those_of_torch() -> None:
    x = randn(2, 3, 5)
    for weights in (None, torch.full((1, 1, 5), 0.3).double(), torch.ones(1, 1, 1)):
        mean, variance = weighted_moments(x, weights, (0, 2), keepdim=True)
        torch.testing.assert_close(mean, x.mean((0, 2), keepdim=True), **EXACT)
        torch.testing.assert_close(variance, x.var((0, 2), correction=0, keepdim=True), **EXACT)
    mean, variance = weighted_moments(x.bfloat16(), torch.ones(2, 3, 5), -1)
    assert mean.dtype == variance.dtype == torch.float32


@pytest.mark.parametrize("kind", ["batch", "instance"])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"affine": False},
        {"affine": True, "track_running_stats": True},
        {"momentum": None},
        {"track_running_stats": True, "momentum": 0.3, "eps": 1e-2},
        {"track_running_stats": False},
    ],
    ids=str,
)
def test_batch_and_instance_norm_with_equal_weights_are_those_of_torch(kind: str, dim: int, options: dict) -> None:
    x = 2 * randn(3, 4, *GRIDS[dim]) + 3
    for weights in (None, *equal_weights(GRIDS[dim])):
        plain = with_random_parameters(PLAIN[kind][dim - 1](4, **options))
        layer = WEIGHTED[kind](4, **options).double()
        layer.load_state_dict(plain.state_dict())
        args = () if weights is None else (weights,)
        for training in (True, True, True, False):
            plain.train(training), layer.train(training)
            same(outcome(layer, x, *args), outcome(plain, x))
            x = x.roll(1, 0) + 1


def test_batch_norm_without_points_takes_one_weight_per_sample() -> None:
    plain, layer = nn.BatchNorm1d(4).double(), WeightedBatchNorm(4).double()
    x = randn(6, 4)
    same(outcome(layer, x, torch.full((6,), 0.4)), outcome(plain, x))
    counts = torch.tensor([1, 2, 0, 1, 3, 1])
    repeated = WeightedBatchNorm(4).double()(x.repeat_interleave(counts, 0))
    y = WeightedBatchNorm(4).double()(x, counts)
    torch.testing.assert_close(y.repeat_interleave(counts, 0), repeated, **EXACT)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm_with_equal_weights_is_that_of_torch(dim: int, affine: bool) -> None:
    x = 2 * randn(3, 6, *GRIDS[dim]) + 3
    for groups in (1, 2, 6):
        plain = with_random_parameters(nn.GroupNorm(groups, 6, affine=affine))
        layer = WeightedGroupNorm.from_module(plain)
        same(outcome(layer, x), outcome(plain, x))
        for weights in equal_weights(GRIDS[dim]):
            same(outcome(layer, x, weights), outcome(plain, x))


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}], ids=str)
def test_layer_norm_with_equal_weights_is_that_of_torch(options: dict) -> None:
    x = 2 * randn(3, 6, 4, 5) + 3
    for shape in ((6, 4, 5), (4, 5), (5,)):
        plain = with_random_parameters(nn.LayerNorm(shape, **options))
        layer = WeightedLayerNorm.from_module(plain)
        same(outcome(layer, x), outcome(plain, x))
        for weights in equal_weights((4, 5)):
            same(outcome(layer, x, weights), outcome(plain, x))


def test_layer_norm_of_channels_acts_at_each_point_alone() -> None:
    plain = nn.LayerNorm(4).double()
    layer, x = WeightedLayerNorm.from_module(plain), randn(3, 7, 4)
    weights = torch.tensor([0.0, 1, 2, 3, 4, 0, 1])
    assert torch.equal(layer(x, weights, channel_dim=-1), plain(x))


def layers(channels: int, points: int) -> list[nn.Module]:
    made = [
        WeightedGroupNorm(2, channels),
        WeightedInstanceNorm(channels, affine=True),
        WeightedBatchNorm(channels),
        WeightedLayerNorm((channels, points), elementwise_affine=False),
        WeightedLayerNorm(points, elementwise_affine=False),
    ]
    return [with_random_parameters(layer) for layer in made]


@pytest.mark.parametrize("number", range(5))
def test_whole_weights_are_repeated_points(number: int) -> None:
    x, counts = randn(3, 4, 6), torch.tensor([1, 3, 0, 2, 1, 2])
    layer, long = layers(4, 6)[number], layers(4, 9)[number]
    long.load_state_dict(layer.state_dict())
    expected = long(x.repeat_interleave(counts, 2))
    torch.testing.assert_close(layer(x, counts).repeat_interleave(counts, 2), expected, **EXACT)


@pytest.mark.parametrize(("number", "channel_dim"), [(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1), (3, 1), (4, 1)])
def test_points_may_be_split_or_permuted_and_weights_scaled(number: int, channel_dim: int) -> None:
    x, weights = randn(3, 4, 6), torch.rand(3, 6).double() + 0.1
    layer, long = layers(4, 6)[number], layers(4, 7)[number]
    long.load_state_dict(layer.state_dict())

    def apply(layer: nn.Module, x: Tensor, weights: Tensor) -> Tensor:
        return layer(x.movedim(1, channel_dim), weights, channel_dim).movedim(channel_dim, 1)

    y = apply(layer, x, weights)
    twice = torch.tensor([0, 1, 2, 3, 4, 5, 2])
    parts = weights[:, twice] * torch.tensor([1, 1, 0.25, 1, 1, 1, 0.75])
    torch.testing.assert_close(apply(long, x[..., twice], parts), y[..., twice], **EXACT)
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    torch.testing.assert_close(apply(layer, x[..., order], weights[:, order]), y[..., order], **EXACT)
    torch.testing.assert_close(apply(layer, x, 1e5 * weights), y, **EXACT)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("garbage", [1e6, 9.96921e36])
def test_points_of_weight_zero_have_no_influence(number: int, garbage: float) -> None:
    """A common fill value of missing data is among the garbage; its square overflows in float32."""
    layer = layers(4, 6)[number]
    twin = copy.deepcopy(layer)
    x, weights = randn(3, 4, 6), torch.rand(6).double() + 0.1
    weights[4:] = 0
    x[..., 4:] = garbage
    if garbage > 1e30:
        x, weights, layer, twin = x.float(), weights.float(), layer.float(), twin.float()
    x.requires_grad_()
    kept = x.detach()[..., :4].clone().requires_grad_()
    y, expected = layer(x, weights)[..., :4], twin(kept, weights[:4])
    y.square().sum().backward()
    expected.square().sum().backward()
    bounds = EXACT if x.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(y, expected, **bounds)
    torch.testing.assert_close(x.grad[..., :4], kept.grad, **bounds)
    assert torch.equal(x.grad[..., 4:], torch.zeros_like(x.grad[..., 4:]))
    for a, b in zip(layer.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(a, b, **bounds)


def test_masked_batch_norm_tracks_what_torch_tracks_on_the_points_that_count() -> None:
    x, mask = randn(3, 4, 8), torch.tensor([1, 1, 0, 1, 0, 1, 1, 0], dtype=torch.bool)
    layer, plain = WeightedBatchNorm(4, momentum=0.3).double(), nn.BatchNorm1d(4, momentum=0.3).double()
    torch.testing.assert_close(layer(x, mask)[..., mask], plain(x[..., mask]), **EXACT)
    same(list(layer.buffers()), list(plain.buffers()))
    other = WeightedInstanceNorm(4, track_running_stats=True).double()
    twin = nn.InstanceNorm1d(4, track_running_stats=True).double()
    torch.testing.assert_close(other(x, mask)[..., mask], twin(x[..., mask]), **EXACT)
    same(list(other.buffers()), list(twin.buffers()))


def test_the_running_variance_is_unbiased_for_independent_values() -> None:
    """Means over many batches of white noise with variance 4; five standard errors."""
    weights = torch.tensor([4.0, 1.0, 0.5, 2.0, 0.0])
    layer = WeightedBatchNorm(20000, momentum=1.0).double()
    layer(2 * randn(1, 20000, 5), weights)
    found = layer.running_var
    assert abs(found.mean() - 4) <= 5 * found.std() / 20000**0.5
    assert found.std() / 20000**0.5 < 0.05


@given(seed=st.integers(0, 10**6), groups=st.sampled_from([1, 2, 4]), points=st.integers(2, 9))
def test_group_norm_gives_mean_zero_and_variance_one_in_the_weighted_sense(seed: int, groups: int, points: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 4, points, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, points, generator=generator, dtype=torch.float64) + 0.1
    y = WeightedGroupNorm(groups, 4, eps=0.0, affine=False)(x, weights)
    share = (weights / weights.sum(-1, keepdim=True))[:, None, None] / (4 // groups)
    y = y.unflatten(1, (groups, -1))
    torch.testing.assert_close((y * share).sum((2, 3)), torch.zeros(2, groups).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close((y.square() * share).sum((2, 3)), torch.ones(2, groups).double(), rtol=1e-9, atol=0)


def test_order_is_two_with_trapezoid_weights_on_graded_points() -> None:
    layer, errors, unweighted = WeightedInstanceNorm(1, eps=0.0).double(), [], []
    exact = (1 - (np.e - 1)) / np.sqrt((np.e**2 - 1) / 2 - (np.e - 1) ** 2)
    for n in (16, 32, 64, 128, 256):
        x = torch.linspace(0, 1, n + 1).double() ** 2
        steps = x.diff()
        weights = torch.cat([steps[:1] / 2, (steps[1:] + steps[:-1]) / 2, steps[-1:] / 2])
        f = x.exp()[None, None]
        errors.append(abs(float(layer(f, weights)[0, 0, 0]) - exact))
        unweighted.append(abs(float(layer(f)[0, 0, 0]) - exact))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders >= 1.8) & (orders <= 2.2)).all()
    assert unweighted[-1] > 0.1


def test_derivatives_are_right() -> None:
    x, weights = randn(2, 4, 3).requires_grad_(), (torch.rand(2, 3).double() + 0.2).requires_grad_()
    for layer in layers(4, 3):
        assert torch.autograd.gradcheck(layer, (x, weights), nondet_tol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_short_types_stay_close_to_double(dtype: torch.dtype) -> None:
    x, weights = (torch.randn(2, 4, 200) + 3).to(dtype), torch.rand(2, 200)
    bound = 1e-5 if dtype == torch.float32 else 2e-2
    for layer in layers(4, 200)[:4]:
        exact = copy.deepcopy(layer)(x.double(), weights.double())
        y = layer.to(dtype)(x, weights)
        assert y.dtype == dtype
        assert (y.double() - exact).abs().max() <= bound * exact.abs().max()


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_a_sample_without_points_stays_finite_and_leaves_the_others_alone(number: int) -> None:
    layer, x = layers(4, 6)[number], randn(2, 4, 6).requires_grad_()
    weights = torch.tensor([[0.0] * 6, [1.0, 2.0, 1.0, 3.0, 1.0, 1.0]])
    y = layer(x, weights)
    torch.testing.assert_close(y[1:], layer(x[1:], weights[1:]), **EXACT)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()


def test_parameters_are_shared_and_state_is_that_of_torch() -> None:
    pairs = [
        (WeightedGroupNorm, nn.GroupNorm(2, 4)),
        (WeightedLayerNorm, nn.LayerNorm(6)),
        (WeightedBatchNorm, nn.BatchNorm2d(4)),
        (WeightedInstanceNorm, nn.InstanceNorm3d(4, affine=True, track_running_stats=True)),
    ]
    for cls, plain in pairs:
        layer = cls.from_module(plain)
        assert type(layer) is cls
        shared = zip(layer.state_dict(keep_vars=True).items(), plain.state_dict(keep_vars=True).items(), strict=True)
        assert all(a == c and b is d for (a, b), (c, d) in shared)
        twin = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
        x, weights = torch.randn(2, 4, 6), torch.rand(6)
        assert torch.equal(twin(x, weights), layer(x, weights))


def test_wrong_calls_are_refused() -> None:
    x, weights = randn(2, 4, 6), torch.ones(6)
    for layer in layers(4, 6):
        with pytest.raises(ConfigError, match=r"\(5,\), expected one for each of the points, \(6,\), or \(2, 6\)"):
            layer(x, torch.ones(5))
        with pytest.raises(ConfigError, match="not negative"):
            layer(x, torch.tensor([1.0, 1, 1, -1, 1, 1]))
        with pytest.raises(ConfigError, match="finite"):
            layer(x, torch.tensor([1.0, 1, 1, float("nan"), 1, 1]))
    for layer in layers(4, 6)[:3]:
        with pytest.raises(ConfigError, match="Is channel_dim right"):
            layer(x.mT, torch.ones(4))
    with pytest.raises(ConfigError, match="as its last axes"):
        WeightedLayerNorm(5)(x, weights)
    with pytest.raises(ConfigError, match="does not broadcast"):
        weighted_moments(x, weights, 2)
    one = torch.tensor([0.0, 0, 3, 0, 0, 0])
    with pytest.raises(ConfigError, match=r"fewer than two values.*eval\(\)"):
        WeightedBatchNorm(4).double()(x[:1], one)
    with pytest.raises(ConfigError, match="fewer than two values"):
        WeightedInstanceNorm(4, track_running_stats=True).double()(x, one)
    with pytest.raises(TypeError, match="module is a SyncBatchNorm"):
        WeightedBatchNorm.from_module(nn.SyncBatchNorm(4))
    with pytest.raises(TypeError, match="module is a BatchNorm1d"):
        WeightedInstanceNorm.from_module(nn.BatchNorm1d(4))
