"""Meshes: volumes, exact integrals of linear functions, refinement, boundaries, and where points lie."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial import Delaunay as ScipyDelaunay

from sciml.errors import ConfigError, UnknownNameError
from sciml.spaces import Mesh

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
CELLS = torch.tensor([[0, 1, 2], [0, 2, 3]])


def scattered(dim: int, num: int = 30, seed: int = 0) -> Mesh:
    generator = torch.Generator().manual_seed(seed)
    return Mesh.delaunay(torch.rand(num, dim, generator=generator, dtype=torch.float64))


def hull_volume(mesh: Mesh) -> float:
    points = mesh.vertices.numpy()
    return float(np.ptp(points)) if mesh.dim == 1 else ConvexHull(points).volume


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(5, 40), st.integers(0, 1000), st.booleans())
def test_weights_sum_to_the_volume_of_the_hull(dim: int, num: int, seed: int, centers: bool) -> None:
    mesh = scattered(dim, num, seed).at_centers() if centers else scattered(dim, num, seed)
    assert mesh.volume == pytest.approx(hull_volume(mesh), rel=1e-10)
    assert abs(mesh.weights.sum().item() - mesh.volume) <= 1e-12 * mesh.volume


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("centers", [False, True])
def test_linear_functions_are_integrated_exactly(dim: int, centers: bool) -> None:
    mesh = scattered(dim)
    slopes = torch.arange(1, dim + 1, dtype=torch.float64)
    # Independent: every cell by itself, volume times the mean of its corners.
    corners = mesh.vertices[mesh.cells].numpy()
    cells = [abs(np.linalg.det(c[1:] - c[0])) / math.factorial(dim) * (c.mean(0) @ slopes.numpy() + 2) for c in corners]
    there = mesh.at_centers() if centers else mesh
    assert (there.weights * (there.points @ slopes + 2)).sum().item() == pytest.approx(sum(cells), rel=1e-12)


def test_lumped_weights_integrate_every_hat_function_exactly() -> None:
    mesh = scattered(2)
    exact = np.zeros(mesh.num_points)
    for cell, volume in zip(mesh.cells.numpy(), mesh.cell_volumes.numpy(), strict=True):
        for vertex in cell:
            exact[vertex] += volume / 3
    np.testing.assert_allclose(mesh.weights.numpy(), exact, rtol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_refinement_halves_edges_keeps_the_volume_and_the_old_vertices(dim: int) -> None:
    mesh = scattered(dim, 12)
    fine = mesh.refine()
    assert fine.volume == pytest.approx(mesh.volume, rel=1e-12)
    assert len(fine.cells) == 2**dim * len(mesh.cells)
    assert fine.num_points == mesh.num_points + len(mesh.edges)
    assert torch.equal(fine.vertices[: mesh.num_points], mesh.vertices)
    children = fine.cell_volumes.reshape(-1, 2**dim)
    torch.testing.assert_close(children, (mesh.cell_volumes / 2**dim)[:, None].expand_as(children), rtol=1e-10, atol=0)
    assert len(fine.boundary_facets) == 2 ** (dim - 1) * len(mesh.boundary_facets)
    # A mesh without hanging nodes: two cells at every inner facet.
    inner = (len(fine.cells) * (dim + 1) - len(fine.boundary_facets)) / 2
    pairs = {tuple(sorted(np.delete(cell, i))) for cell in fine.cells.numpy() for i in range(dim + 1)}
    assert len(pairs) == inner + len(fine.boundary_facets)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_restricting_the_refined_function_gives_it_back(factor: int) -> None:
    mesh = scattered(2, 10)
    fine = mesh.refine(factor)
    u = torch.sin(fine.points).T
    assert torch.equal(fine.restrict(u, range(mesh.num_points)), torch.sin(mesh.points).T)
    assert fine.h == pytest.approx(mesh.h / factor)
    with pytest.raises(ConfigError, match="power of two"):
        mesh.refine(3)


def test_the_boundary_of_a_square_with_a_hole() -> None:
    # Three by three vertices, without the two cells of one of the four squares.
    x = torch.arange(9)
    grid = torch.stack([x // 3, x % 3], 1).double()
    squares = [(0, 1, 4, 3), (1, 2, 5, 4), (3, 4, 7, 6)]
    cells = torch.tensor([c for a, b, c_, d in squares for c in ((a, b, c_), (a, c_, d))])
    mesh = Mesh(grid[:8], cells)
    assert mesh.volume == 3.0
    assert mesh.boundary_nodes.tolist() == list(range(8))
    assert len(mesh.boundary_facets) == 8
    assert not mesh.contains(torch.tensor([[1.5, 1.5]])).any()
    assert mesh.contains(torch.tensor([[0.5, 1.5], [1.5, 0.5]])).all()


def test_tags_follow_refinement_and_name_nodes() -> None:
    mesh = Mesh(SQUARE, CELLS, tags={"left": [[3, 0]], "right": [[1, 2]]})
    fine = mesh.refine(4)
    left = fine.vertices[fine.tagged_nodes("left")]
    assert len(left) == 5
    assert left[:, 0].eq(0).all()
    assert len(fine.tags["right"]) == 4
    assert mesh != Mesh(SQUARE, CELLS)
    with pytest.raises(UnknownNameError, match="left, right"):
        mesh.tagged_nodes("top")
    with pytest.raises(ConfigError, match="that no cell has"):
        Mesh(SQUARE, CELLS, tags={"diagonal": [[1, 3]]})


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_points_are_found_in_the_cell_that_contains_them(dim: int) -> None:
    mesh = scattered(dim, 200)
    points = torch.rand(500, dim, dtype=torch.float64) * 1.2 - 0.1
    cells, barycentric = mesh.locate(points)
    inside = cells >= 0
    if dim == 1:
        expected = (points[:, 0] >= mesh.vertices.min()) & (points[:, 0] <= mesh.vertices.max())
    else:
        expected = torch.from_numpy(ScipyDelaunay(mesh.vertices.numpy()).find_simplex(points.numpy()) >= 0)
    assert torch.equal(inside, expected)
    assert barycentric[inside].min() > -1e-10
    assert barycentric[~inside].eq(0).all()
    corners = mesh.vertices[mesh.cells[cells[inside]]]
    rebuilt = (barycentric[inside, :, None] * corners).sum(1)
    torch.testing.assert_close(rebuilt, points[inside], rtol=1e-10, atol=1e-12)


def test_points_are_found_among_cells_of_very_different_sizes() -> None:
    line = torch.cat([torch.tensor([0.0]), torch.logspace(-4, 0, 40)]).double()
    x, y = torch.meshgrid(line, line, indexing="ij")
    mesh = Mesh.delaunay(torch.stack([x.flatten(), y.flatten()], 1))
    points = torch.rand(300, 2, dtype=torch.float64) ** 6
    assert mesh.contains(points).all()
    assert not mesh.contains(points + 1.01).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vertices_lie_inside_in_any_precision(dtype: torch.dtype) -> None:
    mesh = scattered(2, 100)
    assert mesh.contains(mesh.vertices.to(dtype)).all()
    assert mesh.contains(mesh.vertices[mesh.boundary_facets].mean(1).to(dtype)).all()


def test_gradients_of_hat_functions_sum_to_zero_and_reproduce_linear_functions() -> None:
    mesh = scattered(3, 15)
    gradients = mesh.shape_gradients
    assert gradients.sum(1).abs().max() < 1e-9 * gradients.abs().max()
    slopes = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    found = torch.einsum("ck,ckd->cd", (mesh.vertices @ slopes)[mesh.cells], gradients)
    torch.testing.assert_close(found, slopes.expand_as(found), rtol=1e-8, atol=1e-8)


def test_edges_of_two_triangles() -> None:
    mesh = Mesh(SQUARE, CELLS)
    assert mesh.edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]]
    assert mesh.edge_index.shape == (2, 10)
    assert mesh.h == pytest.approx(math.sqrt(2))
    assert mesh.at_centers().at_vertices() == mesh
    assert mesh.at_centers().at_centers() is mesh.at_centers()


@pytest.mark.parametrize(
    ("vertices", "cells", "message"),
    [
        (SQUARE, [[0, 1], [1, 2]], r"indices of vertices \(n, 3\)"),
        (SQUARE, [[0.0, 1.0, 2.0]], "indices of vertices"),
        (SQUARE, [[0, 1, 4]], "counted from 0"),
        (SQUARE, [[0, 1, 1], [0, 2, 3]], "1 cells have no volume, the first is cell 0"),
        (SQUARE, [[0, 1, 2]], "1 vertices belong to no cell, the first is 3"),
        (SQUARE, np.zeros((0, 3), dtype=int), "at least one cell"),
        (torch.zeros(5, 4), [[0, 1, 2, 3, 4]], "takes 1, 2 or 3"),
    ],
)
def test_arguments_that_cannot_be_are_refused(vertices: torch.Tensor, cells: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Mesh(vertices, cells)


def test_points_on_a_line_have_no_mesh_of_triangles() -> None:
    with pytest.raises(ConfigError, match="no Delaunay mesh"):
        Mesh.delaunay(torch.arange(5.0)[:, None].expand(5, 2))
