"""Columns of the log that cannot come are refused before the first epoch, with the nearest one that can."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.methods import GradientNoise
from sciml.train import Callback, EarlyStopping, Trainer


def quiet(**kwargs: Any) -> Trainer:
    return Trainer(progress=False, accelerator="cpu", **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"monitor": "nonsense"}, r"'nonsense', expected a column of the log: .*val/relative_l2, val/mse"),
        ({"monitor": "relative_l2"}, "Did you mean 'val/relative_l2'"),
        ({"monitor": "val/relativ_l2"}, "Did you mean 'val/relative_l2'"),
        ({"monitor": "val_2/mse"}, "Did you mean 'val/mse'"),
        ({"callbacks": [EarlyStopping("val/mes")]}, r"EarlyStopping\.monitor .*Did you mean 'val/mse'"),
    ],
)
def test_a_column_that_cannot_come_is_refused(
    kwargs: dict[str, Any], message: str, line_data: Dataset, make_net: Any
) -> None:
    with pytest.raises(ConfigError, match=message):
        quiet(max_epochs=1, **kwargs).fit(make_net(), line_data)


def test_without_a_validation_split_the_message_says_how_to_hold_one_out(line_data: Dataset, make_net: Any) -> None:
    data = Dataset({"train": line_data.train}, line_data.spec, "line")
    with pytest.raises(ConfigError, match=r"line has no split for validation\. .*data\.validation=0\.1"):
        quiet(max_epochs=1, monitor="val/mse").fit(make_net(), data)


@pytest.mark.parametrize("monitor", ["val/mse", "train/loss", "lr", "epoch"])
def test_the_columns_of_the_log_can_be_followed(monitor: str, line_data: Dataset, make_net: Any) -> None:
    assert quiet(max_epochs=1, monitor=monitor).fit(make_net(), line_data).epochs == 1


def test_a_monitor_is_checked_before_anything_is_trained_or_written(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    net = make_net()
    before = [parameter.clone() for parameter in net.parameters()]
    with pytest.raises(ConfigError, match="nonsense"):
        quiet(max_epochs=1, monitor="nonsense", run_dir=tmp_path / "run").fit(net, line_data, config={"model": "net"})
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_column_that_a_method_or_a_callback_may_log_can_be_followed(line_data: Dataset, make_net: Any) -> None:
    class Log(Callback):
        def on_epoch_end(self, loop: Any, row: dict[str, float]) -> None:
            row["norm"] = 1.0

    assert quiet(max_epochs=2, monitor="norm", callbacks=[Log()]).fit(make_net(), line_data).epochs == 2
    methods = [GradientNoise(eta=0.1)]
    assert quiet(max_epochs=2, monitor="gradient-noise/std").fit(make_net(), line_data, methods=methods).epochs == 2
    with pytest.raises(ConfigError, match="the log has"):
        quiet(max_epochs=2, monitor="gradient-noise/sdt").fit(make_net(), line_data, methods=methods)
