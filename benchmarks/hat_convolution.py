"""Convolutions at twice the resolution of training: the hat form beside a plain convolution with as many taps.

A kernel of K taps reaches 2 (K + 1) - 1 points at scale 2. The hat form averages the input and keeps its K taps, two
points apart; the plain layer has a kernel of the refined size. Forward and backward of both, and of the plain layer
with K taps, in interleaved rounds in one process.
Gate: the hat form takes at most 1.2 times the plain convolution of the refined size.

    python benchmarks/hat_convolution.py --out benchmarks/results/hat_convolution.json
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from sciml.operators.convert import HatConv2d
from sciml.spaces import RegularGrid

GATE = 1.2
CASES = [(16, 64, 3), (32, 64, 3), (32, 64, 5), (32, 128, 3), (64, 32, 7)]  # channels, points per axis, taps


def seconds(layer: nn.Module, x: torch.Tensor) -> float:
    """One forward and backward pass."""
    begin = time.perf_counter()
    layer(x).square().mean().backward()
    return time.perf_counter() - begin


def main() -> int:
    """Measure all cases; the number of missed gates is the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, missed = [], 0
    print(f"{'channels':>8s} {'points':>7s} {'taps':>5s} {'hat':>9s} {'refined':>9s} {'plain':>9s}  ratio  min-max")
    for channels, n, taps in CASES:
        grid = RegularGrid(shape=(n // 2, n // 2), bounds=((0.0, 1.0),) * 2, periodic=True)
        refined = 2 * (taps + 1) - 1
        layers = {
            "hat": HatConv2d(channels, channels, taps, padding=taps // 2, padding_mode="circular", reference=grid),
            "refined": nn.Conv2d(channels, channels, refined, padding=refined // 2, padding_mode="circular"),
            "plain": nn.Conv2d(channels, channels, taps, padding=taps // 2, padding_mode="circular"),
        }
        x = torch.randn(8, channels, n, n, requires_grad=True)
        times: dict[str, list[float]] = {name: [] for name in layers}
        for _ in range(options.rounds + 1):
            for name, layer in layers.items():
                times[name].append(seconds(layer, x))
        ms = {name: 1e3 * statistics.median(values[1:]) for name, values in times.items()}
        ratios = [a / b for a, b in zip(times["hat"][1:], times["refined"][1:], strict=True)]
        ratio = statistics.median(ratios)
        missed += ratio > GATE
        rows.append(
            {
                "channels": channels,
                "points": n,
                "taps": taps,
                "ms": ms,
                "ratio": ratio,
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
            }
        )
        times_text = " ".join(f"{ms[name]:7.1f}ms" for name in layers)
        print(
            f"{channels:8d} {n:7d} {taps:5d} {times_text}  {ratio:.2f}   {min(ratios):.2f}-{max(ratios):.2f}",
            flush=True,
        )
    print(f"gate {GATE}: {'met' if not missed else f'missed {missed} times'}")
    if options.out:
        content = {"torch": torch.__version__, "threads": options.threads, "rounds": options.rounds, "gate": GATE}
        options.out.write_text(json.dumps({**content, "rows": rows}, indent=1) + "\n")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
