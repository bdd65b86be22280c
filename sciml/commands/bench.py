"""``sciml bench``: compare models on a suite."""

from __future__ import annotations

import argparse

from sciml.errors import ConfigError
from sciml.registry import registry

__all__ = ["bench"]


def bench(arguments: argparse.Namespace) -> int:
    """List the suites, or run one; 1 when a run failed or timed out."""
    if arguments.suite is None:
        from sciml.commands.describe import listing

        suites = registry("benchmarks")
        titles = {name: suites.load(name).title for name in suites if suites[name].error is None}
        width = max((len(name) for name in titles), default=0) + 2
        print("\n".join(f"{name:{width}s}{title}" for name, title in titles.items()) or listing("benchmarks"))
        return 0

    from sciml.bench import markdown, run_suite

    suite = registry("benchmarks").load(arguments.suite)
    result = run_suite(
        arguments.suite,
        suite,
        models=[label for label in (arguments.models or "").split(",") if label],
        seeds=_seeds(arguments.seeds),
        threads=arguments.threads,
        budget=arguments.budget,
        epochs=arguments.epochs,
        out=arguments.out,
        report=lambda line: print(line, flush=True),
    )
    print(f"\n{markdown(result)}")
    if arguments.out:
        print(f"\nresult: {arguments.out}")
    return int(any(row["status"] != "ok" for row in result["rows"]))


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds is {text!r}, expected numbers with commas between them, such as 0,1,2.") from None
