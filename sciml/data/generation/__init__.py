"""Generating data files from problems: :func:`generate` cuts the work into parts, worker processes make them.

Read :mod:`~sciml.data.generation.run` first, then :mod:`~sciml.data.generation.parts`.
"""

from sciml.data.generation.run import code_hash, generate, problem_parameters, resolve_problem

__all__ = ["code_hash", "generate", "problem_parameters", "resolve_problem"]
