"""Trainer.fit: the plain loop, accumulation, clipping, schedules, callbacks, validation, phases, precision."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.tasks import OperatorRegression
from sciml.train import EMA, Callback, EarlyStopping, Phase, Trainer, evaluate
from sciml.train.optim import build_optimizer, build_schedule

ADAM = {"name": "adam", "lr": 1e-2}


def quiet(**kwargs: Any) -> Trainer:
    return Trainer(progress=False, accelerator="cpu", **kwargs)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def assert_equal(first: nn.Module, second: nn.Module) -> None:
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_fit_equals_a_bare_loop_bit_for_bit(line_data: Dataset, make_net: Any) -> None:
    model = make_net()
    twin = copy.deepcopy(model)
    quiet(max_epochs=3, batch_size=5, seed=4, shuffle=False).fit(
        model, line_data, OperatorRegression(loss="mse"), optimizer=ADAM
    )

    x, y = line_data.train["x"], line_data.train["y"]

    def standardized(u: torch.Tensor) -> torch.Tensor:
        d = u.double()
        return (u - d.mean().float()) / d.std(unbiased=False).float()

    x, y = standardized(x), standardized(y)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-2, fused=True)
    for _ in range(3):
        for start in range(0, len(x), 5):
            optimizer.zero_grad()
            nn.functional.mse_loss(twin(x[start : start + 5]), y[start : start + 5]).backward()
            optimizer.step()
    assert_equal(model, twin)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(line_data: Dataset, make_net: Any) -> None:
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        model = make_net(dropout=0.3)
        quiet(max_epochs=2, batch_size=4, seed=seed).fit(model, line_data)
        models.append(model)
    assert_equal(models[0], models[1])
    with pytest.raises(AssertionError):
        assert_equal(models[0], models[2])


def test_accumulated_batches_equal_one_large_batch(line_data: Dataset, make_net: Any) -> None:
    # 22 samples: the last accumulated step has 4 + 2 samples, so the weights of unequal batches are tested too.
    large, small = make_net(), make_net()
    small.load_state_dict(large.state_dict())
    task = {"loss": "mse"}
    quiet(max_epochs=2, batch_size=8, shuffle=False, precision="64-true").fit(
        large, line_data, OperatorRegression(**task), optimizer={"name": "sgd", "lr": 0.1}
    )
    quiet(max_epochs=2, batch_size=4, accumulate=2, shuffle=False, precision="64-true").fit(
        small, line_data, OperatorRegression(**task), optimizer={"name": "sgd", "lr": 0.1}
    )
    for a, b in zip(large.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_clipping_bounds_the_step_of_plain_sgd(line_data: Dataset, make_net: Any) -> None:
    model = make_net()
    before = weights(model)
    quiet(max_steps=1, clip_norm=1e-3).fit(model, line_data, optimizer={"name": "sgd", "lr": 1.0})
    change = torch.cat([(a - b).flatten() for a, b in zip(before, weights(model), strict=True)]).norm()
    assert change == pytest.approx(1e-3, rel=1e-3)


def test_max_steps_ends_the_run_in_the_middle_of_an_epoch(line_data: Dataset, make_net: Any) -> None:
    result = quiet(max_steps=7, batch_size=5).fit(make_net(), line_data)
    assert (result.steps, result.epochs) == (7, 1)
    assert [row["step"] for row in result.history] == [5, 7]


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"name": "step", "step_size": 1, "gamma": 0.5}, [1.0, 0.5, 0.25]),
        ({"name": "step", "step_size": 5, "gamma": 0.5, "interval": "step"}, [0.5, 0.25, 0.125]),
        ({"name": "cosine"}, [0.75, 0.25, 0.0]),
    ],
)
def test_schedules_step_with_steps_or_epochs(
    scheduler: dict[str, Any], expected: list[float], line_data: Dataset, make_net: Any
) -> None:
    result = quiet(max_epochs=3, batch_size=5).fit(
        make_net(), line_data, optimizer={"name": "sgd", "lr": 1.0}, scheduler=scheduler
    )
    assert [row["lr"] for row in result.history] == pytest.approx(expected, abs=1e-12)


def test_plateau_reads_the_monitored_metric(line_data: Dataset, make_net: Any) -> None:
    scheduler = {"name": "plateau", "patience": 0, "factor": 0.1, "mode": "max"}
    result = quiet(max_epochs=4, batch_size=5, monitor="val/mse").fit(
        make_net(), line_data, optimizer={"name": "sgd", "lr": 1e-3}, scheduler=scheduler
    )
    mse = [row["val/mse"] for row in result.history]
    lr, best, expected = 1e-3, -float("inf"), []
    for value in mse:
        expected.append(lr)
        # ReduceLROnPlateau in mode max with relative threshold 1e-4 and no patience.
        if value > best * (1 + 1e-4) or best == -float("inf"):
            best = value
        else:
            lr *= 0.1
    assert [row["lr"] for row in result.history] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mode", "scheduler", "expected"), [("min", {}, "min"), ("max", {}, "max"), ("max", {"mode": "min"}, "min")]
)
def test_plateau_follows_the_mode_of_the_trainer_unless_it_has_its_own(
    mode: str, scheduler: dict[str, Any], expected: str, line_data: Dataset, make_net: Any
) -> None:
    # A column that rises: the number of the epoch. To a plateau that waits for a fall this is none, so it reacts.
    result = quiet(max_epochs=4, monitor="epoch", mode=mode).fit(
        make_net(), line_data, scheduler={"name": "plateau", "patience": 0, "factor": 0.5, **scheduler}
    )
    falling = [row["lr"] for row in result.history]
    assert falling == pytest.approx([1e-3] * 4 if expected == "max" else [1e-3, 1e-3, 5e-4, 2.5e-4])


def test_lbfgs_solves_a_linear_problem_through_its_closure(line_data: Dataset) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.Unflatten(1, (1, 8)))
    result = quiet(max_epochs=20, batch_size=22).fit(
        model,
        line_data,
        OperatorRegression(loss="mse"),
        optimizer={"name": "lbfgs", "line_search_fn": "strong_wolfe"},
        inputs={"input": "x"},
    )
    assert result.history[-1]["val/relative_l2"] < 1e-3


def test_ema_is_validated_and_kept(line_data: Dataset, make_net: Any) -> None:
    class Recorder(Callback):
        def __init__(self) -> None:
            self.trajectory: list[list[torch.Tensor]] = []

        def on_step_end(self, loop: Any) -> None:
            self.trajectory.append(weights(loop.model))

    model, recorder, task = make_net(), Recorder(), OperatorRegression()
    average = weights(model)
    result = quiet(max_epochs=2, batch_size=5, callbacks=[EMA(0.9), recorder]).fit(model, line_data, task)
    for step in recorder.trajectory:
        average = [0.9 * a + 0.1 * p for a, p in zip(average, step, strict=True)]
    for expected, parameter in zip(average, model.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=1e-6)
    now = evaluate(model, task, line_data["val"])["relative_l2"]
    assert result.history[-1]["val/relative_l2"] == pytest.approx(now, rel=1e-6)


def test_early_stopping_ends_a_run_that_no_longer_improves(line_data: Dataset, make_net: Any) -> None:
    trainer = quiet(max_epochs=50, batch_size=22, callbacks=[EarlyStopping("val/relative_l2", patience=2)])
    result = trainer.fit(make_net(), line_data, optimizer={"name": "sgd", "lr": 1e-30})
    assert result.epochs == 4
    assert "val/relative_l2" in result.stop_reason


def test_early_stopping_on_an_unknown_column_names_the_columns(line_data: Dataset, make_net: Any) -> None:
    with pytest.raises(ConfigError, match=r"val/mse"):
        quiet(max_epochs=2, callbacks=[EarlyStopping("val/nothing")]).fit(make_net(), line_data)


def test_restore_best_ends_with_the_best_validation(line_data: Dataset, make_net: Any) -> None:
    model, task = make_net(), OperatorRegression()
    trainer = quiet(max_epochs=6, batch_size=5, restore_best=True)
    result = trainer.fit(model, line_data, task, optimizer={"name": "sgd", "lr": 3.0})
    best = min(row["val/relative_l2"] for row in result.history)
    assert trainer.test(model, line_data, prefix="val")["val"]["relative_l2"] == pytest.approx(best, rel=1e-6)


def test_every_validation_split_is_logged(line_data: Dataset, make_net: Any) -> None:
    data = Dataset({**line_data.splits, "val_other": line_data["test"]}, line_data.spec)
    row = quiet(max_epochs=1).fit(make_net(), data).history[0]
    assert {"val/relative_l2", "val_other/relative_l2", "val/mse", "train/loss"} <= set(row)


def test_validation_does_not_change_training(line_data: Dataset, make_net: Any) -> None:
    with_val, without = make_net(dropout=0.5), make_net(dropout=0.5)
    without.load_state_dict(with_val.state_dict())
    quiet(max_epochs=3).fit(with_val, line_data)
    quiet(max_epochs=3).fit(without, Dataset({"train": line_data.train}, line_data.spec))
    assert_equal(with_val, without)


def test_phases_train_only_their_parameters(line_data: Dataset, make_net: Any) -> None:
    class Staged(OperatorRegression):
        def phases(self) -> list[Phase]:
            return [Phase(1, ["layers.1.*"]), Phase(2, ["layers.4.*"], {"name": "sgd", "lr": 0.1})]

    class Recorder(Callback):
        def __init__(self) -> None:
            self.rows: list[list[torch.Tensor]] = []

        def on_epoch_end(self, loop: Any, row: dict[str, float]) -> None:
            self.rows.append(weights(loop.model))

    model, recorder = make_net(), Recorder()
    start = weights(model)
    result = quiet(batch_size=5, callbacks=[recorder]).fit(model, line_data, Staged(), optimizer=ADAM)
    assert result.epochs == 3
    first, last = recorder.rows[0], recorder.rows[-1]
    assert torch.equal(first[2], start[2])
    assert not torch.equal(first[0], start[0])
    assert torch.equal(last[0], first[0])
    assert not torch.equal(last[2], first[2])
    assert [row["lr"] for row in result.history] == [1e-2, 0.1, 0.1]


def test_a_phase_pattern_without_a_match_is_an_error(line_data: Dataset, make_net: Any) -> None:
    class Staged(OperatorRegression):
        def phases(self) -> list[Phase]:
            return [Phase(1, ["nothing.*"])]

    with pytest.raises(ConfigError, match=r"nothing\.\*.*layers\.1\.weight"):
        quiet().fit(make_net(), line_data, Staged())


def test_a_closed_form_task_needs_no_loop(line_data: Dataset) -> None:
    class LeastSquares(OperatorRegression):
        def fit_closed_form(self, model: nn.Module, dataset: Dataset) -> bool:
            data = self.prepare(dataset.train)
            solution = torch.linalg.lstsq(data["x"].flatten(1), data["y"].flatten(1)).solution
            with torch.no_grad():
                model[1].weight.copy_(solution.T)  # type: ignore[index]
                model[1].bias.zero_()  # type: ignore[index]
            return True

    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.Unflatten(1, (1, 8)))
    trainer = quiet(max_epochs=1)
    result = trainer.fit(model, line_data, LeastSquares(), inputs={"input": "x"})
    assert result.steps == 0
    assert trainer.test(model, line_data)["test"]["relative_l2"] < 1e-4


def test_double_precision_trains_in_double(line_data: Dataset, make_net: Any) -> None:
    model = make_net()
    quiet(max_steps=2, precision="64-true").fit(model, line_data)
    assert all(parameter.dtype == torch.float64 for parameter in model.parameters())


def test_bfloat16_autocast_trains(line_data: Dataset, make_net: Any) -> None:
    model = make_net()
    result = quiet(max_epochs=30, batch_size=11, precision="bf16-mixed").fit(model, line_data, optimizer=ADAM)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert result.history[-1]["train/loss"] < 0.5 * result.history[0]["train/loss"]


@pytest.mark.slow
def test_a_compiled_model_follows_the_plain_one(line_data: Dataset, make_net: Any) -> None:
    plain, compiled = make_net(), make_net()
    compiled.load_state_dict(plain.state_dict())
    quiet(max_steps=5).fit(plain, line_data)
    quiet(max_steps=5, compile="model").fit(compiled, line_data)
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "max_epochs or max_steps"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"max_epochs": 1, "batch_size": -1}, "batch_size is -1"),
        ({"max_epochs": 1, "clip_norm": 0.0}, "clip_norm is 0"),
        ({"max_epochs": 1, "compile": "all"}, "compile is 'all'"),
        ({"max_epochs": 1, "mode": "least"}, "mode is 'least'"),
        ({"max_epochs": 1, "precision": "8"}, "precision is '8'"),
        ({"max_epochs": 1, "monitor": "val/nothing"}, "val/mse"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    kwargs: dict[str, Any], message: str, line_data: Dataset, make_net: Any
) -> None:
    with pytest.raises(ConfigError, match=message):
        quiet(**kwargs).fit(make_net(), line_data)


def test_an_unknown_accelerator_is_refused() -> None:
    with pytest.raises(ConfigError, match="accelerator is 'abacus'"):
        _ = Trainer(max_epochs=1, accelerator="abacus").engine


def test_unknown_optimizers_and_arguments_are_named() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(LookupError, match="Did you mean 'adam'"):
        build_optimizer({"name": "addam"}, model)
    with pytest.raises(ConfigError, match="no argument learning_rate"):
        build_optimizer({"name": "adam", "learning_rate": 1}, model)
    with pytest.raises(ConfigError, match="Invalid learning rate"):
        build_optimizer({"name": "adam", "lr": -1.0}, model)
    with pytest.raises(ConfigError, match="needs a name"):
        build_optimizer({"lr": 1.0}, model)
    optimizer = build_optimizer({"name": "sgd", "lr": 1.0}, model)
    with pytest.raises(ConfigError, match="interval is 'year'"):
        build_schedule({"name": "cosine", "interval": "year"}, optimizer, 1, 1)


def test_fused_optimizers_are_used_for_real_parameters_only() -> None:
    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, dtype=torch.complex64))

    assert build_optimizer({"name": "adam"}, nn.Linear(1, 1)).defaults["fused"]
    assert not build_optimizer({"name": "adam"}, Complex()).defaults["fused"]
