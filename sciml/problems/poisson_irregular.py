"""Poisson's equation on random star-shaped domains, each sample with a mesh of its own."""

from dataclasses import dataclass

import torch

from sciml.errors import ConfigError
from sciml.problems._fem import mass, solve_dirichlet
from sciml.problems._meshing import mesh_polygon, star_loop
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import Function, Mesh
from sciml.spaces.random import Sampler, SpectralGRF, Stars, StarShape
from sciml.spaces.random.base import generators

__all__ = ["PoissonIrregular"]

# Meshes are that of a disc of diameter 2 with ``resolution`` edges across.
_DIAMETER = 2.0


@dataclass(frozen=True)
class PoissonIrregular(Problem):
    r"""Poisson's equation -Laplace u = f on star-shaped domains, u = 0 on the boundary.

    The radius is :math:`r(\theta) = 1 + \sum_{m=2}^{M} a_m \cos(m \theta) + b_m \sin(m \theta)`; the source is a
    Gaussian field on a square around all domains, with a standard deviation of about one.

    Args:
        amplitude: Largest absolute value of the coefficients of the radius, in units of the mean radius.
        max_mode: M.
        source: Sampler of f in two dimensions instead of that field.

    The data hold one array a sample: ``points`` (n, 2), ``cells`` (c, 3), quadrature ``weights`` (n,), ``f`` (n,) and
    ``u`` (n,), at the vertices of the mesh.

    Example:
        >>> data = PoissonIrregular().generate(2, seed=0, resolution=12)
        >>> data["points"][0].shape[0] == data["u"][0].shape[0], len(data)
        (True, 2)
    """

    amplitude: float = 0.1
    max_mode: int = 5
    source: Sampler | None = None

    name = "poisson-irregular"
    equation = "-Laplace u = f on a star-shaped domain, u = 0 on the boundary"
    scheme = "piecewise linear finite elements on a Delaunay mesh, consistent mass matrix, sparse LU factorisation"
    default_resolution = 32
    layout = "groups"

    def __post_init__(self) -> None:
        self.shapes()
        if self.source is not None and self.source.dim != 2:
            raise ConfigError(f"source draws functions of {self.source.dim} variables, the domains have 2.")

    def shapes(self) -> StarShape:
        """Where the domains come from."""
        return StarShape(self.amplitude, self.max_mode)

    def sampler(self) -> Sampler:
        """Where the sources come from."""
        if self.source is not None:
            return self.source
        # The radius stays below 2; a period of 5 keeps opposite ends of the domain apart.
        return SpectralGRF(gamma=2.0, tau=9.0, sigma=32.0, dim=2, modes=10, bounds=((-2.5, 2.5), (-2.5, 2.5)))

    def mesh(self, star: Stars, resolution: int | None = None) -> Mesh:
        """Mesh of one domain, a batch of one, with edges of length 2 / resolution.

        Args:
            star: The domain.
            resolution: Edges along a diameter of 2.
        """
        spacing = _DIAMETER / self._resolution(resolution, least=6)
        return mesh_polygon([star_loop(star, spacing)], spacing)

    def solve(self, f: Function) -> Function:
        """Solution for sources at the vertices of a mesh, values ``(..., n)``, float64; linear in between.

        Raises:
            ConfigError: If the sources are not given at the vertices of a mesh of triangles.
        """
        mesh = f.disc
        if not isinstance(mesh, Mesh) or mesh.centers or mesh.dim != 2:
            raise ConfigError(f"f is given on {mesh}, expected the vertices of a mesh of triangles.")
        load = f.values.double().reshape(-1, mesh.num_points).numpy() @ mass(mesh)
        return Function(torch.from_numpy(solve_dirichlet(mesh, load)).view(f.values.shape), mesh)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        # A seed of its own for every domain: from the same numbers, domains and sources would depend on each other.
        sources = self.sampler().sample(num, seed, start)
        children = [int(rng.integers(2**63)) for rng in generators(num, seed, start, stream=1)]
        meshes = [self.mesh(self.shapes().sample(1, child), resolution) for child in children]
        inputs = [sources[i : i + 1].on(mesh, "f") for i, mesh in enumerate(meshes)]
        arrays = {
            "points": [mesh.points.numpy() for mesh in meshes],
            "cells": [mesh.cells.numpy() for mesh in meshes],
            "weights": [mesh.weights.numpy() for mesh in meshes],
            "f": [f.values[0, 0].numpy() for f in inputs],
            "u": [self.solve(f).values[0, 0].numpy() for f in inputs],
        }
        axes: dict[str, tuple[str, ...]] = dict.fromkeys(("weights", "f", "u"), ("sample", "point"))
        axes |= {"points": ("sample", "point", "dim"), "cells": ("sample", "cell", "corner")}
        roles = {"points": "coords", "cells": "other", "weights": "other", "f": "input", "u": "target"}
        return ProblemData(arrays, axes, {}, roles, attrs=self.attributes())
