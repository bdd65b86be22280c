"""Training methods: order of the hooks, priorities, and what an attached method may cost."""

import copy
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.train import Method, StepContext, Trainer, derive_seed


def fit(model: nn.Module, data: Dataset, methods: list[Method], **kwargs: Any) -> Any:
    settings: dict[str, Any] = {"max_steps": 2, "batch_size": 11, "progress": False, "accelerator": "cpu", **kwargs}
    return Trainer(**settings).fit(model, data, methods=methods)


GOLDEN = """\
transform
wrap_optimizer
setup
on_batch_start 0
enter 0.0
leave 0.0
extra_loss 0.0
on_after_backward 0.0
enter 0.1
leave 0.1
extra_loss 0.1
on_after_backward 0.1
on_batch_start 0
enter 0.0
leave 0.0
extra_loss 0.0
on_after_backward 0.0
enter 0.1
leave 0.1
extra_loss 0.1
on_after_backward 0.1
on_unscaled_gradients 0 norm>1
on_clipped_gradients 0 norm<=1
on_after_step 0 weights moved
on_epoch_end 1
"""


def test_a_third_party_method_gets_every_hook_in_order(tmp_path: Path) -> None:
    # A distribution as pip would install it: a module, and metadata that names the method as an entry point.
    (tmp_path / "hooklog.py").write_text((Path(__file__).with_name("hooklog_plugin.py")).read_text())
    info = tmp_path / "hooklog-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hooklog\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sciml.methods]\nhook-log = hooklog:HookLog\n")
    script = textwrap.dedent(
        """
        import torch
        from torch import nn
        from sciml import Trainer
        from sciml.registry import registry
        from sciml.data import Dataset, Split
        from sciml.spaces import DataSpec, FieldSpec

        torch.manual_seed(0)
        x = torch.randn(8, 1, 4)
        fields = {n: FieldSpec(n, r, 1, (4,)) for n, r in (("x", "input"), ("y", "target"))}
        data = Dataset({"train": Split({"x": x, "y": 50 * x})}, DataSpec(fields))
        method = registry("methods").create("hook-log")
        trainer = Trainer(max_epochs=1, batch_size=4, accumulate=2, clip_norm=1.0, progress=False)
        from sciml.tasks import OperatorRegression
        trainer.fit(nn.Linear(4, 4), data, OperatorRegression(loss="mse", normalize=False), [method],
                    inputs={"input": "x"})
        print("\\n".join(method.log))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=_environment(tmp_path), timeout=120
    )
    assert done.stderr == ""
    assert done.stdout == GOLDEN


def _environment(path: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])}


class Silent(Method):
    """Overrides every hook and does nothing."""

    name = "silent"

    def on_batch_start(self, context: StepContext) -> None:
        assert context.batch

    @contextmanager
    def forward_context(self, context: StepContext) -> Iterator[None]:
        yield

    def extra_loss(self, context: StepContext) -> dict[str, Tensor]:
        return {}

    def micro_passes(self) -> int:
        return 1

    def on_after_backward(self, context: StepContext) -> None:
        assert context.loss is not None

    def on_unscaled_gradients(self, context: StepContext) -> None:
        assert context.output is not None

    def on_clipped_gradients(self, context: StepContext) -> None:
        assert context.optimizer is not None

    def on_after_step(self, context: StepContext) -> None:
        assert context.model is not None


def test_a_method_that_does_nothing_changes_nothing(line_data: Dataset, make_net: Any) -> None:
    plain = make_net(dropout=0.3)
    hooked = copy.deepcopy(plain)
    fit(plain, line_data, [], max_steps=6)
    fit(hooked, line_data, [Silent()], max_steps=6)
    for a, b in zip(plain.parameters(), hooked.parameters(), strict=True):
        assert torch.equal(a, b)


class Scale(Method):
    """Multiplies the gradient, then adds to it, so that two of them do not commute."""

    def __init__(self, factor: float, shift: float) -> None:
        self.factor, self.shift = factor, shift

    def on_clipped_gradients(self, context: StepContext) -> None:
        for parameter in context.model.parameters():
            assert parameter.grad is not None
            parameter.grad.mul_(self.factor).add_(self.shift)


class Early(Scale):
    name = "early"
    priority: ClassVar[int] = 10


class Late(Scale):
    name = "late"
    priority: ClassVar[int] = 90


def test_priority_decides_the_order_and_the_list_does_not(line_data: Dataset, make_net: Any) -> None:
    start = make_net()
    results = []
    for methods in ([Early(2.0, 0.0), Late(1.0, 0.5)], [Late(1.0, 0.5), Early(2.0, 0.0)]):
        model = copy.deepcopy(start)
        fit(model, line_data, methods)
        results.append(model)
    for a, b in zip(results[0].parameters(), results[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_two_methods_of_one_class_have_streams_and_states_of_their_own(line_data: Dataset, make_net: Any) -> None:
    class Draw(Method):
        name = "draw"

        def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
            self.seed = seed

    first, second = Draw(), Draw()
    fit(make_net(), line_data, [first, second])
    assert first.seed == derive_seed(0, "draw")
    assert second.seed == derive_seed(0, "draw#2")


def test_an_extra_loss_acts_as_weight_decay(line_data: Dataset, make_net: Any) -> None:
    class Ridge(Method):
        def extra_loss(self, context: StepContext) -> dict[str, Tensor]:
            return {"ridge": 0.5 * 0.1 * sum(p.square().sum() for p in context.model.parameters())}  # type: ignore[dict-item]

    ridge, decay = make_net(), make_net()
    decay.load_state_dict(ridge.state_dict())
    trainer = Trainer(max_steps=4, batch_size=11, progress=False, precision="64-true", accelerator="cpu")
    trainer.fit(ridge, line_data, methods=[Ridge()], optimizer={"name": "sgd", "lr": 0.1})
    trainer.fit(decay, line_data, optimizer={"name": "sgd", "lr": 0.1, "weight_decay": 0.1})
    for a, b in zip(ridge.parameters(), decay.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_transform_acts_before_the_optimizer_exists(line_data: Dataset, make_net: Any) -> None:
    class Freeze(Method):
        def transform(self, model: nn.Module, batch: dict[str, Any]) -> nn.Module:
            model.layers[1].requires_grad_(False)  # type: ignore[index, union-attr]
            return model

    model = make_net()
    before = model.layers[1].weight.clone()
    fit(model, line_data, [Freeze()])
    assert torch.equal(model.layers[1].weight, before)
    assert model.layers[1].weight.grad is None


def test_logs_of_a_method_reach_the_history(line_data: Dataset, make_net: Any) -> None:
    class Speaks(Method):
        def logs(self) -> dict[str, float]:
            return {"speaks/volume": 11.0}

    assert fit(make_net(), line_data, [Speaks()]).history[0]["speaks/volume"] == 11.0


def test_something_else_than_a_method_is_refused(line_data: Dataset, make_net: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected instances of sciml\.Method"):
        fit(make_net(), line_data, [object()])  # type: ignore[list-item]
