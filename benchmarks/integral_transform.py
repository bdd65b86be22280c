"""The integral transform beside neuraloperator's, forward and backward, and its memory against the number of pairs.

10^4 points in the unit square, radii for 10^5 to 10^6 pairs, kernel networks of the sizes in use; processor time,
medians of ratios between runs that take turns. neuraloperator's runs with torch-scatter if that is installed; without
it, its own sums are a Python loop over the points, so that another column times its layer with torch's index_add in the
place of that loop. It needs weights per pair, and a batch axis. Memory: largest resident size of a process of its own,
less that of the same process with a tenth of the smallest number of pairs.

    python benchmarks/integral_transform.py
"""

import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from experiment import RESULTS
from torch import Tensor

from sciml.nn import Neighbours, radius_neighbours
from sciml.operators import IntegralTransform

POINTS, CHANNELS = 10_000, 32
PAIRS = (100_000, 300_000, 1_000_000)
KERNELS = ((64, 64), (256, 128))
SCATTER = importlib.util.find_spec("torch_scatter") is not None


def geometry(pairs: int) -> tuple[Tensor, Neighbours]:
    """Points of the unit square, and their neighbours: about so many."""
    points = torch.rand(POINTS, 2, generator=torch.Generator().manual_seed(0))
    return points, radius_neighbours(points, radius=math.sqrt(pairs / POINTS**2 / math.pi))


def run(step: Callable[[], Tensor]) -> float:
    """Processor seconds of a pass forward and backward."""
    begin = time.process_time()
    step().square().sum().backward()
    return time.process_time() - begin


def compiled_sum(values: Tensor, splits: Tensor, reduction: str = "sum", use_scatter: bool = True) -> Tensor:
    """What neuraloperator's loop computes, ``(1, points, channels)``, by torch."""
    counts = splits[0].diff()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return values.new_zeros(1, len(counts), values.shape[2]).index_add(1, rows, values)


def compare(pairs: int, hidden: tuple[int, ...], rounds: int, loop: bool) -> dict[str, Any]:
    """Times of ours and of neuraloperator's on the same points, with the same weights."""
    from neuralop.layers import integral_transform as peer_module

    points, found = geometry(pairs)
    ours = IntegralTransform(2, CHANNELS, 1.0, hidden=hidden)
    peer = peer_module.IntegralTransform(channel_mlp_layers=list(ours.kernel.widths), use_torch_scatter=SCATTER)
    for own, its in zip(ours.kernel.layers, peer.channel_mlp.fcs, strict=True):
        its.load_state_dict(own.state_dict())
    f, weights = torch.randn(POINTS, CHANNELS, requires_grad=True), torch.full((POINTS,), 1 / POINTS)
    crs = {"neighbors_index": found.index, "neighbors_row_splits": found.ptr}
    native = peer_module.segment_csr

    def theirs(sums: Callable[..., Tensor]) -> Tensor:
        peer_module.segment_csr = sums
        try:
            return peer(points, crs, points, f[None], weights[found.index])[0]
        finally:
            peer_module.segment_csr = native

    steps = {
        "sciml": lambda: ours(f, points, weights=weights, neighbours=found),
        "index_add": lambda: theirs(compiled_sum),
    }
    if SCATTER or loop:
        steps["torch-scatter" if SCATTER else "loop"] = lambda: theirs(native)
    difference = (steps["sciml"]() - steps["index_add"]()).abs().max().item()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(run(step))
    own = times["sciml"]
    ratios = {name: statistics.median(t / s for t, s in zip(times[name], own, strict=True)) for name in steps}
    row = {"pairs": len(found), "hidden": list(hidden), "largest_difference": difference}
    row["milliseconds"] = {name: round(1e3 * statistics.median(values), 1) for name, values in times.items()}
    row["times_of_sciml"] = {name: round(ratio, 2) for name, ratio in ratios.items() if name != "sciml"}
    return row


def memory(pairs: int, recompute: bool) -> int:
    """Largest resident size in MiB of this process after a pass."""
    points, found = geometry(pairs)
    layer = IntegralTransform(2, CHANNELS, 1.0, recompute=recompute)
    f, weights = torch.randn(POINTS, CHANNELS, requires_grad=True), torch.full((POINTS,), 1 / POINTS)
    layer(f, points, weights=weights, neighbours=found).square().sum().backward()
    # Not getrusage: its largest size is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def _in_own_process(pairs: int, recompute: bool) -> int:
    command = [sys.executable, __file__, "--memory", str(pairs), *(["--recompute"] if recompute else [])]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=int, metavar="PAIRS", help="print the memory of one pass, and stop")
    parser.add_argument("--recompute", action="store_true", help="with --memory: recompute the kernel")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        print(memory(options.memory, options.recompute))
        return 0
    rows = []
    for hidden in KERNELS:
        for pairs in PAIRS:
            rows.append(compare(pairs, hidden, options.rounds, loop=pairs == PAIRS[0]))
            print(rows[-1], flush=True)
    table = {}
    for recompute in (False, True):
        base = _in_own_process(PAIRS[0] // 10, recompute)
        sizes = {str(n): _in_own_process(n, recompute) - base for n in (*PAIRS, 3_000_000)}
        table["recomputed" if recompute else "kept"] = sizes
        print("MiB", "recomputed" if recompute else "kept", sizes, flush=True)
    peer = "torch-scatter" if SCATTER else "index_add"
    worst = min(row["times_of_sciml"][peer] for row in rows)
    print(f"{'met   ' if worst >= 1.3 else 'MISSED'} smallest ratio to {peer} {worst:.2f}, at least 1.3")
    result = {"threads": options.threads, "torch_scatter": SCATTER, "speed": rows, "memory_mib": table}
    suffix = "" if options.threads == 1 else f"_{options.threads}_threads"
    (RESULTS / f"integral_transform{suffix}.json").write_text(json.dumps(result, indent=1) + "\n")
    return int(worst < 1.3)


if __name__ == "__main__":
    raise SystemExit(main())
