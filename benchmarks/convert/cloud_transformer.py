"""A transformer trained on evenly spread points, used on clustered ones: with quadrature weights and without.

    s(x) = integral over [0, 1] of exp(-|x - y| / 0.2) u(y) dy

The input functions come from a Gaussian process of length-scale 0.2, each known at 64 uniform random points of its own.
A plain torch transformer reads the pairs of point and value and answers at the same points. At the test the points are
clustered: their density falls exponentially, ten times as high at one end as at the other; one point lies in each of 64
parts of equal probability: gaps between independent points would leave functions unresolved at the sparse end. The
converted network takes the trapezoid weights of the sorted points; the plain one counts every point alike. A third one
is converted first and trained with weights. "quadrature" is the integral by the same points with the kernel known.
Gates, for every seed: with weights the error grows at most 1.5 times from uniform to clustered points, without it more
than doubles. The errors are weighted relative L2 norms.

    python benchmarks/convert/cloud_transformer.py
"""

import math
import statistics
from typing import Any

import torch
from common import Results, arguments
from torch import Tensor, nn

from sciml.operators.convert import OperatorModule, to_operator
from sciml.spaces.random import GaussianProcess

POINTS, TRAIN, TEST, STEPS, BATCH = 64, 1000, 200, 3000, 50
LENGTH, NODES = 0.2, 2000


class PointTransformer(nn.Module):
    """Tokens of a point's features and value, to a value per point."""

    def __init__(self, width: int = 48, heads: int = 4, layers: int = 3) -> None:
        super().__init__()
        self.embed = nn.Linear(5, width)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.read = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.encoder(self.embed(x)))


def clouds(num: int, seed: int, start: int, clustered: bool) -> dict[str, Tensor]:
    """Tokens, weights and answers of functions at points of their own."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(num, POINTS, generator=generator, dtype=torch.float64)
    if clustered:  # by the inverse of its distribution function, a density that falls from 10 to 1
        points = (torch.arange(POINTS) + points) / POINTS
        points = -torch.log1p(-0.9 * points) / math.log(10)
    points = points.sort(1).values
    fine = torch.linspace(0, 1, NODES + 1, dtype=torch.float64)
    functions = GaussianProcess(length_scale=LENGTH).sample(num, seed=0, start=start)
    u_fine = functions(fine[:, None])
    step = torch.full((NODES + 1,), 1 / NODES, dtype=torch.float64)
    step[[0, -1]] /= 2
    u, s = [], []
    for i in range(num):
        kernel = torch.exp(-(points[i][:, None] - fine).abs() / LENGTH)
        s.append(kernel @ (u_fine[i] * step))
        u.append(functions[i : i + 1](points[i][:, None])[0])
    ends = torch.cat([torch.zeros(num, 1), points, torch.ones(num, 1)], 1).double()
    weights = (ends[:, 2:] - ends[:, :-2]) / 2
    weights[:, 0] += points[:, 0] / 2
    weights[:, -1] += (1 - points[:, -1]) / 2
    angle = 2 * torch.pi * points
    tokens = torch.stack([torch.stack(u), points, angle.sin(), angle.cos(), torch.ones_like(points)], -1)
    return {"x": tokens.float(), "w": weights.float(), "y": torch.stack(s).float()}


def error(answer: Tensor, data: dict[str, Tensor]) -> float:
    """Mean weighted relative L2 error."""
    difference = (data["w"] * (answer.squeeze(-1) - data["y"]) ** 2).sum(1)
    return float((difference / (data["w"] * data["y"] ** 2).sum(1)).sqrt().mean())


def quadrature(data: dict[str, Tensor]) -> Tensor:
    """The integral by the weights of the points, with the kernel known: what the sampling allows."""
    points, values = data["x"][..., 1], data["x"][..., 0]
    kernel = torch.exp(-(points[:, :, None] - points[:, None]).abs() / LENGTH)
    return torch.einsum("bij,bj->bi", kernel, data["w"] * values)


def fit(network: nn.Module, data: dict[str, Tensor], steps: int, seed: int, weighted: bool) -> None:
    """Adam with one cycle of the learning rate."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for _ in range(steps):
        rows = torch.randint(TRAIN, (BATCH,), generator=generator)
        more: dict[str, Any] = {"weights": data["w"][rows]} if weighted else {}
        answer = network(data["x"][rows], **more).squeeze(-1)
        loss = (data["w"][rows] * (answer - data["y"][rows]) ** 2).sum(1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


def convert(network: nn.Module) -> OperatorModule:
    """The transformer as an operator on clouds of any number of points."""
    return to_operator(network, POINTS, layout="channels-last", channels=5)


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 20 if options.smoke else STEPS
    results = Results("convert_cloud_transformer", options.smoke)
    data = clouds(TRAIN, seed=1, start=0, clustered=False)
    tests = {kind: clouds(TEST, 2, 10_000, kind == "clustered") for kind in ("uniform", "clustered")}

    def run(seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        plain = PointTransformer()
        fit(plain, data, steps, seed, weighted=False)
        torch.manual_seed(seed)
        trained = convert(PointTransformer())
        fit(trained, data, steps, seed, weighted=True)
        table = {f"quadrature, {kind}": error(quadrature(test), test) for kind, test in tests.items()}
        with torch.no_grad():
            for kind, test in tests.items():
                table[f"plain, {kind}"] = error(plain(test["x"]), test)
                table[f"converted, {kind}"] = error(convert(plain)(test["x"], weights=test["w"]), test)
                table[f"trained with weights, {kind}"] = error(trained(test["x"], weights=test["w"]), test)
        return table

    rows = [results.row(f"seed {seed}", lambda s=seed: run(s)) for seed in options.seeds]
    keys = [key for key in rows[0] if key != "seconds"]
    summary = {key: {"mean": statistics.mean(r[key] for r in rows), "values": [r[key] for r in rows]} for key in keys}
    gates = {
        "converted: clustered at most 1.5 times uniform": all(
            row["converted, clustered"] <= 1.5 * row["converted, uniform"] for row in rows
        ),
        "trained with weights: clustered at most 1.5 times uniform": all(
            row["trained with weights, clustered"] <= 1.5 * row["trained with weights, uniform"] for row in rows
        ),
        "plain: clustered more than twice uniform": all(
            row["plain, clustered"] > 2 * row["plain, uniform"] for row in rows
        ),
    }
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
