"""The reference DeepONet beside DeepXDE and PINA: same data, widths, optimizer, full batch and seeds.

Part one, speed: seconds per optimizer step of everybody who trains the same network on the same 150 functions, in
interleaved rounds within one process; beside them a bare loop and the matrix products alone, which no implementation
can undercut. Part two, accuracy: 10 000 steps from three seeds. Part three, memory: peak of one training step with 1000
functions and 10 000 query points.

    python benchmarks/deeponet_vs_peers.py --out benchmarks/results/deeponet_vs_peers.json

Needs the extra ``peers``.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("DDE_BACKEND", "pytorch")

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from sciml.data import Dataset, aligned_split, operator_dataset
from sciml.metrics import relative_l2
from sciml.operators import DeepONet, deeponet
from sciml.tasks import OperatorRegression
from sciml.train import Callback, Trainer

LR = 1e-3
TRAIN, TEST, SENSORS, WIDTH = 150, 1000, 100, 40
GATE_SPEED = 1.8


def antiderivatives(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Functions of a Gaussian process with length-scale 0.2 on 1000 nodes, and the antiderivatives of their splines."""
    rng = np.random.default_rng(seed)
    nodes = np.linspace(0, 1, 1000)
    covariance = np.exp(-0.5 * ((nodes[:, None] - nodes) / 0.2) ** 2)
    factor = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(nodes)))
    spline = CubicSpline(nodes, rng.standard_normal((TRAIN + TEST, len(nodes))) @ factor.T, axis=1)
    x = np.linspace(0, 1, SENSORS)
    return spline(x).astype("f"), spline.antiderivative()(x).astype("f"), x[:, None].astype("f")


def network(seed: int) -> DeepONet:
    torch.manual_seed(seed)
    return deeponet(sensors=SENSORS, modes=WIDTH, branch=[WIDTH], trunk=[WIDTH])


class Data:
    """The arrays, and the same as a dataset."""

    def __init__(self) -> None:
        self.u, self.y, self.x = antiderivatives()
        parts = {"train": slice(None, TRAIN), "test": slice(TRAIN, None)}
        splits = {name: aligned_split(self.u[part], self.x, self.y[part]) for name, part in parts.items()}
        self.dataset: Dataset = operator_dataset(splits, name="antiderivative")


Timer = Callable[[Data, int], float]


def sciml_trainer(check_finite: bool) -> Timer:
    class Clock(Callback):
        """Time from the end of the first step to that of the last."""

        def __init__(self) -> None:
            self.first = self.last = 0.0

        def on_step_end(self, loop: Any) -> None:
            self.last = time.perf_counter()
            self.first = self.first or self.last

    def run(data: Data, steps: int) -> float:
        clock = Clock()
        trainer = Trainer(
            max_steps=steps + 1, batch_size=TRAIN, callbacks=[clock], progress=False, check_finite=check_finite
        )
        task = OperatorRegression(loss="mse", normalize=False)
        trainer.fit(network(0), data.dataset, task, optimizer={"name": "adam", "lr": LR})
        return (clock.last - clock.first) / steps

    return run


def bare(fused: bool) -> Timer:
    def run(data: Data, steps: int) -> float:
        net = network(0)
        optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=fused)
        train = data.dataset.train
        u, x, y = train["u"], train["coords"], train["y"]
        begin = 0.0
        for _ in range(steps + 1):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(u, x), y).backward()
            optimizer.step()
            begin = begin or time.perf_counter()
        return (time.perf_counter() - begin) / steps

    return run


def matrix_products(data: Data, steps: int) -> float:
    """The products of forward and backward pass alone, without autograd, activations or optimizer."""
    train = data.dataset.train
    u, x = train["u"], train["coords"]
    branch, trunk = ([layer.weight.detach() for layer in part.layers] for part in (network(0).branch, network(0).trunk))
    begin = time.perf_counter()
    for _ in range(steps):
        hidden_b, hidden_t = u @ branch[0].T, x @ trunk[0].T
        b, t = hidden_b @ branch[1].T, hidden_t @ trunk[1].T
        error = b @ t.T
        grad_b, grad_t = error @ t, error.T @ b
        for grad, hidden, given, weights in ((grad_b, hidden_b, u, branch), (grad_t, hidden_t, x, trunk)):
            _ = grad.T @ hidden
            _ = (grad @ weights[1]).T @ given
    return (time.perf_counter() - begin) / steps


def _deepxde_model(data: Data, seed: int) -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import deepxde as dde

        dde.config.set_random_seed(seed)
        train, test = slice(None, TRAIN), slice(TRAIN, None)
        triple = dde.data.TripleCartesianProd(
            (data.u[train], data.x), data.y[train], (data.u[test], data.x), data.y[test]
        )
        net = dde.nn.DeepONetCartesianProd([SENSORS, WIDTH, WIDTH], [1, WIDTH, WIDTH], "relu", "Glorot normal")
        model = dde.Model(triple, net)
        model.compile("adam", lr=LR, metrics=["mean l2 relative error"])
    return model


def _deepxde_train(model: Any, steps: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        # Testing only at the end: its cost is not that of a step.
        model.train(iterations=steps, display_every=10 * steps)


def deepxde(data: Data, steps: int) -> float:
    model = _deepxde_model(data, 0)
    _deepxde_train(model, 20)
    begin = time.perf_counter()
    _deepxde_train(model, steps)
    # train() evaluates once at its start and end.
    whole = time.perf_counter() - begin
    begin = time.perf_counter()
    _deepxde_train(model, 1)
    return (whole - (time.perf_counter() - begin)) / (steps - 1)


def pina(data: Data, steps: int) -> float:
    """PINA's DeepONet takes one row per pair of function and point, so its full batch has 150 x 100 rows."""
    from pina.model import DeepONet as PinaDeepONet

    torch.manual_seed(0)
    branch, trunk = network(0).branch, network(0).trunk
    net = PinaDeepONet(
        branch_net=branch,
        trunk_net=trunk,
        input_indeces_branch_net=list(range(SENSORS)),
        input_indeces_trunk_net=[SENSORS],
        reduction="+",
    )
    train = data.dataset.train
    u, x, y = train["u"], train["coords"], train["y"]
    rows = torch.cat([u.repeat_interleave(len(x), 0), x.repeat(len(u), 1)], 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    begin = 0.0
    for _ in range(steps + 1):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(rows), y.reshape(-1, 1)).backward()
        optimizer.step()
        begin = begin or time.perf_counter()
    return (time.perf_counter() - begin) / steps


TIMERS: dict[str, tuple[Timer, float]] = {
    "sciml": (sciml_trainer(True), 1.0),
    "sciml, no finiteness check": (sciml_trainer(False), 1.0),
    "bare loop, fused Adam": (bare(True), 1.0),
    "bare loop, plain Adam": (bare(False), 1.0),
    "matrix products alone": (matrix_products, 1.0),
    "DeepXDE": (deepxde, 1.0),
    "PINA (rows)": (pina, 0.05),
}


def speed(data: Data, rounds: int, steps: int) -> dict[str, Any]:
    """Milliseconds a step, everybody once a round in rotating order; ratios are taken within rounds."""
    names = list(TIMERS)
    times: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds):
        for name in names[index % len(names) :] + names[: index % len(names)]:
            timer, share = TIMERS[name]
            times[name].append(1e3 * timer(data, max(round(share * steps), 10)))
    result = {}
    for name in names:
        ratios = [a / b for a, b in zip(times[name], times["sciml"], strict=True)]
        result[name] = {
            "ms": statistics.median(times[name]),
            "ratio_to_sciml": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        }
        print(f"{name:28s} {result[name]['ms']:8.3f} ms a step  {statistics.median(ratios):6.2f} x sciml", flush=True)
    return result


def accuracy(data: Data, seeds: list[int], steps: int) -> dict[str, list[float]]:
    """Mean relative L2 error on the 1000 test functions."""
    test = data.dataset["test"]
    ours, theirs = [], []
    for seed in seeds:
        net = network(seed)
        trainer = Trainer(max_steps=steps, batch_size=TRAIN, progress=False, seed=seed)
        task = OperatorRegression(loss="mse", normalize=False)
        trainer.fit(net, data.dataset, task, optimizer={"name": "adam", "lr": LR})
        ours.append(relative_l2(trainer.predict(net, test), test["y"]).mean().item())
        model = _deepxde_model(data, seed)
        _deepxde_train(model, steps)
        prediction = torch.as_tensor(np.asarray(model.predict((data.u[TRAIN:], data.x))))
        theirs.append(relative_l2(prediction, test["y"]).mean().item())
        print(f"seed {seed}: sciml {ours[-1]:.4f}, DeepXDE {theirs[-1]:.4f}", flush=True)
    return {"sciml": ours, "DeepXDE": theirs, "linear least squares": [least_squares(data)]}


def least_squares(data: Data) -> float:
    """The operator is linear: the best linear map is the answer that a network has to be compared with."""
    solution = np.linalg.lstsq(data.u[:TRAIN].astype("d"), data.y[:TRAIN].astype("d"), rcond=None)[0]
    prediction = torch.as_tensor(data.u[TRAIN:] @ solution)
    return relative_l2(prediction, torch.as_tensor(data.y[TRAIN:]).double()).mean().item()


def memory_step(layout: str, functions: int = 1000, points: int = 10_000) -> float:
    """Peak MiB that one training step adds, in this process."""
    net = network(0)
    u, x = torch.randn(functions, SENSORS), torch.rand(points, 1)
    y = torch.zeros(functions, points)
    before = _peak_mib()
    if layout == "aligned":
        nn.functional.mse_loss(net(u, x), y).backward()
    else:
        rows_u, rows_x = u.repeat_interleave(points, 0), x.repeat(functions, 1)
        output: Tensor = (net.branch(rows_u) * net.trunk(rows_x)).sum(1)
        nn.functional.mse_loss(output, y.reshape(-1)).backward()
    return _peak_mib() - before


def _peak_mib() -> float:
    """Peak memory of this process; that of getrusage would begin with the peak of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def memory() -> dict[str, float]:
    """Each layout in a process of its own; the rows are measured with a hundredth of the functions and scaled up."""
    result = {}
    for layout, functions in (("aligned", 1000), ("rows", 10)):
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import deeponet_vs_peers as b; "
            f"print(b.memory_step({layout!r}, {functions}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        result[layout] = float(done.stdout.splitlines()[-1]) * 1000 / functions
        print(f"memory of a step, {layout}: {result[layout]:.0f} MiB for 1000 functions x 10 000 points", flush=True)
    return result


def main() -> int:
    """Measure, print, write; the exit code counts missed gates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000, help="steps a round")
    parser.add_argument("--train-steps", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    data = Data()
    result: dict[str, Any] = {
        "threads": arguments.threads,
        "versions": {name: metadata.version(name) for name in ("torch", "deepxde", "pina-mathlab", "numpy", "sciml")}
        | {"python": platform.python_version()},
        "speed": speed(data, arguments.rounds, arguments.steps),
        "memory_mib": memory(),
        "relative_l2": accuracy(data, arguments.seeds, arguments.train_steps),
    }
    ratio = result["speed"]["DeepXDE"]["ratio_to_sciml"]
    floor = 1 / result["speed"]["matrix products alone"]["ratio_to_sciml"]
    ours, theirs = result["relative_l2"]["sciml"], result["relative_l2"]["DeepXDE"]
    spread = max(max(values) - min(values) for values in (ours, theirs))
    gates = {
        f"steps per second {ratio:.2f} x DeepXDE (at least {GATE_SPEED})": ratio >= GATE_SPEED,
        "accuracy within the seed spread of DeepXDE": abs(np.mean(ours) - np.mean(theirs)) <= spread,
        "memory far below rows": result["memory_mib"]["aligned"] < 0.1 * result["memory_mib"]["rows"],
    }
    result |= {"gates": {name: bool(met) for name, met in gates.items()}, "ratio_to_matrix_products": floor}
    print(f"a step takes {floor:.1f} x the matrix products alone")
    for name, met in gates.items():
        print(f"{'met   ' if met else 'MISSED'} {name}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return sum(not met for met in gates.values())


if __name__ == "__main__":
    raise SystemExit(main())
