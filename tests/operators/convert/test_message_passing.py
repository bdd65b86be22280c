"""Graph networks of PyG as operators: the same at the reference, integrals over neighbourhoods elsewhere."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import (
    GATConv,
    GATv2Conv,
    GCNConv,
    GINConv,
    GINEConv,
    GraphConv,
    MeanAggregation,
    NNConv,
    SAGEConv,
    SumAggregation,
    TransformerConv,
    global_add_pool,
    global_mean_pool,
)
from torch_geometric.nn.models import GCN, GIN

from sciml.errors import ConversionError
from sciml.nn import radius_neighbours
from sciml.operators.convert import conversion_report, to_operator

WIDTH, NODES = 6, 40


def mlp(*widths: int) -> nn.Module:
    return nn.Sequential(nn.Linear(widths[0], widths[1]), nn.Tanh(), nn.Linear(widths[1], widths[2]))


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "gcn": lambda: GCNConv(3, WIDTH),
    "gcn improved": lambda: GCNConv(3, WIDTH, improved=True),
    "gcn without loops": lambda: GCNConv(3, WIDTH, add_self_loops=False),
    "gcn not normalised": lambda: GCNConv(3, WIDTH, normalize=False),
    "sage mean": lambda: SAGEConv(3, WIDTH),
    "sage sum": lambda: SAGEConv(3, WIDTH, aggr="sum"),
    "sage max": lambda: SAGEConv(3, WIDTH, aggr="max"),
    "gin": lambda: GINConv(mlp(3, 8, WIDTH), train_eps=True),
    "gine": lambda: GINEConv(mlp(3, 8, WIDTH), edge_dim=2),
    "gat": lambda: GATConv(3, WIDTH // 2, heads=2, dropout=0.3),
    "gat with edges": lambda: GATConv(3, WIDTH, edge_dim=2),
    "gatv2": lambda: GATv2Conv(3, WIDTH // 2, heads=2, dropout=0.3),
    "gatv2 with edges": lambda: GATv2Conv(3, WIDTH, edge_dim=2, add_self_loops=False),
    "nn sum": lambda: NNConv(3, WIDTH, mlp(2, 5, 3 * WIDTH), aggr="add"),
    "nn mean": lambda: NNConv(3, WIDTH, mlp(2, 5, 3 * WIDTH), aggr="mean"),
    "graph": lambda: GraphConv(3, WIDTH),
}
EDGES = {"gine", "gat with edges", "gatv2 with edges", "nn sum", "nn mean"}
# Whether points of the same place see each other as they see themselves.
LOOPS = {"gcn", "gat", "gatv2"}


def cloud(num: int = NODES, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features and places of nodes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, 3, generator=generator, dtype=torch.float64)
    return x, torch.rand(num, 2, generator=generator, dtype=torch.float64)


def arguments(name: str, x: Tensor, places: Tensor, radius: float = 0.35) -> tuple[Tensor, ...]:
    """Features, edges within the radius without loops, and the differences of places where the layer reads them."""
    edges = radius_neighbours(places, radius=radius).edge_index
    edges = edges[:, edges[0] != edges[1]]
    return (x, edges, places[edges[0]] - places[edges[1]]) if name in EDGES else (x, edges)


def converted(name: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    network = CONVOLUTIONS[name]().double()
    return network, to_operator(network, NODES, example=arguments(name, *cloud()))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_it_is_the_same_at_the_reference(name: str, weighted: bool, training: bool) -> None:
    network, operator = converted(name)
    network.train(training)
    operator.train(training)
    given = arguments(name, *cloud(seed=1))
    results = []
    for module, options in ((network, {}), (operator, {"weights": torch.full((NODES,), 0.3)} if weighted else {})):
        torch.manual_seed(3)
        output = module(*given, **options)
        results.append((output, *torch.autograd.grad(output.square().sum(), list(network.parameters()))))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-12)
    ours, theirs = dict(operator.network.named_parameters()), dict(network.named_parameters())
    assert {k: v.data_ptr() for k, v in ours.items()} == {k: v.data_ptr() for k, v in theirs.items()}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_point_split_in_two_leaves_the_others_as_they_were(name: str) -> None:
    operator = converted(name)[1].eval()
    x, places = cloud()
    weights = torch.rand(NODES, dtype=torch.float64) + 0.1
    expected = operator(*arguments(name, x, places), weights=weights)
    split = torch.cat([torch.arange(NODES), torch.tensor([7])])
    halves = weights[split]
    halves[[7, NODES]] /= 2
    found = operator(*arguments(name, x[split], places[split]), weights=halves)
    others = [i for i in range(NODES) if i != 7]
    # Both halves have the node's degree only where it counts itself.
    others = others if name in LOOPS or "gcn" not in name or "normalised" in name else _not_near(places, 7)
    torch.testing.assert_close(found[others], expected[others], rtol=0, atol=1e-12)
    if name in LOOPS:
        torch.testing.assert_close(found[[7, NODES]], expected[[7, 7]], rtol=0, atol=1e-12)


def _not_near(places: Tensor, node: int) -> list[int]:
    return ((places - places[node]).norm(dim=1) > 0.35).nonzero().flatten().tolist()


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_order_does_not_matter_and_points_without_weight_do_not_count(name: str) -> None:
    operator = converted(name)[1].eval()
    x, places = cloud()
    weights = torch.rand(NODES, dtype=torch.float64) + 0.1
    expected = operator(*arguments(name, x, places), weights=weights)
    order = torch.randperm(NODES)
    moved = operator(*arguments(name, x[order], places[order]), weights=weights[order])
    torch.testing.assert_close(moved, expected[order], rtol=0, atol=1e-12)
    scaled = operator(*arguments(name, x, places), weights=9 * weights)
    torch.testing.assert_close(scaled, expected, rtol=0, atol=1e-12)
    far, near = torch.full((2, 3), 1e6, dtype=torch.float64), places[[3, 5]] + 0.01
    masked = operator(
        *arguments(name, torch.cat([x, far]), torch.cat([places, near])), weights=torch.cat([weights, torch.zeros(2)])
    )
    torch.testing.assert_close(masked[:NODES], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONS if "max" not in name])
def test_it_converges_as_the_points_are_refined(name: str) -> None:
    operator = converted(name)[1].eval()

    def output(n: int) -> Tensor:
        axis = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        places = torch.cartesian_prod(axis, axis)
        x = torch.stack([torch.sin(3 * places[:, 0]), places.prod(1), torch.cos(2 * places[:, 1])], 1)
        values = operator(*arguments(name, x, places), weights=torch.ones(n * n, dtype=torch.float64))
        # Odd refinement: the centres of the coarse cells stay.
        step = n // 6
        return values.view(n, n, -1)[step // 2 :: step, step // 2 :: step]

    finest = output(54)
    errors = [((output(n) - finest).norm() / finest.norm()).item() for n in (6, 18)]
    assert errors[1] < 0.5 * errors[0]


class Stack(nn.Module):
    """Three convolutions with norms between them, and a mean of the nodes, as anyone would write them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = GCNConv(3, 8)
        self.second = GINConv(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8)))
        self.norm = nn.BatchNorm1d(8)
        self.third = GATv2Conv(8, 4, heads=2)
        self.readout = MeanAggregation()
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        x = torch.relu(self.first(x, edge_index))
        x = torch.relu(self.norm(self.second(x, edge_index)))
        x = self.third(x, edge_index)
        return self.head(self.readout(x, torch.zeros(len(x), dtype=torch.long) if batch is None else batch))


@pytest.mark.parametrize("training", [False, True])
def test_a_whole_network_is_the_same_at_the_reference(training: bool) -> None:
    network = Stack().double()
    given = arguments("gcn", *cloud())
    operator = to_operator(network, Data(x=given[0], edge_index=given[1]))
    network.train(training)
    operator.train(training)
    results = []
    for module, options in ((network, {}), (operator, {}), (operator, {"weights": torch.full((NODES,), 2.0)})):
        output = module(*given, **options)
        results.append((output, *torch.autograd.grad(output.square().sum(), list(network.parameters()))))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    assert "message passing" in str(conversion_report(operator))


def test_graphs_of_a_batch_are_weighted_one_by_one() -> None:
    network = Stack().double()
    operator = to_operator(network, NODES, example=arguments("gcn", *cloud())).eval()
    cases = [arguments("gcn", *cloud(num, seed)) for seed, num in enumerate((40, 25, 60))]
    weights = [torch.rand(len(x), dtype=torch.float64) + 0.1 for x, _ in cases]
    batch = Batch.from_data_list([Data(x=x, edge_index=edges) for x, edges in cases])
    together = operator(batch.x, batch.edge_index, batch=batch.batch, weights=torch.cat(weights))
    alone = [operator(*case, weights=weight) for case, weight in zip(cases, weights, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", [GCN, GIN])
def test_models_of_pyg(model: Any) -> None:
    network = model(3, 8, num_layers=2, out_channels=1, norm="batch").double().eval()
    given = arguments("gcn", *cloud())
    operator = to_operator(network, NODES, example=given).eval()
    torch.testing.assert_close(operator(*given), network(*given), rtol=0, atol=1e-12)
    weighted = operator(*given, weights=torch.ones(NODES))
    torch.testing.assert_close(weighted, network(*given), rtol=0, atol=1e-12)


def test_sums_over_nodes_are_integrals() -> None:
    operator = to_operator(SumAggregation(), NODES, example=(cloud()[0], torch.zeros(NODES, dtype=torch.long)))
    x, weights = cloud(60)[0], torch.rand(60, dtype=torch.float64)
    found = operator(x, torch.zeros(60, dtype=torch.long), weights=weights)
    torch.testing.assert_close(found[0], NODES * (weights[:, None] * x).sum(0) / weights.sum())


def test_what_cannot_be_converted_says_so() -> None:
    given = arguments("gcn", *cloud())
    with pytest.raises(ConversionError, match=r"is a TransformerConv, for which there is no rule"):
        to_operator(nn.ModuleDict({"conv": TransformerConv(3, 4)})["conv"].double(), NODES, example=given)
    with pytest.raises(ConversionError, match=r"weights are missing: the input has 30 points, the reference 40"):
        converted("gcn")[1](*arguments("gcn", *cloud(30)))
    median = to_operator(SAGEConv(3, 4, aggr="median").double(), NODES, example=given)
    with pytest.raises(ConversionError, match=r"aggregates by MedianAggregation.*take sum, mean or max"):
        median(*given, weights=torch.ones(NODES))
    sparse = torch.eye(NODES, dtype=torch.float64).to_sparse_csr()
    with pytest.raises(ConversionError, match=r"receives a sparse matrix"):
        converted("gcn")[1](given[0], sparse, weights=torch.ones(NODES))


@pytest.mark.parametrize("pool", [global_mean_pool, global_add_pool, lambda x, batch: x.mean(0, keepdim=True)])
def test_sums_over_nodes_that_count_them_are_refused(pool: Any) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = GCNConv(3, 4)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return pool(self.conv(x, edge_index), torch.zeros(len(x), dtype=torch.long))

    with pytest.raises(ConversionError, match=r"(scatter_add_|mean)\(\) in its forward, which depends on the lattice"):
        to_operator(Pooled().double(), NODES, example=arguments("gcn", *cloud()))
