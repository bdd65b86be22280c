"""The operator transformer: attention written out, limits, relative positions, bad input."""

import math

import pytest
import torch

from sciml.errors import ConfigError
from sciml.operators import OFormer
from sciml.operators.oformer import OFormerBlock, rotate


def small(**options: object) -> OFormer:
    sizes = {"hidden_channels": 16, "num_layers": 2, "heads": 2, "modes": 4, **options}
    return OFormer(1, 1, **sizes).double()  # type: ignore[arg-type]


def test_attention_is_the_sum_over_pairs_written_out() -> None:
    block = OFormerBlock(8, 2, [3, 3]).double()
    x = torch.randn(2, 8, 4, 5, dtype=torch.float64)
    q, k, v = (part.flatten(2) for part in block.mix(x).chunk(3, 1))
    points = [(i / 4 * 64, j / 5 * 64) for i in range(4) for j in range(5)]
    normal = lambda f: (f - f.mean(-1, keepdim=True)) / (f.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()  # noqa: E731
    k, v = normal(k), normal(v)
    expected = torch.zeros(2, 8, 20, dtype=torch.float64)
    for head in range(2):
        rows = slice(4 * head, 4 * head + 4)
        turned = []
        for f in (q[:, rows], k[:, rows]):
            g = torch.zeros_like(f)
            for p, place in enumerate(points):
                for axis in range(2):
                    c, s = math.cos(place[axis]), math.sin(place[axis])
                    a, b = f[:, 2 * axis, p], f[:, 2 * axis + 1, p]
                    g[:, 2 * axis, p], g[:, 2 * axis + 1, p] = a * c - b * s, a * s + b * c
            turned.append(g)
        scores = torch.einsum("bfi,bfj->bij", *turned)
        expected[:, rows] = torch.einsum("bij,bfj->bfi", scores, v[:, rows]) / 20
    expected = block.out(expected.view(2, 8, 4, 5))
    torch.testing.assert_close(block.attend(x), expected, rtol=1e-10, atol=1e-10)


def test_products_of_rotated_features_depend_on_differences_of_positions() -> None:
    q, k = torch.randn(2, 5, 12, dtype=torch.float64)
    place = torch.rand(5, 3, dtype=torch.float64) * 40
    before = rotate(q, place) @ rotate(k, place).T
    after = rotate(q, place + 7.3) @ rotate(k, place + 7.3).T
    torch.testing.assert_close(before, after, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dim", [1, 2])
def test_outputs_converge_as_the_grid_is_refined(dim: int) -> None:
    model = small(dim=dim, hidden_channels=16)

    def output(n: int) -> torch.Tensor:
        axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) / n] * dim, indexing="ij")
        x = sum(torch.sin(2 * math.pi * (a + 0.1 * i)) for i, a in enumerate(axes))
        with torch.no_grad():
            return model(x[None, None])

    best = output(128)
    every = lambda k: (Ellipsis, *[slice(None, None, k)] * dim)  # noqa: E731
    errors = [(output(n) - best[every(128 // n)]).abs().max().item() for n in (16, 32, 64)]
    # Coordinates and rotary waves are no periodic functions: the error is that of a jump, of first order.
    assert errors[2] < 0.7 * errors[1] < 0.5 * errors[0]


def test_bad_input_names_itself() -> None:
    with pytest.raises(ConfigError, match="hidden_channels is 18, expected a multiple of 8"):
        small(hidden_channels=18)
    with pytest.raises(ConfigError, match=r"x has shape \(1, 2, 8, 8\), expected \(batch, 1, 2 axes of points\)"):
        small()(torch.zeros(1, 2, 8, 8, dtype=torch.float64))
