"""The TorchMetrics accumulator gives the numbers of the functions, however samples are batched."""

import builtins
import importlib
import math
import pickle
import sys
from typing import Any

import pytest
import torch

from sciml.metrics import mean_and_standard_error, relative_l2


def metric(**arguments: Any) -> Any:
    pytest.importorskip("torchmetrics")
    from sciml.metrics.torchmetrics import RelativeL2

    return RelativeL2(**arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_of_different_sizes_give_the_mean_over_samples(dtype: torch.dtype) -> None:
    prediction, target = torch.randn(11, 1, 6, dtype=dtype), torch.randn(11, 1, 6, dtype=dtype)
    weights = torch.linspace(0.5, 1, 6)
    accumulated = metric(weights=weights)
    for p, t in zip(prediction.split([1, 7, 3]), target.split([1, 7, 3]), strict=True):
        accumulated.update(p, t)
    mean, error = mean_and_standard_error(relative_l2(prediction, target, weights).double())
    result = accumulated.compute()
    torch.testing.assert_close(result["relative_l2"], mean, rtol=1e-10, atol=0)
    torch.testing.assert_close(result["relative_l2_se"], error, rtol=1e-8, atol=0)  # a difference of sums of squares


def test_a_reset_metric_starts_again_and_a_copy_goes_on() -> None:
    accumulated = metric()
    accumulated.update(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    copy = pickle.loads(pickle.dumps(accumulated))
    copy.update(torch.tensor([[1.0]]), torch.tensor([[1.0]]))
    assert copy.compute()["relative_l2"].item() == 0.5
    accumulated.reset()
    accumulated.update(torch.tensor([[4.0]]), torch.tensor([[1.0]]))
    assert accumulated.compute()["relative_l2"].item() == 3.0
    assert math.isnan(accumulated.compute()["relative_l2_se"].item())


def test_without_torchmetrics_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "torchmetrics":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "sciml.metrics.torchmetrics", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install torchmetrics"):
        importlib.import_module("sciml.metrics.torchmetrics")
