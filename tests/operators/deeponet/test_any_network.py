"""Any module as branch or trunk: images, our Fourier operator as an encoder, a graph network."""

import pytest
import torch
from torch import nn

from sciml.nn import MLP
from sciml.operators import FNO
from sciml.operators.deeponet import DeepONet, MIONet
from sciml.spaces import Function, RegularGrid


def trains(net, *inputs):
    """Whether every parameter gets a gradient."""
    net(*inputs).square().sum().backward()
    return all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_a_convolutional_branch_reads_images():
    branch = nn.Sequential(nn.Conv2d(2, 4, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(100, 16))
    net = DeepONet(branch, [2, 16, 16])
    u, coords = torch.randn(3, 2, 13, 13), torch.rand(7, 2)
    expected = branch(u) @ net.trunk(coords).t() + net.bias
    torch.testing.assert_close(net(u, coords), expected)
    grid = RegularGrid(shape=(13, 13), bounds=((0.0, 1.0), (0.0, 1.0)))
    assert torch.equal(net(Function(u, grid), grid), net(u, grid.points.float()))
    assert trains(net, u, coords)


def test_a_fourier_operator_is_an_encoder_of_any_resolution():
    encoder = nn.Sequential(FNO(1, 8, modes=(6,), hidden_channels=8), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    net = DeepONet(encoder, [1, 8, 8])
    assert trains(net, torch.randn(3, 1, 32), torch.rand(7, 1))
    x = [torch.arange(n) / n for n in (32, 64)]
    coarse, fine = (net(torch.sin(2 * torch.pi * t)[None, None], torch.linspace(0, 1, 7)[:, None]) for t in x)
    torch.testing.assert_close(coarse, fine, rtol=1e-3, atol=1e-4)


class GraphBranch(nn.Module):
    """A graph network with a mean over the nodes of each graph."""

    def __init__(self, channels, features):
        super().__init__()
        conv = pytest.importorskip("torch_geometric.nn")
        self.conv, self.pool = conv.GCNConv(channels, 8), conv.global_mean_pool
        self.last = nn.Linear(8, features)

    def forward(self, data):
        return self.last(self.pool(self.conv(data.x, data.edge_index).tanh(), data.batch))


def graphs(sizes):
    data = pytest.importorskip("torch_geometric.data")
    made = []
    for n in sizes:
        ring = torch.arange(n)
        edges = torch.stack([ring, ring.roll(1)])
        made.append(data.Data(x=torch.randn(n, 2), edge_index=torch.cat([edges, edges.flip(0)], 1)))
    return data.Batch.from_data_list(made)


def test_a_graph_network_reads_functions_on_graphs_of_any_size():
    net = DeepONet(GraphBranch(2, 16), [2, 16, 16])
    batch, coords = graphs([5, 9, 7]), torch.rand(3, 4, 2)
    together = net(batch, coords)
    assert together.shape == (3, 4)
    alone = [net(graphs([5]).__class__.from_data_list([batch[i]]), coords[i]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert net(batch, torch.rand(3, 2), layout="unaligned").shape == (3,)
    assert trains(net, batch, coords)


def test_a_graph_and_numbers_are_two_inputs():
    net = MIONet([GraphBranch(2, 16), [3, 16, 16]], [2, 16, 16])
    assert net((graphs([5, 9]), torch.randn(2, 3)), torch.rand(4, 2)).shape == (2, 4)


def test_any_module_can_be_a_trunk():
    class Waves(nn.Module):
        def forward(self, y):
            return torch.cat([(k * y).sin() for k in range(1, 5)], -1)

    net = DeepONet(MLP(10, 4), Waves())
    u, y = torch.randn(3, 10), torch.rand(7, 1)
    expected = net.branch(u) @ torch.cat([(k * y).sin() for k in range(1, 5)], 1).t() + net.bias
    torch.testing.assert_close(net(u, y), expected)
    with pytest.raises(ValueError, match="the branch gives 5 features and the trunk 4"):
        DeepONet(MLP(10, 5), Waves())(u, y)
