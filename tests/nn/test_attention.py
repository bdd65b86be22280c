"""Weighted attention against sums written out, torch's own layers, and the integrals that it converges to."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import ConfigError
from sciml.nn.attention import attention_matrix, linear_attention, weighted_attention
from sciml.nn.integral_attention import IntegralAttention

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def randn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


def quadrature(q: Tensor, k: Tensor, v: Tensor, weights: Tensor, scale: float) -> Tensor:
    """The quotient of the two integrals, with loops; (batch, heads, points, d)."""
    q, k, v, weights = (x.numpy() for x in (q, k, v, weights))
    out = np.zeros((*q.shape[:3], v.shape[3]))
    for b, h, i in np.ndindex(*q.shape[:3]):
        above, below = np.zeros(v.shape[3]), 0.0
        for j in range(k.shape[2]):
            kernel = weights[b, j] * math.exp(scale * float(q[b, h, i] @ k[b, h, j]))
            above, below = above + kernel * v[b, h, j], below + kernel
        out[b, h, i] = above / below
    return torch.from_numpy(out)


@pytest.mark.parametrize("shared", [True, False])
def test_it_is_the_quotient_of_two_sums(shared: bool) -> None:
    q, k, v, weights = randn(2, 3, 4, 5), randn(2, 3, 6, 5), randn(2, 3, 6, 7), torch.rand(2, 6).double()
    if shared:
        weights[1] = weights[0]
    expected = quadrature(q, k, v, weights, 5**-0.5)
    given_weights = weights[0] if shared else weights
    torch.testing.assert_close(weighted_attention(q, k, v, given_weights), expected, **EXACT)
    torch.testing.assert_close(attention_matrix(q, k, given_weights) @ v, expected, **EXACT)
    torch.testing.assert_close(
        weighted_attention(q, k, v, given_weights, scale=0.3), quadrature(q, k, v, weights, 0.3), **EXACT
    )


def test_tensors_without_heads_or_batch_work() -> None:
    q, k, v, weights = randn(2, 4, 5), randn(2, 6, 5), randn(2, 6, 5), torch.rand(2, 6).double()
    expected = quadrature(q[:, None], k[:, None], v[:, None], weights, 5**-0.5)[:, 0]
    torch.testing.assert_close(weighted_attention(q, k, v, weights), expected, **EXACT)
    torch.testing.assert_close(weighted_attention(q[0], k[0], v[0], weights[0]), expected[0], **EXACT)
    torch.testing.assert_close(attention_matrix(q[1], k[1], weights[1]) @ v[1], expected[1], **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_weights_are_plain_attention_bit_for_bit(dtype: torch.dtype) -> None:
    q, k, v = randn(3, 2, 4, 16, 8, dtype=dtype).unbind()
    plain = F.scaled_dot_product_attention(q, k, v)
    for weights in (None, torch.full((16,), 1 / 3, dtype=dtype), torch.full((2, 16), 5.0, dtype=dtype)):
        assert torch.equal(weighted_attention(q, k, v, weights), plain)
    trained = torch.full((16,), 0.1, dtype=dtype, requires_grad=True)
    bound = 1e-12 if dtype == torch.float64 else 1e-6
    assert (weighted_attention(q, k, v, trained) - plain).abs().max() <= bound


def test_masks_and_causality_go_with_weights() -> None:
    q, k, v, weights = randn(2, 3, 6, 5), randn(2, 3, 6, 5), randn(2, 3, 6, 5), torch.rand(2, 6).double()
    visible = torch.rand(6, 6) < 0.7
    visible[:, 0] = True
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    added = randn(2, 3, 6, 6)
    logits, logs = q @ k.mT / 5**0.5, weights.log()[:, None, None]
    cases = [
        ({"mask": visible}, logs.masked_fill(~visible, -torch.inf)),
        ({"mask": added}, logs + added),
        ({"is_causal": True}, logs.masked_fill(~causal, -torch.inf)),
        ({"mask": visible, "is_causal": True}, logs.masked_fill(~(visible & causal), -torch.inf)),
        ({"mask": added, "is_causal": True}, (logs + added).masked_fill(~causal, -torch.inf)),
    ]
    for options, bias in cases:
        expected = (logits + bias).softmax(-1)
        torch.testing.assert_close(weighted_attention(q, k, v, weights, **options), expected @ v, **EXACT)
        torch.testing.assert_close(attention_matrix(q, k, weights, **options), expected, **EXACT)
        expected = (logits + bias - logs).softmax(-1)
        torch.testing.assert_close(weighted_attention(q, k, v, **options), expected @ v, **EXACT)
        torch.testing.assert_close(attention_matrix(q, k, **options), expected, **EXACT)


@given(seed=st.integers(0, 10**6), points=st.integers(2, 9), split=st.floats(0.05, 0.95), factor=st.floats(1e-6, 1e6))
def test_a_point_may_be_split_points_permuted_and_weights_scaled(
    seed: int, points: int, split: float, factor: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 2, 2, points, 4, dtype=torch.float64, generator=generator).unbind()
    weights = torch.rand(2, points, dtype=torch.float64, generator=generator) + 0.01
    j = seed % points
    twice = torch.cat([torch.arange(points), torch.tensor([j])])
    parts = weights[:, twice].clone()
    parts[:, j] *= split
    parts[:, -1] *= 1 - split
    order = torch.randperm(points, generator=generator)
    for attend, homogeneous in ((weighted_attention, 0), (linear_attention, 1)):
        expected = attend(q, k, v, weights)
        torch.testing.assert_close(attend(q, k[:, :, twice], v[:, :, twice], parts), expected, **EXACT)
        permuted = attend(q[:, :, order], k[:, :, order], v[:, :, order], weights[:, order])
        torch.testing.assert_close(permuted, expected[:, :, order], **EXACT)
        torch.testing.assert_close(attend(q, k, v, factor * weights), factor**homogeneous * expected, **EXACT)


@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("attend", [weighted_attention, linear_attention])
def test_points_of_weight_zero_have_no_influence_on_values_or_gradients(attend, garbage: float) -> None:
    q, k, v, weights = randn(2, 3, 4, 5), randn(2, 3, 8, 5), randn(2, 3, 8, 5), torch.rand(2, 8).double() + 0.1
    weights[:, 5:] = 0
    k[:, :, 5:] = garbage
    v[:, :, 5:] = garbage
    leaves = [x.clone().requires_grad_() for x in (q, k, v, weights)]
    out = attend(*leaves)
    kept = [x.clone().requires_grad_() for x in (q, k[:, :, :5], v[:, :, :5], weights[:, :5])]
    expected = attend(*kept)
    torch.testing.assert_close(out, expected, **EXACT)
    out.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(leaves[1].grad[:, :, 5:], torch.zeros(2, 3, 3, 5).double())
    assert torch.equal(leaves[2].grad[:, :, 5:], torch.zeros(2, 3, 3, 5).double())
    torch.testing.assert_close(leaves[0].grad, kept[0].grad, **EXACT)
    torch.testing.assert_close(leaves[1].grad[:, :, :5], kept[1].grad, **EXACT)
    torch.testing.assert_close(leaves[2].grad[:, :, :5], kept[2].grad, **EXACT)
    torch.testing.assert_close(leaves[3].grad[:, :5], kept[3].grad, **EXACT)


def test_weights_that_vanish_get_no_gradient_from_softmax() -> None:
    weights = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    weighted_attention(torch.randn(2, 4), torch.randn(3, 4), torch.randn(3, 4), weights).sum().backward()
    assert weights.grad[1] == 0
    assert weights.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_query_that_sees_nothing_gets_zero(dtype: torch.dtype) -> None:
    q, k, v = (x.requires_grad_() for x in randn(3, 2, 2, 4, 8, dtype=dtype).unbind())
    weights = torch.tensor([[0.0] * 4, [1.0, 2.0, 0.0, 1.0]])
    out = weighted_attention(q, k, v, weights)
    assert torch.equal(out[0], torch.zeros_like(out[0]))
    assert out[1].abs().min() > 0
    out.float().square().sum().backward()
    for x in (q, k, v):
        assert torch.equal(x.grad[0], torch.zeros_like(x.grad[0]))
        assert x.grad.isfinite().all()
    matrix = attention_matrix(q, k, weights, torch.eye(4, dtype=torch.bool))
    assert torch.equal(matrix[1, :, 2], torch.zeros_like(matrix[1, :, 2]))
    assert torch.equal(matrix[1, :, 1, 1], torch.ones_like(matrix[1, :, 1, 1]))
    assert torch.equal(matrix[0], torch.zeros_like(matrix[0]))


def function_on(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, queries and values as smooth functions of a coordinate."""
    k = torch.stack([torch.sin(3 * t), torch.cos(2 * t)], -1)
    q = torch.stack([torch.cos(t), 1 + t], -1)
    v = torch.stack([torch.exp(t), torch.sin(5 * t)], -1)
    return q, k, v


def trapezoid(x: Tensor) -> Tensor:
    steps = x.diff()
    return torch.cat([steps[:1] / 2, (steps[1:] + steps[:-1]) / 2, steps[-1:] / 2])


@pytest.mark.parametrize("attend", [weighted_attention, linear_attention])
@pytest.mark.parametrize("power", [1, 2])
def test_order_is_two_with_trapezoid_weights_on_uniform_and_graded_points(attend, power: int) -> None:
    targets, _, _ = function_on(torch.linspace(0, 1, 7).double())
    nodes, gauss = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(60))
    _, k, v = function_on((nodes + 1) / 2)
    kernel = targets @ k.T
    kernel = kernel if attend is linear_attention else (kernel / 2**0.5).exp()
    limit = (kernel * gauss) @ v / (2 if attend is linear_attention else (kernel @ gauss)[:, None])
    errors, unweighted = [], []
    for n in (16, 32, 64, 128, 256):
        x = torch.linspace(0, 1, n + 1).double() ** power
        _, k, v = function_on(x)
        errors.append(float((attend(targets, k, v, trapezoid(x)) - limit).norm() / limit.norm()))
        unweighted.append(float((attend(targets, k, v) - limit).norm() / limit.norm()))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders >= 1.8) & (orders <= 2.2)).all()
    # Without weights the repeated end costs an order, and a graded mesh the convergence.
    if power == 1:
        orders = np.log2(np.divide(unweighted[:-1], unweighted[1:]))
        assert ((orders >= 0.8) & (orders <= 1.2)).all()
    else:
        assert unweighted[-1] > 0.9 * unweighted[0]


def test_linear_attention_is_the_double_sum() -> None:
    q, k, v, weights = randn(2, 3, 4, 5), randn(2, 3, 6, 5), randn(2, 3, 6, 7), torch.rand(2, 6).double()
    expected = torch.zeros(2, 3, 4, 7).double()
    for b, h, i, j in np.ndindex(2, 3, 4, 6):
        expected[b, h, i] += weights[b, j] * (q[b, h, i] @ k[b, h, j]) * v[b, h, j]
    torch.testing.assert_close(linear_attention(q, k, v, weights), expected, **EXACT)
    mean = linear_attention(q, k, v)
    torch.testing.assert_close(mean, linear_attention(q, k, v, torch.ones(6).double() / 6), **EXACT)


def test_derivatives_are_right() -> None:
    q, k, v = (x.requires_grad_() for x in randn(3, 2, 2, 3, 2).unbind())
    weights = (torch.rand(2, 3).double() + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(weighted_attention, (q, k, v, weights))
    assert torch.autograd.gradcheck(lambda q, k, w: attention_matrix(q, k, w), (q, k, weights))
    assert torch.autograd.gradcheck(linear_attention, (q, k, v, weights))
    assert torch.autograd.gradcheck(lambda *x: weighted_attention(*x, weights.detach()), (q, k, v))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_short_types_stay_close_to_double(dtype: torch.dtype, bound: float) -> None:
    """The bound is a few units in the last place of the type."""
    q, k, v = randn(3, 2, 2, 64, 16, dtype=dtype).unbind()
    weights = torch.rand(2, 64) ** 2 * 1e-3
    exact = weighted_attention(q.double(), k.double(), v.double(), weights.double())
    out = weighted_attention(q, k, v, weights)
    assert out.dtype == dtype
    assert (out.double() - exact).abs().max() <= bound * exact.abs().max()


def test_a_compiled_graph_has_no_breaks_and_the_same_values() -> None:
    q, k, v, weights = randn(2, 2, 8, 4), randn(2, 2, 8, 4), randn(2, 2, 8, 4), torch.rand(2, 8).double()
    weights[0, 3:] = 0
    compiled = torch.compile(weighted_attention, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(q, k, v, weights), weighted_attention(q, k, v, weights), **EXACT)


@pytest.mark.parametrize("attend", [weighted_attention, linear_attention, lambda q, k, v, w: attention_matrix(q, k, w)])
def test_wrong_weights_are_refused(attend) -> None:
    q, k, v = randn(3, 2, 2, 4, 8).unbind()
    with pytest.raises(ConfigError, match=r"\(3,\), expected one for each of the points, \(4,\), or \(2, 4\)"):
        attend(q, k, v, torch.ones(3))
    with pytest.raises(ConfigError, match="expected one for each"):
        attend(q, k, v, torch.ones(2, 2, 4))
    with pytest.raises(ConfigError, match=r"between -1 and 1.*not negative"):
        attend(q, k, v, torch.tensor([1.0, -1.0, 1.0, 1.0]))
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="finite"):
            attend(q, k, v, torch.tensor([1.0, wrong, 1.0, 1.0]))


LAYERS = [
    {},
    {"bias": False},
    {"dropout": 0.3},
    {"kdim": 6, "vdim": 10},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "kdim": 6, "dropout": 0.2},
]


def masks_of(kind: str, targets: int, points: int) -> dict[str, Tensor]:
    hidden, padded = torch.rand(targets, points) < 0.3, torch.rand(2, points) < 0.3
    hidden[:, 0] = False
    padded[:, 0] = False
    return {
        "none": {},
        "padding": {"key_padding_mask": padded},
        "bool": {"attn_mask": hidden, "key_padding_mask": padded},
        "float": {"attn_mask": randn(targets, points)},
        "heads": {"attn_mask": hidden.expand(8, -1, -1).clone().roll(1, 1)},
        "floats": {"attn_mask": randn(8, targets, points), "key_padding_mask": randn(2, points)},
    }[kind]


def outcome(layer: nn.Module, inputs: tuple[Tensor, ...], options: dict) -> list[Tensor | None]:
    """Output, attention weights and all gradients of one call."""
    inputs = tuple(x.clone().requires_grad_() for x in inputs)
    layer.zero_grad()
    torch.manual_seed(3)
    out, matrix = layer(*inputs, **options)
    loss = out.square().sum()
    (loss if matrix is None else loss + matrix.square().sum()).backward()
    return [out, matrix, *(x.grad for x in inputs), *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("kind", ["none", "padding", "bool", "float", "heads", "floats"])
@pytest.mark.parametrize("arguments", LAYERS, ids=str)
def test_the_layer_with_equal_weights_is_that_of_torch(arguments: dict, kind: str) -> None:
    for batch_first in (False, True):
        plain = nn.MultiheadAttention(8, 4, batch_first=batch_first, dtype=torch.float64, **arguments)
        layer = IntegralAttention(8, 4, batch_first=batch_first, dtype=torch.float64, **arguments)
        layer.load_state_dict(plain.state_dict())
        inputs = (randn(5, 2, 8), randn(6, 2, layer.kdim), randn(6, 2, layer.vdim))
        inputs = tuple(x.transpose(0, 1) if batch_first else x for x in inputs)
        masks = masks_of(kind, 5, 6)
        for training in (True, False):
            plain.train(training), layer.train(training)
            for shown in ({}, {"need_weights": False}, {"average_attn_weights": False}):
                expected = outcome(plain, inputs, masks | shown)
                for weights in (None, torch.ones(6), torch.ones(2, 6).double()):
                    found = outcome(layer, inputs, masks | shown | ({} if weights is None else {"weights": weights}))
                    for a, b in zip(found, expected, strict=True):
                        assert (a is None) == (b is None)
                        if a is not None:
                            torch.testing.assert_close(a, b, **EXACT)


def test_self_attention_without_a_batch_or_gradients_is_that_of_torch() -> None:
    plain = nn.MultiheadAttention(8, 4, batch_first=True, dtype=torch.float64).eval()
    layer = IntegralAttention.from_module(plain)
    x, weights = randn(2, 6, 8), torch.full((6,), 0.2).double()
    with torch.no_grad():
        for a, b in zip(layer(x, x, x, weights=weights), plain(x, x, x), strict=True):
            torch.testing.assert_close(a, b, **EXACT)
    causal = torch.ones(6, 6, dtype=torch.bool).triu(1)
    options = {"attn_mask": causal, "is_causal": True, "need_weights": False}
    torch.testing.assert_close(layer(x, x, x, weights=weights, **options)[0], plain(x, x, x, **options)[0], **EXACT)
    for a, b in zip(layer(x[0], x[0], x[0], weights=weights), plain(x[0], x[0], x[0]), strict=True):
        torch.testing.assert_close(a, b, **EXACT)
    padded = torch.tensor([False, True, False, False, True, True])
    a = layer(x[0], x[0], x[0], key_padding_mask=padded, weights=weights)[0]
    torch.testing.assert_close(a, plain(x[0], x[0], x[0], key_padding_mask=padded)[0], **EXACT)


@pytest.mark.parametrize("arguments", LAYERS, ids=str)
@pytest.mark.parametrize("need_weights", [True, False])
def test_whole_weights_are_repeated_points_also_beside_the_extra_slots(arguments: dict, need_weights: bool) -> None:
    layer = IntegralAttention(8, 4, batch_first=True, dtype=torch.float64, **arguments).eval()
    query, key, value = randn(2, 5, 8), randn(2, 4, layer.kdim), randn(2, 4, layer.vdim)
    counts = torch.tensor([1, 3, 0, 2])
    repeated = (query, key.repeat_interleave(counts, 1), value.repeat_interleave(counts, 1))
    expected = nn.MultiheadAttention.forward(layer, *repeated, need_weights=need_weights)[0]
    out, matrix = layer(query, key, value, weights=counts, need_weights=need_weights)
    torch.testing.assert_close(out, expected, **EXACT)
    if need_weights:
        torch.testing.assert_close(matrix.sum(-1), torch.ones(2, 5).double(), **EXACT)
        assert torch.equal(matrix[:, :, 2], torch.zeros(2, 5).double())


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_sample_without_points_gives_the_bias_and_no_gradient(need_weights: bool) -> None:
    layer = IntegralAttention(8, 4, batch_first=True)
    nn.init.normal_(layer.out_proj.bias)
    x = torch.randn(2, 6, 8)
    x[0, :, 0] = 1e30
    weights = torch.tensor([[0.0] * 6, [1.0] * 6])
    out, matrix = layer(torch.randn(2, 3, 8), x, x, weights=weights, need_weights=need_weights)
    assert torch.equal(out[0], layer.out_proj.bias.expand(3, -1))
    if matrix is not None:
        assert torch.equal(matrix[0], torch.zeros(3, 6))
    out.sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_the_layer_converges_on_graded_points_at_any_queries() -> None:
    layer = IntegralAttention(2, 1, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        layer.in_proj_weight.mul_(3)
    targets = randn(1, 5, 2)
    outputs = []
    for n in (16, 32, 64, 128, 1024):
        x = torch.linspace(0, 1, n + 1).double() ** 2
        source = function_on(x)[1][None]
        outputs.append(layer(targets, source, source, weights=trapezoid(x))[0].detach())
    errors = [float((out - outputs[-1]).norm()) for out in outputs[:-1]]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders >= 1.8) & (orders <= 2.2)).all()


def test_parameters_are_shared_and_state_is_that_of_torch() -> None:
    plain = nn.MultiheadAttention(8, 4, add_bias_kv=True, kdim=3)
    layer = IntegralAttention.from_module(plain)
    assert all(a is b for a, b in zip(layer.parameters(), plain.parameters(), strict=True))
    assert list(layer.state_dict()) == list(plain.state_dict())
    assert IntegralAttention.from_module(layer).in_proj_bias is plain.in_proj_bias
    query, key, value, weights = torch.randn(5, 2, 8), torch.randn(6, 2, 3), torch.randn(6, 2, 8), torch.rand(6)
    out = layer(query, key, value, weights=weights)[0]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(query, key, value, weights=weights)[0], out)
    layer.eval()
    assert plain.training


def test_it_stands_in_a_transformer_layer() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dtype=torch.float64)
    x = randn(2, 6, 8)
    torch.manual_seed(1)
    expected = block(x)
    block.self_attn = IntegralAttention.from_module(block.self_attn)
    torch.manual_seed(1)
    torch.testing.assert_close(block(x), expected, **EXACT)


class _Other(nn.MultiheadAttention):
    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs)


def test_wrong_calls_of_the_layer_are_refused() -> None:
    layer, x = IntegralAttention(8, 4, batch_first=True), torch.randn(2, 6, 8)
    weights = torch.ones(6)
    with pytest.raises(ConfigError, match=r"\(5,\), expected one for each of the points, \(6,\), or \(2, 6\)"):
        layer(x, x, x, weights=torch.ones(5))
    with pytest.raises(ConfigError, match="not negative"):
        layer(x, x, x, weights=-torch.arange(6.0))
    with pytest.raises(ConfigError, match="as many values as keys"):
        layer(x, x, x[:, :3], weights=weights)
    with pytest.raises(ConfigError, match="all with or all without a batch axis"):
        layer(x[0], x, x, weights=weights)
    with pytest.raises(ConfigError, match=r"attn_mask has shape .*expected one of"):
        layer(x, x, x, attn_mask=torch.zeros(6, 5), weights=weights)
    with pytest.raises(ConfigError, match=r"key_padding_mask has shape \(2, 5\), expected \(2, 6\)"):
        layer(x, x, x, key_padding_mask=torch.zeros(2, 5), weights=weights)
    with pytest.raises(ConfigError, match="Give the causal attn_mask"):
        layer(x, x, x, is_causal=True, weights=weights)
    with pytest.raises(TypeError, match="module is a _Other"):
        IntegralAttention.from_module(_Other(8, 4))
    with pytest.raises(TypeError, match="module is a Linear"):
        IntegralAttention.from_module(nn.Linear(8, 4))
