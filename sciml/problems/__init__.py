"""Differential equations with samplers of their data and reference solvers, one file each.

Start with :class:`~sciml.problems.base.Problem`.
"""

from sciml.problems.base import Problem, ProblemData

__all__ = ["Problem", "ProblemData"]
