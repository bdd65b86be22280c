"""GINO on point clouds: against the bare model, against sums written out, and what weights and masks must do."""

import pytest
import torch
from torch import nn

from sciml.errors import ConfigError
from sciml.operators.adapters import GINO
from sciml.operators.adapters.point_integral import neighbour_integral, neighbours_within
from sciml.spaces import DataSpec, FieldSpec, RegularGrid

pytest.importorskip("neuralop", reason="the model is that of the package neuraloperator")

SIZES = {"modes": [4, 4, 4], "hidden_channels": 4, "num_layers": 1, "kernel_width": 8, "geometry_channels": 3}


def build(dim=3, **changed):
    torch.manual_seed(0)
    options = {**SIZES, "modes": [4] * dim, "grid_shape": [6] * dim, "radius": 0.3, **changed}
    return GINO(2, 1, **options)


def inputs(dim=3, batch=2, points=30, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 2, *[6] * dim, generator=generator)
    return x, torch.rand(batch, points, dim, generator=generator)


@pytest.mark.parametrize(("dim", "frequencies"), [(2, 0), (2, 4), (3, 4)])
def test_without_weights_values_and_gradients_are_those_of_the_bare_model(dim, frequencies):
    model = build(dim, frequencies=frequencies)
    x, coords = inputs(dim)
    latent = model.latent.reshape(1, *[6] * dim, dim)
    theirs = torch.cat(
        [
            model.gino(place[None], latent, place[None], latent_features=features.movedim(0, -1)[None])
            for features, place in zip(x, coords, strict=True)
        ]
    )[..., 0]
    ours = model(x, coords)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    seed = torch.randn_like(ours)
    parameters = dict(model.named_parameters())
    expected = torch.autograd.grad(theirs, list(parameters.values()), seed)
    found = torch.autograd.grad(ours, list(parameters.values()), seed)
    for name, a, b in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


class Block(nn.Module):
    """What an integral needs of a GNOBlock."""

    def __init__(self, reduction):
        super().__init__()
        self.pos_embedding = None
        self.integral_transform = nn.Module()
        self.integral_transform.channel_mlp = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.integral_transform.reduction = reduction


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_integral_is_the_sum_over_neighbours_written_out(reduction, weighted):
    block = Block(reduction).double()
    sources, queries = torch.rand(15, 2, dtype=torch.float64), torch.rand(9, 2, dtype=torch.float64)
    queries[0] += 5  # sees nothing
    f = torch.randn(15, 3, dtype=torch.float64)
    weight = torch.rand(15, dtype=torch.float64) if weighted else None
    rows = []
    for query in queries:
        near = [j for j in range(15) if (query - sources[j]).norm() <= 0.4]
        w = [weight[j] if weighted else torch.ones((), dtype=torch.float64) for j in near]
        kernel = block.integral_transform.channel_mlp
        terms = [w[i] * kernel(torch.cat([sources[j], query])) * f[j] for i, j in enumerate(near)]
        total = sum(terms, torch.zeros(3, dtype=torch.float64))
        rows.append(total / sum(w) if reduction == "mean" and near else total)
    pairs = neighbours_within(sources, queries, 0.4)
    found = neighbour_integral(block, sources, queries, pairs, f, weight)
    torch.testing.assert_close(found, torch.stack(rows), rtol=1e-10, atol=1e-12)
    assert not found[0].any()


def test_neighbours_are_all_pairs_within_the_radius_also_at_distance_zero():
    points = torch.rand(40, 3)
    pairs = neighbours_within(points, points[:10], 0.35)
    found = torch.zeros(10, 40, dtype=torch.bool)
    found[pairs.query, pairs.source] = True
    assert torch.equal(found, torch.cdist(points[:10].double(), points.double()) <= 0.35)
    assert torch.equal(pairs.counts, found.sum(1))
    assert torch.equal(pairs.reversed().counts, found.sum(0))


def test_splitting_points_into_two_of_half_the_weight_changes_no_mean():
    block = Block("mean").double()
    sources, queries = torch.rand(30, 2, dtype=torch.float64), torch.rand(9, 2, dtype=torch.float64)
    weight = torch.rand(30, dtype=torch.float64)

    def mean(points, w):
        return neighbour_integral(block, points, queries, neighbours_within(points, queries, 0.4), weight=w)

    twice = torch.cat([sources, sources[:15]])
    halves = torch.cat([weight[:15] / 2, weight[15:], weight[:15] / 2])
    expected = mean(sources, weight)
    torch.testing.assert_close(mean(twice, halves), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(mean(sources, 7 * weight), expected, rtol=1e-10, atol=1e-12)
    # Without weights they count twice.
    assert (mean(twice, None) - mean(sources, None)).abs().max() > 1e-4


def test_the_model_passes_the_weights_of_the_points_to_the_first_integral():
    model = build().eval()
    x, coords = inputs()
    weight = torch.rand(2, 30)
    with torch.no_grad():
        # Large kernel weights: at the start the geometry hardly matters.
        model.gino.gno_in.integral_transform.channel_mlp.fcs[-1].weight.mul_(1e3)
        expected = model(x, coords, weight)
        torch.testing.assert_close(model(x, coords, 7 * weight), expected, rtol=1e-4, atol=1e-4)
        assert (model(x, coords) - expected).abs().max() > 1e-3


def test_padded_geometries_of_different_size_equal_each_geometry_alone():
    model = build().eval()
    x, coords = inputs()
    weight = torch.rand(2, 30)
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[1, 20:] = False
    coords[1, 20:] = 0.5  # would be neighbours of much
    y = model(x, coords, weight, mask)
    torch.testing.assert_close(y[1:, :20], model(x[1:], coords[1:, :20], weight[1:, :20]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(y[:1], model(x[:1], coords[:1], weight[:1]), rtol=1e-4, atol=1e-5)
    assert not y[1, 20:].any()


def test_shared_points_and_weights_equal_a_copy_for_each_sample():
    model = build().eval()
    x, coords = inputs()
    weight = torch.rand(30)
    expected = model(x, coords[:1].expand(2, -1, -1), weight.expand(2, -1))
    torch.testing.assert_close(model(x, coords[0], weight), expected)


def test_the_order_of_the_points_does_not_matter():
    model = build().eval()
    x, coords = inputs()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x, coords[:, order]), model(x, coords)[:, order], rtol=1e-4, atol=1e-5)


def test_bounds_take_other_units_than_those_of_the_unit_cube():
    x, coords = inputs()
    plain, scaled = build().eval(), build(bounds=[[-2, 2], [0, 10], [1, 3]]).eval()
    moved = coords * torch.tensor([4.0, 10.0, 2.0]) + torch.tensor([-2.0, 0.0, 1.0])
    torch.testing.assert_close(scaled(x, moved), plain(x, coords), rtol=1e-4, atol=1e-5)


def test_a_dataset_fills_in_channels_and_latent_grid():
    grid = RegularGrid((6, 8), ((0.0, 2.0), (0.0, 1.0)))
    fields = {
        "x": FieldSpec("x", "input", 3, (6, 8), grid=grid),
        "coords": FieldSpec("coords", "coords", 2, (50,)),
        "y": FieldSpec("y", "target", 2, (50,)),
    }
    model = GINO.from_spec(DataSpec(fields), hidden_channels=4, num_layers=1, radius=0.3)
    assert (model.in_channels, model.out_channels, model.grid_shape, model.modes) == (3, 2, [6, 8], [3, 4])
    assert model.bounds == [[0.0, 2.0], [0.0, 1.0]]
    assert model(torch.zeros(2, 3, 6, 8), torch.rand(2, 50, 2)).shape == (2, 2, 50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build(radius=0.05)(*inputs()), r"no point of the latent grid .*take a radius above 0\.173"),
        (lambda: build(grid_shape=[5, 5, 5])(*inputs()), "'latent-sum'"),
        (lambda: build()(inputs()[0], torch.rand(3, 30, 3)), r"expected \(2, points, 3\)"),
        (lambda: build(radius=0.0), "positive fraction"),
        (lambda: build(bounds=[[0, 1], [1, 0], [0, 1]]), "bounds are"),
        (lambda: GINO(1, 1, grid_shape=[8]), "two or three numbers"),
        (lambda: build().double()(*(part.double() for part in inputs())), "'double-precision'"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
