"""Residuals of equations at their solutions, with derivatives that do not come from the solver; and warnings."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.problems import Advection, Burgers, BurgersPDEBench, DiffusionReaction, ReactionDiffusion
from sciml.problems._chebyshev import nodes_and_derivative
from sciml.problems._resolved import warn_if_unresolved
from sciml.spaces.random import GaussianProcess, SpectralGRF


def in_time(frames: Tensor, step: float) -> Tensor:
    """Derivative of order four at the middle of five frames ``(batch, 5, n)``."""
    return (frames[:, 0] - 8 * frames[:, 1] + 8 * frames[:, 3] - frames[:, 4]) / (12 * step)


def in_space(u: Tensor, order: int) -> Tensor:
    """Derivative of periodic values by FFT."""
    n = u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u) * (2j * math.pi * torch.arange(n // 2 + 1)) ** order, n)


def test_the_residual_of_burgers_vanishes_at_a_solution() -> None:
    problem = Burgers(nu=0.05, duration=0.25, frames=50)
    x = torch.arange(128, dtype=torch.float64) / 128
    frames = problem.solve(SpectralGRF(modes=20).sample(2, seed=0)(x))[:, 30:35]
    u, u_t = frames[:, 2], in_time(frames, 0.005)
    u_x, u_xx = in_space(u, 1), in_space(u, 2)
    assert problem.residual(u, u_t, u_x, u_xx).abs().max() < 1e-4 * u_t.abs().max()
    # PDEBench divides its number by pi.
    same = BurgersPDEBench(nu=0.05 * math.pi).residual(u, u_t, u_x, u_xx)
    torch.testing.assert_close(same, problem.residual(u, u_t, u_x, u_xx), rtol=0, atol=1e-12)


def test_the_residual_of_diffusion_reaction_vanishes_at_a_solution() -> None:
    problem = DiffusionReaction(reaction=0.5)
    source = problem.sampler().sample(2, seed=0)(problem.collocation)
    frames = problem.solve(source, 101)[:, 58:63]
    _, derivative = nodes_and_derivative(problem.nodes)
    s, s_t, s_xx = frames[:, 2], in_time(frames, 0.01), frames[:, 2] @ (derivative @ derivative).T
    inner = slice(1, -1)
    residual = problem.residual(s, s_t, s_xx, source)[:, inner]
    assert residual.abs().max() < 1e-6 * source.abs().max()


def test_the_residual_of_advection_vanishes_at_a_solution() -> None:
    problem = Advection(beta=0.7, inputs=SpectralGRF(modes=6))
    x = torch.arange(64, dtype=torch.float64) / 64
    frames = problem.solve(problem.sampler().sample(2, seed=0), x, 0.001 * torch.arange(5, dtype=torch.float64))
    residual = problem.residual(in_time(frames, 0.001), in_space(frames[:, 2], 1))
    assert residual.abs().max() < 1e-6


def test_the_residual_of_reaction_diffusion_vanishes_at_a_solution() -> None:
    problem = ReactionDiffusion(nu=0.02, rho=3.0, duration=0.5, frames=101, steps_per_unit=4000)
    x = torch.arange(64, dtype=torch.float64) / 64
    frames = problem.solve((0.5 + 0.4 * torch.cos(2 * math.pi * x))[None])[:, 48:53]
    u = frames[:, 2]
    assert problem.residual(u, in_time(frames, 0.005), in_space(u, 2)).abs().max() < 1e-5


def test_a_source_too_rough_for_its_nodes_is_reported() -> None:
    rough = GaussianProcess(length_scale=0.02)
    with pytest.warns(UserWarning, match="of 3 of 3 samples is not resolved.*more than 64 nodes"):
        DiffusionReaction(inputs=rough).generate(3, resolution=11)
    enough = DiffusionReaction(inputs=rough, nodes=144, steps=20).generate(3, resolution=11)["s"]
    assert np.isfinite(enough).all()


def test_a_front_too_thin_for_its_points_is_reported() -> None:
    with pytest.warns(UserWarning, match="more than 128 points.*burgers-pdebench"):
        Burgers(nu=2e-3).solve(torch.sin(2 * math.pi * torch.arange(128, dtype=torch.float64) / 128)[None])


def test_resolved_samples_are_not_counted() -> None:
    rows = torch.tensor([[[1.0, 0.0], [1.0, 0.5]], [[0.0, 0.0], [1.0, 1e-4]]])
    with pytest.warns(UserWarning, match=r"u of 1 of 2 samples is not resolved: .* 5e-01 of the largest"):
        warn_if_unresolved(rows, "u", "Refine.")
