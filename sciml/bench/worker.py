"""One run of a benchmark, in a process of its own: a configuration on standard input, a result on standard output."""

import json
import resource
import sys
import time
from typing import Any

__all__ = ["main", "run"]


def run(config: dict[str, Any], threads: int) -> dict[str, Any]:
    """Train and test one model.

    Args:
        config: A complete configuration.
        threads: Threads of torch.

    Returns:
        Metrics of every test split, and what they cost.
    """
    import torch

    from sciml.commands.run import build_run
    from sciml.train import evaluate

    torch.set_num_threads(threads)
    config["trainer"] = {**config["trainer"], "progress": False, "run_dir": None}
    built = build_run(config)
    begin = time.perf_counter()
    fitted = built.fit()
    seconds = time.perf_counter() - begin
    splits: dict[str, Any] = {}
    for name in built.data.names("test"):
        try:
            splits[name] = evaluate(built.model, built.task, built.data[name])
        except ValueError as error:
            # A model that cannot take a resolution says so; its other results count.
            splits[name] = {"error": " ".join(str(error).split())}
    return {
        "status": "ok",
        "splits": splits,
        # A complex parameter is two real numbers.
        "parameters": sum(p.numel() * (2 if p.is_complex() else 1) for p in built.model.parameters()),
        "seconds": seconds,
        "steps_per_second": fitted.steps / seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "data_hash": built.data.hash,
    }


def main() -> int:
    """Read ``{"config": ..., "threads": ...}``; the last line written is the result as JSON."""
    job = json.load(sys.stdin)
    print("\n" + json.dumps(run(job["config"], job["threads"])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
