"""Query points shared, one per row, and ragged; functions and discretisations as input; shapes that are refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sciml.nn import MLP
from sciml.operators.deeponet import DeepONet, QuadratureBranch, deeponet
from sciml.spaces import Function, FunctionBatch, PointCloud, RegularGrid

GRID = RegularGrid(shape=(10,), bounds=((0.0, 1.0),))


def network(out_channels=1, **options):
    net = DeepONet([10, 8], [2, 8], out_channels=out_channels, num_basis=5, **options)
    nn.init.normal_(net.bias)
    return net


@given(st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 2]))
def test_all_layouts_give_the_same_numbers(batch, points, channels):
    net = network(channels)
    u, coords = torch.randn(batch, 10), torch.rand(points, 2)
    aligned = net(u, coords)
    ragged = net(u, coords.expand(batch, -1, -1))
    function = torch.arange(batch).repeat_interleave(points)
    rows = net(u[function], coords.repeat(batch, 1), layout="unaligned")
    torch.testing.assert_close(ragged, aligned, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        rows.reshape(batch, points, -1).squeeze(-1), aligned if channels == 1 else aligned.mT, rtol=1e-5, atol=1e-6
    )


def test_rows_may_name_their_function_so_that_the_branch_runs_once_for_each():
    net, calls = network(), []
    net.branch.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    u, coords, function = torch.randn(3, 10), torch.rand(8, 2), torch.tensor([0, 0, 2, 1, 1, 1, 2, 0])
    values = net(u, coords, layout="unaligned", function=function)
    assert calls == [3]
    torch.testing.assert_close(values, net(u[function], coords, layout="unaligned"), rtol=1e-5, atol=1e-6)


def test_one_point_per_row_is_never_guessed():
    # As many points as functions: without a layout they are points for all functions.
    net, u, coords = network(), torch.randn(4, 10), torch.rand(4, 2)
    assert net(u, coords).shape == (4, 4)
    assert net(u, coords, layout="unaligned").shape == (4,)
    torch.testing.assert_close(net(u, coords, layout="unaligned"), net(u, coords).diagonal(), rtol=1e-5, atol=1e-6)


def test_the_layout_may_be_part_of_the_model():
    net = deeponet(sensors=10, dim=2, modes=5, branch=[8], trunk=[8], layout="unaligned")
    u, coords = torch.randn(4, 10), torch.rand(4, 2)
    assert net(u, coords).shape == (4,)
    assert net(u, coords, layout="aligned").shape == (4, 4)


@pytest.mark.parametrize("channels", [1, 2])
def test_padding_has_no_influence_and_comes_out_as_zero(channels):
    net, u, coords = network(channels), torch.randn(3, 10), torch.rand(3, 6, 2)
    mask = torch.arange(6) < torch.tensor([2, 6, 4])[:, None]
    padded = torch.where(mask[..., None], coords, torch.nan)
    values = net(u, padded, mask=mask)
    expected = net(u, coords) * (mask if channels == 1 else mask[:, None])
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-6)
    values.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_functions_and_discretisations_are_taken_as_they_are():
    net = DeepONet([20, 8], [1, 8], num_basis=5)
    values = torch.randn(4, 2, 10)
    points = RegularGrid(shape=(7,), bounds=((0.0, 1.0),))
    expected = net(values, points.points.float())
    assert torch.equal(net(Function(values, GRID), points), expected)
    assert torch.equal(net(FunctionBatch.shared(values, GRID), Function(torch.zeros(1, 7), points)), expected)
    assert torch.equal(net(Function(values[0], GRID), points), net(values[:1], points.points.float()))


def test_functions_bring_their_sensors_and_weights_to_a_sensor_free_branch():
    net = DeepONet(QuadratureBranch(5, channels=2), [1, 8], num_basis=5)
    values, points = torch.randn(4, 2, 10), torch.rand(7, 1)
    expected = net(values, points, sensors=GRID.points.float(), sensor_weights=GRID.weights.float())
    assert torch.equal(net(Function(values, GRID), points), expected)


def test_functions_on_points_of_their_own_are_padded_for_a_sensor_free_branch():
    net = DeepONet(QuadratureBranch(5), [1, 8], num_basis=5)
    clouds = [PointCloud(torch.rand(n, 1), weights=torch.rand(n)) for n in (5, 9)]
    functions = [Function(torch.randn(1, cloud.num_points), cloud) for cloud in clouds]
    points = torch.rand(7, 1)
    together = net(FunctionBatch.ragged(functions), points)
    alone = torch.cat([net(f, points) for f in functions])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_ragged_query_points_come_as_a_batch_of_functions():
    net = network()
    queries = [PointCloud(torch.rand(n, 2), weights=torch.ones(n)) for n in (3, 6)]
    targets = FunctionBatch.ragged([Function(torch.zeros(1, cloud.num_points), cloud) for cloud in queries])
    u = torch.randn(2, 10)
    values = net(u, targets)
    assert values.shape == (2, 6)
    torch.testing.assert_close(values[1:], net(u[1:], queries[1]), rtol=1e-5, atol=1e-6)
    assert not values[0, 3:].any()


@pytest.mark.parametrize(
    ("coords", "options", "message"),
    [
        ((7, 2), {"layout": "unaligned"}, r"coords has shape \(7, 2\), but layout='unaligned' takes \(4, dim\)"),
        ((7, 2), {"layout": "ragged"}, r"layout='ragged' takes \(4, points, dim\) with 4 rows of u"),
        ((4, 7, 2), {"layout": "aligned"}, r"layout='aligned' takes \(points, dim\).*'ragged'"),
        ((5, 7, 2), {}, r"coords has shape \(5, 7, 2\), expected \(points, dim\).*or \(4, points, dim\)"),
        ((2,), {}, r"One point per function is layout='unaligned' and \(4, dim\)"),
        ((7, 2), {"layout": "triplet"}, "layout is 'triplet', expected aligned, unaligned, ragged or None"),
        ((7, 3), {}, r"last dimension 3, but this trunk takes 2; its shape is \(7, 3\)"),
        ((7, 2), {"mask": torch.ones(4, 7, dtype=torch.bool)}, r"mask has shape \(4, 7\).*with ragged coords"),
        ((4, 7, 2), {"mask": torch.ones(4, 7)}, r"type torch.float32.*expected booleans \(batch, points\)"),
        ((7, 2), {"function": torch.tensor([0, 1])}, "query point: layout='unaligned', not aligned"),
        (
            (7, 2),
            {"sensors": torch.rand(10, 1)},
            r"but the branch \(MLP\) reads fixed sensors.*QuadratureBranch, SetBranch",
        ),
    ],
)
def test_query_points_that_do_not_fit_are_refused(coords, options, message):
    with pytest.raises(ValueError, match=message):
        network()(torch.zeros(4, 10), torch.rand(*coords), **options)


def test_inputs_that_do_not_fit_are_refused():
    net, points = network(), torch.rand(7, 2)
    with pytest.raises(
        ValueError,
        match=r"u has 12 sensor values per function \(shape \(4, 12\)\), but this branch takes 10.*Quadrature",
    ):
        net(torch.zeros(4, 12), points)
    with pytest.raises(TypeError, match=r"coords is a list, expected a tensor \(points, dim\), a discretisation"):
        net(torch.zeros(4, 10), [[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"values of shape \(2, 4, 1, 10\), expected \(batch, channels, \*grid\)"):
        net(Function(torch.zeros(2, 4, 1, 10), GRID), points)
    cloud = FunctionBatch.padded(torch.zeros(2, 1, 3), torch.rand(2, 3, 1), torch.ones(2, 3), torch.ones(2, 3).bool())
    with pytest.raises(
        ValueError, match="have sensors of their own, and this branch reads fixed ones: take Quadrature"
    ):
        net(cloud, points)
    with pytest.raises(ValueError, match=r"the branch gives \(4, 3, 10\), expected \(batch, features\): end it with"):
        DeepONet(nn.Conv1d(1, 3, 3, padding=1), MLP(2, 3))(torch.zeros(4, 1, 10), points)
    with pytest.raises(ValueError, match="layout is 'cartesian', expected"):
        DeepONet([10, 5], [2, 5], layout="cartesian")
