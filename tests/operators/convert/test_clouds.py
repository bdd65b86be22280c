"""Transformers on clouds of points: with weights a sum over points is an integral."""

import pytest
import torch
from conversions import assert_same
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert import to_operator
from sciml.spaces import Function, PointCloud


class PointTransformer(nn.Module):
    """Tokens of coordinate and value; optionally a class token in front that collects the answer."""

    def __init__(self, class_token: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 24)
        layer = nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.read = nn.Linear(24, 1)
        self.token = nn.Parameter(torch.randn(1, 1, 24)) if class_token else None
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = self.encoder(x) if self.batch_first else self.encoder(x.transpose(0, 1)).transpose(0, 1)
        return self.read(x[:, 0] if self.token is not None else x)


def graded(n: int) -> tuple[Tensor, Tensor]:
    """A function on the mesh ``t^2`` and the trapezoid weights."""
    points = torch.linspace(0, 1, n, dtype=torch.float64) ** 2
    weights = torch.zeros(n, dtype=torch.float64)
    weights[:-1] += points.diff() / 2
    weights[1:] += points.diff() / 2
    return torch.stack([points, torch.sin(5 * points)], -1)[None], weights


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_at_the_reference_nothing_changes(class_token: bool, batch_first: bool) -> None:
    network = PointTransformer(class_token, batch_first).double()
    x = torch.randn(3, 16, 2, dtype=torch.float64)
    assert_same(network, 16, x, layout="channels-last")
    operator = to_operator(network, 16, layout="channels-last")
    equal = torch.full((16,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(operator(x, weights=equal), network(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("class_token", [False, True])
def test_weights_give_second_order_on_a_graded_mesh_and_counting_points_does_not(class_token: bool) -> None:
    operator = to_operator(PointTransformer(class_token).double(), 17, layout="channels-last").eval()
    with torch.no_grad():
        (fine, fine_weights), errors, unweighted = graded(1025), [], []
        best = operator(fine, weights=fine_weights)
        for n in (17, 33, 65):
            x, weights = graded(n)
            every = 1 if class_token else 1024 // (n - 1)
            moved = best[:, ::every]
            errors.append((operator(x, weights=weights) - moved).norm() / moved.norm())
            unweighted.append((operator(x, weights=torch.ones(n)) - moved).norm() / moved.norm())
    assert errors[0] > 11 * errors[2]  # 16 for second order
    assert unweighted[2] > 0.8 * unweighted[0]


def test_other_points_need_weights() -> None:
    operator = to_operator(PointTransformer(False).double(), 17, layout="channels-last").eval()
    with pytest.raises(ConversionError, match=r"weights are missing: the input has 33 points, the reference 17"):
        operator(graded(33)[0])


@pytest.mark.parametrize("class_token", [False, True])
def test_splitting_a_point_changes_nothing_and_masked_points_do_not_count(class_token: bool) -> None:
    operator = to_operator(PointTransformer(class_token).double(), 17, layout="channels-last").eval()
    x, weights = graded(17)
    expected = operator(x, weights=weights)
    halves = torch.cat([weights, weights[5:6] / 2])
    halves[5] /= 2
    split = operator(torch.cat([x, x[:, 5:6]], 1), weights=halves)
    torch.testing.assert_close(split[:, :17], expected, rtol=0, atol=1e-12)
    far = torch.cat([x, torch.full((1, 3, 2), 1e3, dtype=torch.float64)], 1)
    masked = operator(far, weights=torch.cat([weights, torch.zeros(3, dtype=torch.float64)]))
    torch.testing.assert_close(masked[:, :17], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(operator(x, weights=7 * weights), expected, rtol=0, atol=1e-12)
    order = torch.randperm(17)
    moved = operator(x[:, order], weights=weights[order])
    torch.testing.assert_close(moved, expected if class_token else expected[:, order], rtol=0, atol=1e-12)


def test_functions_bring_their_weights_and_every_sample_may_have_its_own() -> None:
    operator = to_operator(PointTransformer().double(), 17, layout="channels-last").eval()
    x, weights = graded(33)
    cloud = PointCloud(x[0, :, :1], weights=weights, bounds=((0.0, 1.0),))
    result = operator(Function(x.movedim(-1, 1), cloud))
    assert isinstance(result, Function)
    torch.testing.assert_close(result.values.movedim(1, -1), operator(x, weights=weights), rtol=0, atol=1e-12)
    both = torch.stack([weights, torch.rand(33, dtype=torch.float64)])
    batch = operator(x.expand(2, -1, -1), weights=both)
    torch.testing.assert_close(batch[0], result.values[0].T, rtol=0, atol=1e-12)
    with pytest.raises(ConversionError, match=r"weights have shape \(32,\), the input \(33,\) points"):
        operator(x, weights=weights[1:])
    with pytest.raises(ConversionError, match="must not be negative"):
        operator(x, weights=-weights)


def test_convolutions_have_no_place_on_a_cloud() -> None:
    with pytest.raises(ConversionError, match="0 is a convolution, which needs a grid"):
        to_operator(nn.Sequential(nn.Conv1d(2, 2, 3, padding=1)), 16)


@pytest.mark.parametrize(
    "norm",
    [nn.InstanceNorm1d(8, affine=True), nn.GroupNorm(2, 8), nn.BatchNorm1d(8)],
    ids=["instance", "group", "batch"],
)
def test_normalisations_over_points_take_the_weights(norm: nn.Module) -> None:
    network = nn.Sequential(nn.Conv1d(2, 8, 1), norm, nn.GELU(), nn.Conv1d(8, 1, 1)).double()
    assert_same(network, 17, torch.randn(3, 2, 17, dtype=torch.float64))
    operator = to_operator(network, 17).train()
    x, weights = graded(17)
    x = x.mT
    expected = operator(x, weights=weights)
    halves = torch.cat([weights, weights[5:6] / 2])
    halves[5] /= 2
    split = operator(torch.cat([x, x[..., 5:6]], -1), weights=halves)
    torch.testing.assert_close(split[..., :17], expected, rtol=0, atol=1e-12)
    (fine, fine_weights), (middle, middle_weights) = graded(1025), graded(65)
    best = operator(fine.mT, weights=fine_weights)
    errors = [
        (operator(x, weights=weights) - best[..., ::64]).norm() / best[..., ::64].norm(),
        (operator(middle.mT, weights=middle_weights) - best[..., ::16]).norm() / best[..., ::16].norm(),
    ]
    assert errors[1] < errors[0] / 10
