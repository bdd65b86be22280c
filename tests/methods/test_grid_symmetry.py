"""Augmentation by the symmetries of a box: they form a group, are symmetries of the grid, and keep equations true."""

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from sciml import load_dataset
from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.methods import GridSymmetry, apply_symmetry, symmetries
from sciml.spaces import RegularGrid
from sciml.train import StepContext, Trainer

ALIGNMENTS = ["node", "cell", "left"]
FIVE_SIGMA = 2 * stats.norm.sf(5)

shapes = st.lists(st.sampled_from([2, 3, 4]), min_size=1, max_size=3).map(tuple)


def numbered(shape: tuple[int, ...]) -> Tensor:
    return torch.arange(math.prod(shape)).view(1, 1, *shape)


def images(shape: tuple[int, ...], alignment: str) -> list[tuple[int, ...]]:
    """What every symmetry does to the numbered points."""
    points = numbered(shape)
    return [tuple(apply_symmetry(points, g, alignment).flatten().tolist()) for g in symmetries(shape)]


# The group


@pytest.mark.parametrize(
    ("shape", "order"), [((5,), 2), ((4, 3), 4), ((4, 4), 8), ((3, 3, 4), 16), ((3, 3, 3), 48), ((3, 4, 5), 8)]
)
def test_the_number_of_symmetries_is_that_of_the_box(shape: tuple[int, ...], order: int) -> None:
    group = images(shape, "node")
    assert len(group) == len(set(group)) == order
    assert group[0] == tuple(range(math.prod(shape)))


@settings(deadline=None)
@given(shape=shapes, alignment=st.sampled_from(ALIGNMENTS), data=st.data())
def test_two_symmetries_in_turn_are_a_symmetry_and_each_has_an_inverse(
    shape: tuple[int, ...], alignment: str, data: st.DataObject
) -> None:
    group, known = symmetries(shape), set(images(shape, alignment))
    first, second = data.draw(st.sampled_from(group)), data.draw(st.sampled_from(group))
    turned = apply_symmetry(numbered(shape), first, alignment)
    assert tuple(apply_symmetry(turned, second, alignment).flatten().tolist()) in known
    assert any(torch.equal(apply_symmetry(turned, g, alignment), numbered(shape)) for g in group)


@settings(deadline=None)
@given(shape=shapes, alignment=st.sampled_from(ALIGNMENTS), data=st.data())
def test_symmetries_keep_all_distances(shape: tuple[int, ...], alignment: Any, data: st.DataObject) -> None:
    # On a left grid distances are those of the torus: its last end is the first point.
    grid = RegularGrid(shape, tuple((0.0, 1.0) for _ in shape), alignment=alignment)
    symmetry = data.draw(st.sampled_from(symmetries(shape)))
    points = grid.points[apply_symmetry(numbered(shape), symmetry, alignment).flatten()]

    def distances(p: Tensor) -> Tensor:
        gaps = (p[:, None] - p[None]).abs()
        return (torch.minimum(gaps, 1 - gaps) if alignment == "left" else gaps).square().sum(-1)

    torch.testing.assert_close(distances(points), distances(grid.points), rtol=1e-10, atol=1e-12)


def wave(points: Tensor) -> Tensor:
    """A function of period 1 without any symmetry."""
    x, y = points.unbind(-1)
    return (2 * math.pi * x).sin() + 0.3 * (2 * math.pi * (y + 2 * x) + 1).cos() + 0.1 * (4 * math.pi * y).sin()


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_the_turned_values_are_those_of_the_function_on_the_turned_box(alignment: Any) -> None:
    grid = RegularGrid((6, 6), ((0.0, 1.0), (0.0, 1.0)), alignment=alignment)
    values = wave(grid.points).view(1, 1, 6, 6)
    for order, flips in symmetries((6, 6)):
        points = grid.points.clone()
        for axis, flip in enumerate(flips):
            if flip:
                points[:, axis] = 1 - points[:, axis]
        points = points[:, [order.index(axis) for axis in range(2)]]
        expected = wave(points).view(1, 1, 6, 6)
        torch.testing.assert_close(apply_symmetry(values, (order, flips), alignment), expected, rtol=1e-10, atol=1e-12)


def test_axes_and_exchange_restrict_the_group() -> None:
    # Time, then two space axes.
    group = symmetries((4, 4, 4), axes=(1, 2))
    assert len(group) == 8
    assert all(order[0] == 0 and not flips[0] for order, flips in group)
    assert len(symmetries((4, 4), exchange=False)) == 4
    assert symmetries((4, 4), axes=()) == (((0, 1), (False, False)),)


# The method


def context(**fields: Tensor) -> StepContext:
    return StepContext(nn.Identity(), optimizer=None, batch=fields)  # type: ignore[arg-type]


def attached(seed: int = 0, **arguments: Any) -> GridSymmetry:
    method = GridSymmetry(**{"alignment": "node", **arguments})
    method.setup(nn.Identity(), seed, None)
    return method


def laplacian(u: Tensor) -> Tensor:
    """Five-point Laplacian on a periodic grid, which commutes with the symmetries of the square."""
    return sum(u.roll(shift, axis) for shift in (1, -1) for axis in (2, 3)) - 4 * u  # type: ignore[no-any-return]


def drift(u: Tensor) -> Tensor:
    """A derivative along one axis, which does not."""
    return u - u.roll(1, 2)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_pairs_of_an_equivariant_operator_stay_pairs(alignment: str, per_sample: bool) -> None:
    def holds(operator: Callable[[Tensor], Tensor]) -> bool:
        method = attached(alignment=alignment, per_sample=per_sample)
        x = torch.randn(6, 2, 5, 5, dtype=torch.float64)
        good = True
        for _ in range(10):
            step = context(x=x, y=operator(x))
            method.on_batch_start(step)
            good &= torch.allclose(operator(step.batch["x"]), step.batch["y"], rtol=1e-10, atol=1e-12)
        return good

    assert holds(laplacian)
    assert not holds(drift)


@pytest.mark.parametrize("per_sample", [False, True])
def test_every_symmetry_is_drawn_equally_often(per_sample: bool) -> None:
    method = attached(per_sample=per_sample)
    known = {image: index for index, image in enumerate(images((3, 3), "node"))}
    counts = [0] * 8
    batch, rounds = (50, 40) if per_sample else (1, 2000)
    for _ in range(rounds):
        step = context(x=numbered((3, 3)).repeat(batch, 1, 1, 1), y=numbered((3, 3)).repeat(batch, 1, 1, 1))
        method.on_batch_start(step)
        assert torch.equal(step.batch["x"], step.batch["y"])
        for sample in step.batch["x"]:
            counts[known[tuple(sample.flatten().tolist())]] += 1
    assert sum(counts) == 2000
    assert stats.chisquare(counts).pvalue > FIVE_SIGMA


def test_one_symmetry_for_the_batch_or_one_for_each_sample() -> None:
    x = numbered((4, 4)).repeat(64, 1, 1, 1)
    for per_sample in (False, True):
        step = context(x=x, y=x)
        attached(per_sample=per_sample).on_batch_start(step)
        assert len(step.batch["x"].unique(dim=0)) == (8 if per_sample else 1)


def test_other_fields_and_the_given_tensors_are_left_alone() -> None:
    x, coords = torch.rand(3, 1, 4, 4), torch.rand(16, 2)
    before, step = x.clone(), context(x=x, y=x, coords=coords)
    given = step.batch
    method = attached(per_sample=True)
    method.on_batch_start(step)
    assert torch.equal(x, before)
    assert given["x"] is x
    assert step.batch["coords"] is coords


def test_the_global_generator_is_not_used_and_the_seed_decides() -> None:
    state = torch.get_rng_state()
    x = numbered((4, 4))
    drawn = []
    for seed in (1, 1, 2):
        method = attached(seed)
        steps = [context(x=x, y=x) for _ in range(20)]
        for step in steps:
            method.on_batch_start(step)
        drawn.append(torch.cat([step.batch["x"] for step in steps]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_state_restores_the_stream() -> None:
    method, x = attached(1), numbered((4, 4))
    method.on_batch_start(context(x=x, y=x))
    twins = [copy.deepcopy(method), pickle.loads(pickle.dumps(method)), attached(2)]
    twins[2].load_state_dict(method.state_dict())
    expected = [context(x=x, y=x) for _ in range(9)]
    for step in expected:
        method.on_batch_start(step)
    for twin in twins:
        for step in expected:
            again = context(x=x, y=x)
            twin.on_batch_start(again)
            assert torch.equal(again.batch["x"], step.batch["x"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alignment": "nodes"}, "alignment is 'nodes'"),
        ({"fields": []}, "expected a list of names"),
        ({"fields": "x"}, "fields is 'x'"),
        ({"axes": [-1]}, r"axes is \[-1\]"),
        ({"axes": [0, 0]}, r"axes is \[0, 0\]"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GridSymmetry(**arguments)


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({"x": (2, 1, 4)}, {}, r"turns the fields \['y'\]"),
        ({"x": (2, 1, 4, 4), "y": (2, 1, 4)}, {}, r"on one grid, given .*\(2, 1, 4, 4\)"),
        ({"x": (2, 4), "y": (2, 4)}, {}, r"\(batch, channels, \*grid\)"),
        ({"x": (2, 1, 4), "y": (2, 1, 4)}, {"axes": [1]}, r"axes is \[1\], but the grid \(4,\)"),
    ],
)
def test_batches_that_do_not_fit_are_refused(fields: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attached(**arguments).on_batch_start(context(**{name: torch.zeros(shape) for name, shape in fields.items()}))


# With data


def test_darcy_samples_keep_their_walls_when_the_alignment_is_that_of_the_grid() -> None:
    # The wall at 0 is stored, where the pressure is nearly 0; the wall at 1 is not, and the last points are inside.
    train = load_dataset("darcy-small").train
    y = train["y"]
    assert train.grids["y"].alignment == "left"

    def largest_wall(alignment: str) -> float:
        turned = [apply_symmetry(y, g, alignment) for g in symmetries((16, 16))]
        return max(float(torch.cat([t[..., 0, :], t[..., :, 0]]).mean()) for t in turned)

    assert largest_wall("left") < 0.01
    assert largest_wall("node") > 0.1


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_resumed_run_equals_the_unbroken_run(
    line_data: Dataset, make_net: Any, per_sample: bool, tmp_path: Path
) -> None:
    def fit(model: nn.Module, steps: int, run: Path | None = None) -> None:
        trainer = Trainer(max_steps=steps, batch_size=5, progress=False, accelerator="cpu", run_dir=run)
        method = GridSymmetry(alignment="left", per_sample=per_sample)
        trainer.fit(model, line_data, methods=[method], resume="auto" if run else None)

    plain, whole, parts = make_net(), make_net(), make_net()
    plain.load_state_dict(whole.state_dict())
    parts.load_state_dict(whole.state_dict())
    fit(whole, 12)
    fit(parts, 7, tmp_path / "run")
    fit(parts, 12, tmp_path / "run")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)
    Trainer(max_steps=12, batch_size=5, progress=False, accelerator="cpu").fit(plain, line_data)
    assert not torch.equal(plain.layers[1].weight, whole.layers[1].weight)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (RegularGrid((4,), ((0.0, 1.0),)), [3, 2, 1, 0]),
        (RegularGrid((4,), ((0.0, 1.0),), alignment="cell"), [3, 2, 1, 0]),
        (RegularGrid((4,), ((0.0, 1.0),), alignment="left"), [0, 3, 2, 1]),
        (RegularGrid((4,), ((0.0, 1.0),), periodic=True), [0, 3, 2, 1]),
    ],
)
def test_the_alignment_is_read_from_the_data(grid: RegularGrid, expected: list[int]) -> None:
    method = GridSymmetry(fields=["x"])
    method.setup(nn.Identity(), seed=0, total_steps=None)
    x = torch.arange(4.0).view(1, 1, 4)
    seen = set()
    for _ in range(20):
        context = StepContext(nn.Identity(), optimizer=None, batch={"x": x}, grids={"x": grid})
        method.on_batch_start(context)
        seen.add(tuple(context.batch["x"].flatten().int().tolist()))
    assert seen == {(0, 1, 2, 3), tuple(expected)}


def test_without_a_grid_the_alignment_must_be_given() -> None:
    method = GridSymmetry(fields=["x"])
    method.setup(nn.Identity(), seed=0, total_steps=None)
    context = StepContext(nn.Identity(), optimizer=None, batch={"x": torch.zeros(1, 1, 4)})
    with pytest.raises(ConfigError, match="Set alignment"):
        method.on_batch_start(context)
