"""POD modes against scikit-learn and the theory of the singular value decomposition; the model on top of them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from sciml.data import Split
from sciml.nn import MLP
from sciml.operators.deeponet import PODDeepONet, PODModes, hard_dirichlet, pod_deeponet
from sciml.spaces import RegularGrid

GRID = RegularGrid(shape=(30,), bounds=((0.0, 2.0),))
X = GRID.points


def functions(rank=6, num=20, channels=None):
    """Random functions of this rank around a mean, with singular values that fall."""
    powers = torch.stack([torch.sin((k + 1) * X[:, 0]) * 0.5**k for k in range(rank)])
    if channels is None:
        return torch.randn(num, rank, dtype=torch.float64) @ powers + X[:, 0].cos()
    return torch.stack([functions(rank, num) for _ in range(channels)], 1)


class Exact(nn.Module):
    """The projection of the targets on the modes, in the place of a branch."""

    def __init__(self, modes):
        super().__init__()
        self.modes = [modes]

    def forward(self, target):
        modes = self.modes[0]
        centred = (target - modes.mean.squeeze(-1)) * modes.weights
        return centred @ modes.modes


@pytest.mark.parametrize("weights", [None, GRID.weights, torch.rand(30, dtype=torch.float64) + 0.1])
def test_all_modes_reproduce_the_targets(weights):
    targets = functions()
    modes = PODModes.from_data(targets, X, modes=6, weights=weights).double()
    modes.fit(targets, X, weights)
    net = PODDeepONet(Exact(modes), modes)
    error = (net(targets) - targets).norm() / targets.norm()
    assert error < 1e-10


@pytest.mark.parametrize("weights", [None, GRID.weights])
def test_modes_are_orthonormal_in_the_weighted_inner_product(weights):
    modes = PODModes(30, 6).double()
    modes.fit(functions(), X, weights)
    gram = modes.modes.t() @ (modes.weights[:, None] * modes.modes)
    torch.testing.assert_close(gram, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-10)


def test_equal_weights_give_principal_components():
    decomposition = pytest.importorskip("sklearn.decomposition")
    targets = functions()
    modes = PODModes(30, 5).double()
    modes.fit(targets, X)
    pca = decomposition.PCA(5, svd_solver="full").fit(targets.numpy())
    ours, theirs = modes.modes.t().numpy(), pca.components_
    signs = np.sign((ours * theirs).sum(1, keepdims=True))
    np.testing.assert_allclose(ours, signs * theirs, rtol=0, atol=1e-8)
    np.testing.assert_allclose(modes.singular_values.numpy(), pca.singular_values_, rtol=1e-10)
    np.testing.assert_allclose(modes.mean[:, 0].numpy(), pca.mean_, rtol=1e-10)


def test_the_projection_error_is_the_tail_of_the_singular_values():
    targets = functions()
    singular = torch.linalg.svdvals((targets - targets.mean(0)) * GRID.weights.sqrt())
    for p in (1, 3, 5):
        modes = PODModes(30, p).double()
        modes.fit(targets, GRID)
        net = PODDeepONet(Exact(modes), modes)
        difference, centred = (net(targets) - targets) * GRID.weights.sqrt(), targets - targets.mean(0)
        error = difference.norm() / (centred * GRID.weights.sqrt()).norm()
        floor = (singular[p:].square().sum() / singular.square().sum()).sqrt()
        assert error.item() == pytest.approx(floor.item(), rel=1e-8)


def test_the_number_of_modes_follows_from_the_variance():
    targets = functions()
    energy = torch.linalg.svdvals(targets - targets.mean(0)).square().cumsum(0)
    energy = energy / energy[-1]
    for fraction in (0.5, 0.9, 0.999, 1.0):
        expected = min(int((energy < fraction - 1e-12).sum()) + 1, 6)
        assert PODModes.from_data(targets, X, modes=fraction).num_modes == expected


def test_the_authors_scale_modes_and_divide_the_sum():
    targets = functions()
    plain, scaled = (PODModes.from_data(targets, X, 4, authors_scaling=flag) for flag in (False, True))
    torch.testing.assert_close(scaled.modes, plain.modes * 30**0.5 / 4, rtol=1e-5, atol=1e-6)


def test_a_trunk_joins_the_modes_with_a_bias():
    modes = PODModes.from_data(functions(), X, 4)
    net = PODDeepONet([10, 8], modes, trunk=[1, 6, 3]).double()
    modes.fit(functions(), X)
    nn.init.normal_(net.bias)
    u = torch.randn(5, 10, dtype=torch.float64)
    both = torch.cat([modes.modes, net.trunk(X)], 1)
    expected = net.branch(u) @ both.t() + modes.mean[:, 0] + net.bias
    torch.testing.assert_close(net(u), expected, rtol=1e-10, atol=1e-12)
    assert net.branch.out_features == 7


def test_channels_share_the_coefficients_of_modes_with_channels():
    targets = functions(channels=2)
    modes = PODModes(30, 3, channels=2).double()
    modes.fit(targets, GRID)
    flat = modes.modes.unflatten(1, (2, 3))
    gram = torch.einsum("n,ncp,ncq->pq", GRID.weights, flat, flat)
    torch.testing.assert_close(gram, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-10)
    net = PODDeepONet([10, 8], modes, trunk=[1, 6, 4]).double()
    nn.init.normal_(net.bias)
    u, own = torch.randn(5, 10, dtype=torch.float64), X.expand(5, -1, -1)
    basis = torch.cat([flat, net.trunk(X).unflatten(1, (2, 2))], 2)
    expected = torch.einsum("bp,ncp->bcn", net.branch(u), basis) + modes.mean.t() + net.bias[:, None]
    torch.testing.assert_close(net(u), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(net(u, own), expected, rtol=1e-10, atol=1e-12)
    rows = net(u, X[:5], layout="unaligned")
    torch.testing.assert_close(rows, expected[torch.arange(5), :, torch.arange(5)], rtol=1e-10, atol=1e-12)


def test_modes_are_interpolated_to_other_points():
    modes = PODModes(30, 3).double()
    modes.fit(functions(), X)
    new = torch.rand(11, 1, dtype=torch.float64) * 2
    mean, basis = modes.at(new)
    for ours, known in ((mean, modes.mean), (basis, modes.modes)):
        expected = [np.interp(new[:, 0], X[:, 0], column) for column in known.t().numpy()]
        np.testing.assert_allclose(ours.t().numpy(), expected, rtol=1e-10, atol=1e-12)
    order = torch.randperm(30)
    assert torch.equal(modes.at(X[order])[1], modes.modes[order])


@pytest.mark.parametrize("layout", ["grid", "scattered"])
def test_interpolation_in_the_plane_is_exact_for_linear_functions(layout):
    if layout == "grid":
        points = RegularGrid(shape=(4, 5), bounds=((0.0, 1.0), (0.0, 2.0))).points
    else:
        corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
        points = torch.cat([corners, torch.rand(16, 2, dtype=torch.float64) * torch.tensor([1.0, 2.0])])
    planes = torch.randn(8, 3, dtype=torch.float64) @ torch.cat([torch.ones(20, 1), points], 1).double().t()
    modes = PODModes(20, 3, dim=2).double()
    modes.fit(planes, points)
    net = PODDeepONet(Exact(modes), modes)
    new = torch.rand(9, 2, dtype=torch.float64) * torch.tensor([1.0, 2.0])
    fit = torch.linalg.lstsq(torch.cat([torch.ones(20, 1), points], 1).double(), planes.t()).solution
    expected = (torch.cat([torch.ones(9, 1), new], 1).double() @ fit).t()
    torch.testing.assert_close(net(planes, new), expected, rtol=1e-8, atol=1e-8)


def test_beyond_scattered_points_the_modes_are_those_of_the_nearest():
    points = torch.rand(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    modes = PODModes.from_data(functions(), points, modes=3)
    far = torch.tensor([[2.0, 0.5], [-1.0, -1.0]], dtype=torch.float64)
    nearest = torch.cdist(far, points).argmin(1)
    mean, basis = modes.at(far)
    torch.testing.assert_close(mean, modes.mean[nearest])
    torch.testing.assert_close(basis, modes.modes[nearest])


def test_an_axis_with_one_point_is_constant_along_it():
    line, targets = torch.cat([X, torch.full_like(X, 0.5)], 1), functions()
    flat, plain = (PODModes.from_data(targets, points, modes=3) for points in (line, X))
    new = torch.tensor([[0.3, 0.5], [1.7, 0.9]], dtype=torch.float64)
    torch.testing.assert_close(flat.at(new)[1], plain.at(new[:, :1])[1])


def test_modes_move_with_the_model_and_are_in_its_state():
    net = PODDeepONet.from_data(functions(), GRID, branch=[10, 8], modes=4)
    assert {"modes.modes", "modes.mean", "modes.points"} <= net.state_dict().keys()
    assert not any(name.startswith("modes") for name, _ in net.named_parameters())
    u = torch.randn(3, 10)
    empty = PODDeepONet([10, 8], PODModes(30, 4))
    empty.load_state_dict(net.state_dict())
    for copied in (empty, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(copied(u), net(u))
    assert net.double().modes.modes.dtype == torch.float64
    assert net(u.double()).dtype == torch.float64
    assert net.to("meta").modes.modes.device.type == "meta"


def test_pod_deeponet_exports():
    net = PODDeepONet.from_data(functions(), GRID, branch=[10, 8], modes=4)
    u, coords = torch.randn(3, 10), X.float()
    for inputs in ((u,), (u, coords), (u, torch.rand(5, 1))):
        program = torch.export.export(net, inputs)
        torch.testing.assert_close(program.module()(*inputs), net(*inputs), rtol=1e-4, atol=1e-5)


def test_boundary_conditions_hold_for_pod_too():
    wall = hard_dirichlet(lambda y: y[..., 0] * (2 - y[..., 0]))
    net = PODDeepONet.from_data(functions(), GRID, branch=[10, 8], modes=4, output_transform=wall)
    plain = PODDeepONet(net.branch, net.modes)
    u, x = torch.randn(3, 10), X[:, 0].float()
    torch.testing.assert_close(net(u), x * (2 - x) * plain(u))
    assert not net(u)[:, [0, -1]].any()


def test_empty_modes_are_filled_from_a_training_split():
    targets = functions()
    split = Split({"u": torch.randn(20, 10), "y": targets.float()}, grids={"y": GRID})
    net = pod_deeponet(sensors=10, points=30, modes=4, branch=[8])
    with pytest.raises(
        ValueError, match=r"the POD modes are empty: give the targets of the training split to from_data"
    ):
        net(torch.zeros(2, 10))
    net.fit_data(split)
    expected = PODModes.from_data(targets.float(), GRID, 4)
    torch.testing.assert_close(net.modes.modes, expected.modes)
    net.fit_data({"y": targets * 0, "coords": X})
    torch.testing.assert_close(net.modes.modes, expected.modes)


def test_the_branch_may_be_made_for_the_number_of_modes():
    net = PODDeepONet.from_data(functions(), X, branch=lambda p: MLP(10, p), modes=0.99999999)
    assert net.branch.out_features == net.modes.num_modes == 6


def test_wrong_targets_are_refused():
    targets = functions()
    with pytest.raises(
        ValueError, match=r"targets have shape \(20, 30\), expected \(functions, 29\).*on the same points"
    ):
        PODModes.from_data(targets, X[:29])
    with pytest.raises(ValueError, match=r"expected \(30,\) positive numbers. Points without weight"):
        PODModes.from_data(targets, X, weights=torch.zeros(30))
    with pytest.raises(ValueError, match=r"modes is 8, but the functions span 6 dimensions"):
        PODModes.from_data(targets, X, modes=8)
    with pytest.raises(ValueError, match=r"modes is 1.5, expected an integer or a part of the variance in \(0, 1\]"):
        PODModes.from_data(targets, X, modes=1.5)
    with pytest.raises(ValueError, match=r"the branch gives 5 features and the trunk 4.*the branch must give 4"):
        PODDeepONet(MLP(10, 5), PODModes(30, 4))
    with pytest.raises(
        ValueError, match=r"coords has last dimension 2 \(shape \(7, 2\)\), but the modes live on points"
    ):
        PODModes.from_data(targets, X)(torch.rand(7, 2))
    with pytest.raises(ValueError, match=r"1 channels on points \(30, 1\), the modes were made for 1 on \(29, 1\)"):
        PODModes(29, 3).fit(targets, X)
    with pytest.raises(ValueError, match=r"points=30, modes=0, dim=1, channels=1: expected at least 1"):
        PODModes(30, 0)
    with pytest.raises(ValueError, match="branch is given by widths, but the trunk does not say how many"):
        PODDeepONet([10, 8], PODModes(30, 4), trunk=nn.Flatten())
    with pytest.raises(ValueError, match="targets need their points: give coords"):
        pod_deeponet(10, 30, targets=targets)
    with pytest.raises(ValueError, match=r"coords has shape \(20, 30, 1\): resample them, or take a deeponet"):
        pod_deeponet(10, 30).fit_data({"y": targets, "coords": torch.zeros(20, 30, 1)})
    with pytest.raises(ValueError, match=r"the data hold \['y'\], and no grid of y"):
        pod_deeponet(10, 30).fit_data({"y": targets})
