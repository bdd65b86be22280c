"""Results of a benchmark as a table."""

import statistics
from collections.abc import Mapping
from typing import Any

__all__ = ["markdown"]


def markdown(result: Mapping[str, Any]) -> str:
    """A table with one line a model: parameters, error per split as mean ± standard deviation over seeds, and cost.

    Args:
        result: As from :func:`~sciml.bench.run_suite`.

    Example:
        >>> row = {"model": "mlp", "seed": 0, "status": "timeout", "reason": "stopped after 3 s"}
        >>> print(markdown({"suite": "demo", "title": "Demo", "metric": "relative_l2", "threads": 1, "rows": [row]}))
        Demo: relative_l2, mean ± standard deviation over seeds, 1 thread
        <BLANKLINE>
        | model | parameters | seeds | s a run | steps/s | peak MiB |
        |---|---|---|---|---|---|
        | mlp | - | 0 of 1 | - | - | - |
        <BLANKLINE>
        - mlp, seed 0: timeout: stopped after 3 s
    """
    rows = result["rows"]
    good = [row for row in rows if row["status"] == "ok"]
    splits = list(dict.fromkeys(name for row in good for name in row["splits"]))
    threads = result["threads"]
    lines = [
        f"{result['title']}: {result['metric']}, mean ± standard deviation over seeds, "
        f"{threads} thread{'s' if threads != 1 else ''}",
        "",
        _row(["model", "parameters", "seeds", *splits, "s a run", "steps/s", "peak MiB"]),
        "|---" * (6 + len(splits)) + "|",
    ]
    for label in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in good if row["model"] == label]
        total = sum(row["model"] == label for row in rows)
        errors = [_spread([row["splits"][name].get(result["metric"]) for row in own]) for name in splits]
        cost = [_median([row[key] for row in own]) for key in ("seconds", "steps_per_second", "peak_mib")]
        parameters = str(own[0]["parameters"]) if own else "-"
        lines.append(_row([label, parameters, f"{len(own)} of {total}", *errors, *cost]))
    notes = [
        f"- {row['model']}, seed {row['seed']}: {row['status']}: {row['reason']}" for row in rows if row not in good
    ]
    notes += dict.fromkeys(
        f"- {row['model']}, {name}: {values['error']}"
        for row in good
        for name, values in row["splits"].items()
        if "error" in values
    )
    return "\n".join([*lines, "", *notes] if notes else lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.4f}"
    return f"{statistics.mean(known):.4f} ± {statistics.stdev(known):.4f}"


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.1f}" if values else "-"
