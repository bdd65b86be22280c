"""A graph network trained on 200 points of the square, used on 100 to 1600: plain, and with the areas of the points.

    s(x) = integral over the unit square of g(x - y) f(y) dy,  g Gaussian of width 0.07, integral 1

f is a random field, known at random points of its own; s is computed on a fine grid. Two NNConv layers of PyG, whose
edges are all pairs within 0.2, loops included, read the difference of the points and sum. The plain network counts all
neighbours alike, so that the sums of each layer grow with their number. Converted, each neighbour counts by the area of
its Voronoi cell (in the square), or all by 1 / n. A third network is trained with the areas. "quadrature" is the sum
with the kernel known.
Gates, for every seed: the error of the converted network does not grow from one size to the next; the plain network's
output at 1600 points has more than 5 times the norm of that at 200.

    python benchmarks/convert/graph_blur.py
"""

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from common import Results, arguments
from scipy.spatial import ConvexHull, Voronoi
from torch import Tensor, nn
from torch_geometric.nn import NNConv

from sciml.nn import radius_neighbours
from sciml.operators.convert import to_operator
from sciml.spaces.random import SpectralGRF

POINTS, TRAIN, TEST, STEPS, BATCH = 200, 400, 25, 1500, 10
RADIUS, WIDTH, GRID = 0.2, 0.07, 80
SIZES = (100, 200, 400, 800, 1600)
# About the deviation of the fields.
SCALE = 0.344


class Network(nn.Module):
    """Two convolutions over the neighbours."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        options = {"aggr": "add", "root_weight": False}
        self.first = NNConv(1, width, self._kernel(width), **options)
        self.second = NNConv(width, 1, self._kernel(width), **options)

    @staticmethod
    def _kernel(outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 32), nn.GELU(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, outputs))

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor | None = None) -> Tensor:
        x = nn.functional.gelu(self.first(x, edge_index, edge_attr))
        return self.second(x, edge_index, edge_attr)


@dataclass
class Clouds:
    """Functions at points of their own, as one graph of many parts."""

    f: Tensor
    s: Tensor
    areas: Tensor
    edges: Tensor
    differences: Tensor
    batch: Tensor
    exact: Tensor

    def select(self, functions: Tensor) -> "Clouds":
        """Some of the functions, which have equally many points."""
        per = int((self.batch == 0).sum())
        nodes = (functions[:, None] * per + torch.arange(per)).flatten()
        place = torch.full((len(self.f),), -1)
        place[nodes] = torch.arange(len(nodes))
        edges = place[self.edges]
        kept = (edges >= 0).all(0)
        batch = torch.arange(len(functions)).repeat_interleave(per)
        parts = [part[nodes] for part in (self.f, self.s, self.areas)]
        return Clouds(*parts, edges[:, kept], self.differences[kept], batch, self.exact[nodes])

    def error(self, answer: Tensor) -> float:
        """Mean relative L2 error by the areas."""
        parts = [
            torch.zeros(int(self.batch.max()) + 1).index_add(0, self.batch, self.areas * values.flatten() ** 2)
            for values in (answer.detach() - self.s, self.s)
        ]
        return float((parts[0] / parts[1]).sqrt().mean())


def areas(points: np.ndarray) -> np.ndarray:
    """Areas of the Voronoi cells within the square: the points' mirror images make its sides edges of the cells."""
    mirrored = [points]
    for axis, end in ((0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)):
        image = points.copy()
        image[:, axis] = 2 * end - image[:, axis]
        mirrored.append(image)
    diagram = Voronoi(np.concatenate(mirrored))
    cells = [diagram.vertices[diagram.regions[diagram.point_region[i]]] for i in range(len(points))]
    return np.array([ConvexHull(cell).volume for cell in cells])


def clouds(num: int, points: int, start: int, seed: int) -> Clouds:
    """Functions ``start`` to ``start + num - 1`` at random points."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(num, points, 2, generator=generator, dtype=torch.float64)
    fields = SpectralGRF(gamma=2.5, tau=5.0, dim=2, modes=6).sample(num, seed=0, start=start)
    axis = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
    fine = torch.cartesian_prod(axis, axis)
    on_fine = fields(fine).reshape(num, -1)
    f, s, exact, weights = [], [], [], []
    for i in range(num):
        own = fields[i : i + 1](places[i]).flatten() / SCALE
        weight = torch.from_numpy(areas(places[i].numpy()))
        f.append(own)
        s.append(_blur(places[i], fine) @ on_fine[i] / SCALE / GRID**2)
        exact.append(_blur(places[i], places[i]) @ (weight * own))
        weights.append(weight)
    ptr = torch.arange(0, num * points + 1, points)
    flat = places.flatten(0, 1)
    edges = radius_neighbours(flat, radius=RADIUS, ptr=ptr, query_ptr=ptr).edge_index
    columns = [torch.cat(part).float()[:, None] for part in (f, s, weights, exact)]
    differences = ((flat[edges[0]] - flat[edges[1]]) / RADIUS).float()
    batch = torch.arange(num).repeat_interleave(points)
    return Clouds(columns[0], columns[1], columns[2].flatten(), edges, differences, batch, columns[3])


def _blur(x: Tensor, y: Tensor) -> Tensor:
    return torch.exp(-torch.cdist(x, y).square() / (2 * WIDTH**2)) / (2 * math.pi * WIDTH**2)


def fit(network: nn.Module, data: Clouds, steps: int, seed: int, weighted: bool) -> None:
    """Adam with one cycle of the learning rate on the squared error."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    for _ in range(steps):
        part = data.select(torch.randperm(TRAIN, generator=generator)[:BATCH])
        loss = (part.areas[:, None] * (run(network, part, part.areas if weighted else None) - part.s) ** 2).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


def run(network: nn.Module, data: Clouds, weights: Tensor | None) -> Tensor:
    """The network's answer; a converted one takes weights."""
    more = {} if weights is None else {"weights": weights, "batch": data.batch}
    return network(data.f, data.edges, data.differences, **more)


def convert(network: nn.Module, data: Clouds) -> nn.Module:
    """The network as an operator, from a graph as it was trained on."""
    one = data.select(torch.tensor([0]))
    return to_operator(network, POINTS, example=(one.f, one.edges, one.differences))


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    results = Results("convert_graph_blur", options.smoke)
    data = clouds(TRAIN, POINTS, 0, seed=1)
    tests = {n: [clouds(1, n, 10_000 + i, seed=2 + i) for i in range(TEST)] for n in SIZES}

    def experiment(seed: int) -> dict[str, float]:
        steps = 10 if options.smoke else STEPS
        torch.manual_seed(seed)
        plain = Network()
        fit(plain, data, steps, seed, weighted=False)
        torch.manual_seed(seed)
        trained = convert(Network(), data)
        fit(trained, data, steps, seed, weighted=True)
        converted, table = convert(plain, data), {}
        with torch.no_grad():
            for n, functions in tests.items():
                found: dict[str, list[float]] = {}
                for test in functions:
                    answers = {
                        "plain": run(plain, test, None),
                        "converted": run(converted, test, test.areas),
                        "converted, equal weights": run(converted, test, torch.ones_like(test.areas)),
                        "trained with weights": run(trained, test, test.areas),
                        "quadrature": test.exact,
                    }
                    for name, answer in answers.items():
                        found.setdefault(name, []).append(test.error(answer))
                    size = float(answers["plain"].square().mean().sqrt())
                    found.setdefault("norm of plain", []).append(size)
                table |= {f"{name}, {n}": statistics.mean(values) for name, values in found.items()}
        return table

    rows = [results.row(f"seed {seed}", lambda s=seed: experiment(s)) for seed in options.seeds]
    keys = [key for key in rows[0] if key != "seconds"]
    summary = {key: {"mean": statistics.mean(r[key] for r in rows), "values": [r[key] for r in rows]} for key in keys}
    for name in dict.fromkeys(key.rpartition(", ")[0] for key in keys):
        print(f"{name:26s}" + "  ".join(f"{summary[f'{name}, {n}']['mean']:.4f}" for n in SIZES))
    falling = {
        name: all(row[f"{name}, {b}"] <= row[f"{name}, {a}"] for row in rows for a, b in pairwise(SIZES))
        for name in ("converted", "trained with weights")
    }
    growth = [row["norm of plain, 1600"] / row["norm of plain, 200"] for row in rows]
    gates = {f"{name}: the error does not grow": met for name, met in falling.items()}
    gates[f"plain: norms grow {min(growth):.1f} times from 200 to 1600 points, more than 5"] = min(growth) > 5
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
