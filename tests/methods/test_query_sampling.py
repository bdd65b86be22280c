"""Training on some of the query points: which go together, what is drawn, and that a run resumes."""

import pytest
import torch
from torch import Tensor, nn

from sciml.data import aligned_split, operator_dataset, ragged_split
from sciml.errors import ConfigError
from sciml.methods import QuerySampling, sample_queries
from sciml.operators import deeponet
from sciml.spaces import RegularGrid
from sciml.tasks import OperatorRegression
from sciml.train import StepContext, Trainer


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_shared_points_give_one_block_of_functions_and_points() -> None:
    coords = torch.rand(9, 2)
    y = torch.arange(3.0)[:, None, None] + coords.sum(1)
    part = sample_queries({"coords": coords, "y": y.expand(3, 2, 9), "y.weight": coords[:, 0]}, 4, generator())
    assert part["y"].shape == (3, 2, 4)
    torch.testing.assert_close(part["y"], (torch.arange(3.0)[:, None, None] + part["coords"].sum(1)).expand(3, 2, 4))
    assert torch.equal(part["y.weight"], part["coords"][:, 0])
    assert len(part["coords"].unique(dim=0)) == 4


def test_points_of_each_function_are_drawn_for_it_and_padding_last() -> None:
    split = ragged_split(
        torch.rand(40, 5),
        [torch.rand(2 + i % 8, 1) for i in range(40)],
        [torch.rand(2 + i % 8) for i in range(40)],
    )
    batch = {**split.tensors, "y": split["coords"][..., 0] * 2}
    part = sample_queries(dict(batch), 4, generator())
    assert torch.equal(part["y"], 2 * part["coords"][..., 0])
    counts = split["y.mask"].sum(1).clamp(max=4)
    assert torch.equal(part["y.mask"].sum(1), counts)
    for row in range(40):
        drawn = part["coords"][row, part["y.mask"][row], 0]
        assert set(drawn.tolist()) <= set(split["coords"][row, split["y.mask"][row], 0].tolist())
        assert len(drawn.unique()) == counts[row]


def test_every_point_is_drawn_equally_often() -> None:
    counts, gen = torch.zeros(10), generator()
    coords = torch.arange(10.0)[:, None]
    for _ in range(2000):
        part = sample_queries({"coords": coords, "y": coords.T}, 3, gen)
        counts[part["coords"][:, 0].long()] += 1
    # 600 expected, the standard deviation is sqrt(2000 * 0.3 * 0.7) = 20.5.
    assert (counts - 600).abs().max() < 5 * 20.5


def test_a_field_on_a_grid_is_drawn_with_its_weights() -> None:
    grid = RegularGrid((4, 3), ((0, 1), (0, 1)))
    method = QuerySampling(num=5)
    method.setup(nn.Identity(), seed=3, total_steps=None)
    y = grid.points.sum(1).view(1, 1, 4, 3).expand(2, 1, 4, 3)
    context = StepContext(nn.Identity(), optimizer=None, batch={"coords": grid.points, "y": y}, grids={"y": grid})  # type: ignore[arg-type]
    method.on_batch_start(context)
    points = context.batch["coords"]
    torch.testing.assert_close(context.batch["y"][1, 0], points.sum(1))
    expected = [grid.weights[(grid.points == point).all(1)].item() for point in points]
    assert context.batch["y.weight"].tolist() == pytest.approx(expected)


def test_as_many_points_as_there_are_leave_the_batch_as_it_is() -> None:
    batch = {"coords": torch.rand(5, 1), "y": torch.rand(2, 5)}
    assert sample_queries(batch, 5, generator()) is batch


def antiderivatives(num: int) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.linspace(0, 1, 40)
    u = torch.randn(num, 3, generator=generator()) @ torch.stack([torch.cos(k * x) for k in (1, 2, 3)])
    return u, x, u.cumsum(1) / 40


@pytest.mark.parametrize("layout", ["aligned", "ragged"])
def test_training_on_some_points_learns_all_of_them_and_resumes(layout: str, tmp_path: object) -> None:
    u, x, y = antiderivatives(64)
    train = aligned_split(u, x, y)
    if layout == "ragged":
        keep = [torch.randperm(40, generator=torch.Generator().manual_seed(i))[: 20 + i % 20] for i in range(64)]
        train = ragged_split(u, [x[part] for part in keep], [y[i, part] for i, part in enumerate(keep)])
    data = operator_dataset({"train": train, "test": aligned_split(u, x, y)})

    def run(epochs: int, folder: str, resume: str | None = None) -> tuple[nn.Module, OperatorRegression]:
        torch.manual_seed(0)
        model, task = deeponet(sensors=40, modes=8, branch=[16], trunk=[16]), OperatorRegression()
        trainer = Trainer(max_epochs=epochs, batch_size=16, progress=False, run_dir=f"{tmp_path}/{folder}")
        trainer.fit(model, data, task, [QuerySampling(num=10)], optimizer={"name": "adam", "lr": 1e-2}, resume=resume)
        return model, task

    whole, task = run(30, "whole")
    run(11, "parts")
    parts, _ = run(30, "parts", "auto")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)
    errors = task.predict(whole, data["test"].batch(slice(None))) - data["test"]["y"]
    assert errors.norm() / data["test"]["y"].norm() < 0.15


def test_padding_changes_neither_loss_nor_error_nor_statistics() -> None:
    u, x, y = antiderivatives(8)
    counts = [10 + 3 * i for i in range(8)]
    split = ragged_split(u, [x[:n] for n in counts], [y[i, :n] for i, n in enumerate(counts)])
    wider = {key: nn.functional.pad(split[key], (0, 5), value=7.0 if key == "y" else 0) for key in ("y", "y.mask")}
    wider["coords"] = nn.functional.pad(split["coords"], (0, 0, 0, 5))
    padded = type(split)({**split.tensors, **wider})
    torch.manual_seed(0)
    model = deeponet(sensors=40, modes=8, branch=[16], trunk=[16])
    results = []
    for part in (split, padded):
        for loss in ("mse", "relative_l2"):
            task = OperatorRegression(loss=loss)
            data = operator_dataset({"train": part})
            task.setup(data)
            task.bind(model, list(part.tensors))
            results.append(task.compute(model, task.prepare(part).batch(slice(None))).loss.item())
            batch = part.batch(slice(None))
            prediction = task.predict(model, batch)
            results += [metric(prediction, batch, part).mean().item() for metric in task.metrics().values()]
    assert results[: len(results) // 2] == pytest.approx(results[len(results) // 2 :], rel=1e-6)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="num is 0"):
        QuerySampling(num=0)
    method = QuerySampling(num=2)
    with pytest.raises(ConfigError, match="has no query points to draw"):
        method.on_batch_start(StepContext(nn.Identity(), optimizer=None, batch={"x": torch.rand(2, 3)}))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected one value at each of the 5 points"):
        sample_queries({"coords": torch.rand(5, 1), "y": torch.rand(2, 6)}, 3, generator())
