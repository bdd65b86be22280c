"""What quadrature weights cost in attention: forward and backward against torch's, interleaved in one process.

A round runs every competitor once, in rotating order, on the same queries, keys and values; the table gives medians
over rounds, and ratios are taken within a round. Times are processor times, in which other work on the machine counts
less. Besides the library's formulation there are two others: torch's attention with the logarithms of the weights as a
further feature of the keys (no mask is needed, but all tensors are copied into wider ones), and the formula itself.

    python benchmarks/attention.py --rounds 21 --out benchmarks/results/attention.json
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.nn.attention import weighted_attention
from sciml.nn.integral_attention import IntegralAttention

GATE = 1.10
GATED = ("weights per point", "weights per sample and point", "a quarter of the points masked")
SIZES = [(8, 4, 256, 32), (8, 4, 256, 64), (2, 4, 1024, 32), (2, 4, 1024, 64), (1, 2, 4096, 32), (1, 2, 4096, 64)]


def key_feature(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """Weighted attention without a mask: one more feature, constant in the queries, log w in the keys."""
    d = q.shape[-1]
    logs = weights.log()[:, None, :, None].expand(*k.shape[:-1], 1)
    q, k, v = F.pad(q, (0, 1), value=d**0.5), torch.cat([k, logs], -1), F.pad(v, (0, 1))
    return F.scaled_dot_product_attention(q, k, v, scale=d**-0.5)[..., :d]


def written_out(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """The formula."""
    return (q @ k.mT * q.shape[-1] ** -0.5 + weights.log()[:, None, None]).softmax(-1) @ v


def competitors(batch: int, heads: int, points: int, d: int) -> dict[str, Callable[[], Tensor]]:
    """Everything that is compared at one size; each call gives an output to differentiate."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(batch, heads, points, d, generator=generator, requires_grad=True) for _ in range(3))
    weights = torch.rand(batch, points, generator=generator) + 0.1
    masked = weights.clone()
    masked[:, ::4] = 0
    plain = nn.MultiheadAttention(heads * d, heads, batch_first=True)
    layer = IntegralAttention.from_module(plain)
    x = torch.randn(batch, points, heads * d, generator=generator, requires_grad=True)
    return {
        "torch": lambda: F.scaled_dot_product_attention(q, k, v),
        "torch again": lambda: F.scaled_dot_product_attention(q, k, v),
        "weights per point": lambda: weighted_attention(q, k, v, weights[0]),
        "weights per sample and point": lambda: weighted_attention(q, k, v, weights),
        "a quarter of the points masked": lambda: weighted_attention(q, k, v, masked),
        "equal weights": lambda: weighted_attention(q, k, v, torch.ones(points)),
        "log w as a key feature": lambda: key_feature(q, k, v, weights),
        "written out": lambda: written_out(q, k, v, weights),
        "torch layer": lambda: plain(x, x, x, need_weights=False)[0],
        "IntegralAttention": lambda: layer(x, x, x, need_weights=False, weights=weights)[0],
    }


BASE = {"IntegralAttention": "torch layer"}


def measure(size: tuple[int, int, int, int], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds, and ratios to torch within a round."""
    runners = competitors(*size)
    names = list(runners)
    # Calls of a millisecond are repeated, so that a sample is long against the clock and the scheduler.
    seconds: dict[str, list[float]] = {name: [] for name in names}
    repeats = 1
    for index in range(-1, rounds):
        shift = index % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.process_time()
            for _ in range(repeats):
                output = runners[name]()
                output.backward(torch.ones_like(output))
            seconds[name].append((time.process_time() - start) / repeats)
        if index < 0:
            repeats = max(1, round(0.05 / seconds["torch"][0]))
            seconds = {name: [] for name in names}
    table = {}
    for name, values in seconds.items():
        base = seconds[BASE.get(name, "torch")]
        ratios = [v / b for v, b in zip(values, base, strict=True)]
        table[name] = {
            "cpu_ms": 1e3 * statistics.median(values),
            "ratio": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        }
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results: dict[str, Any] = {
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "threads": args.threads,
        "rounds": args.rounds,
        "gate": GATE,
        "gated": list(GATED),
    }
    missed = False
    for size in SIZES:
        batch, heads, points, d = size
        print(f"\n{points} points, {d} channels in each of {heads} heads, batch {batch}")
        table = measure(size, args.rounds)
        results[f"B={batch} H={heads} N={points} d={d}"] = table
        print(f"{'':32s} {'cpu ms':>8s} {'ratio':>6s}  {'min-max':>11s}  gate")
        for name, row in table.items():
            verdict = ""
            if name in GATED:
                missed = missed or row["ratio"] > GATE
                verdict = f"{GATE:.2f} {'met' if row['ratio'] <= GATE else 'MISSED'}"
            spread = f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}"
            print(f"{name:32s} {row['cpu_ms']:8.2f} {row['ratio']:6.3f}  {spread:>11s}  {verdict}")
        if args.out is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(results, indent=2) + "\n")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
