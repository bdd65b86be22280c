"""Darcy flow in a triangle with a notch: an irregular domain, the same for all samples."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems._fem import solve_dirichlet
from sciml.problems._meshing import mesh_polygon, straight_loop
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import Function, Mesh
from sciml.spaces.random import GaussianProcess, RandomFunctions, Sampler

__all__ = ["DarcyTriangleNotch"]

_LEFT, _RIGHT, _TOP = 0.49, 0.51, 0.4
_OUTLINE = [(0.0, 0.0), (_LEFT, 0.0), (_LEFT, _TOP), (_RIGHT, _TOP), (_RIGHT, 0.0), (1.0, 0.0), (0.5, math.sqrt(0.75))]


@lru_cache(maxsize=8)
def _mesh(resolution: int) -> Mesh:
    return mesh_polygon([straight_loop(_OUTLINE, 1 / resolution)], 1 / resolution)


@dataclass(frozen=True)
class DarcyTriangleNotch(Problem):
    """Darcy flow in a triangle with a notch: from values on the boundary to the pressure inside.

    The triangle has sides of length 1, the lowest from (0, 0) to (1, 0); the notch is 0.02 wide and 0.4 high, in the
    middle of that side. On the triangle's sides the pressure is u = g(x), the same function of the first coordinate on
    all three; on the sides of the notch it is zero.

    Args:
        permeability: K, in a unit of its own.
        source: f, in units of the pressure times K over the square of a side.
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that g is drawn from, in
            sides of the triangle.
        sensors: Number of equispaced points on [0, 1] at which g is given.
        inputs: Sampler of g instead of that process.

    The data hold ``g`` (sample, sensors), ``u`` (sample, points) at the vertices of one mesh, its ``cells`` and its
    quadrature ``weights``.

    Reference:
        Lu et al.: A comprehensive and fair comparison of two neural operators (2022); K and f as in its generator.

    Example:
        >>> data = DarcyTriangleNotch().generate(3, seed=0, resolution=16)
        >>> data["g"].shape, data["u"].shape[1] == len(data.coords["points"])
        ((3, 101), True)
    """

    permeability: float = 1.0
    source: float = 10.0
    length_scale: float = 0.2
    sensors: int = 101
    inputs: Sampler | None = None

    name = "darcy-triangle-notch"
    equation = "-div(K grad u) = f in a triangle with a notch, u = g(x) on its sides, u = 0 on the notch"
    scheme = "piecewise linear finite elements on a Delaunay mesh, sparse LU factorisation"
    default_resolution = 64

    def __post_init__(self) -> None:
        if not (self.permeability > 0 and self.length_scale > 0 and self.sensors >= 2):
            raise ConfigError(
                f"permeability is {self.permeability}, length_scale {self.length_scale} and sensors {self.sensors}; "
                "expected positive numbers, and at least 2 sensors."
            )

    def sampler(self) -> Sampler:
        """Where the boundary values come from."""
        return self.inputs or GaussianProcess(length_scale=self.length_scale)

    def mesh(self, resolution: int | None = None) -> Mesh:
        """Mesh with edges of length 1 / resolution."""
        return _mesh(self._resolution(resolution, least=8))

    def solve(self, g: RandomFunctions, mesh: Mesh) -> Function:
        """Pressure at the vertices ``(num, 1, n)``, float64, for functions g on the triangle's sides."""
        x, y = mesh.vertices[mesh.boundary_nodes].T
        notch = (x >= _LEFT) & (x <= _RIGHT) & (y <= _TOP)
        boundary = torch.where(notch, 0.0, g(x)).numpy()
        load = (self.source * mesh.weights).expand(len(g), -1).numpy()
        return Function(torch.from_numpy(solve_dirichlet(mesh, load, boundary, self.permeability))[:, None], mesh)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        mesh = self.mesh(resolution)
        functions = self.sampler().sample(num, seed, start)
        sensors: Tensor = torch.linspace(0, 1, self.sensors, dtype=torch.float64)
        arrays = {
            "g": functions(sensors).numpy(),
            "u": self.solve(functions, mesh).values[:, 0].numpy(),
            "cells": mesh.cells.numpy(),
            "weights": mesh.weights.numpy(),
        }
        axes = {"g": ("sample", "sensor"), "u": ("sample", "point"), "cells": ("cell", "corner"), "weights": ("point",)}
        roles = {"g": "input", "u": "target", "cells": "other", "weights": "other"}
        coords = {"sensor": sensors.numpy(), "points": mesh.points.numpy()}
        return ProblemData(arrays, axes, coords, roles, attrs=self.attributes())
