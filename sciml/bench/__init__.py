"""Benchmarks: the same data, epochs, seeds and threads for every model, each run in a process of its own."""

from sciml.bench.report import markdown
from sciml.bench.runner import run_suite
from sciml.bench.suite import Suite

__all__ = ["Suite", "markdown", "run_suite"]
