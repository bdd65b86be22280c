"""What cannot run here is refused when the engine starts, with the way out, instead of waiting or failing later."""

from typing import Any

import pytest

from sciml.errors import ConfigError
from sciml.train import engine


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"strategy": "fsdp"},
            r"strategy is 'fsdp', which splits .* uses none .accelerator='cpu'.\. Take strategy=",
        ),
        ({"strategy": "deepspeed_stage_2"}, "which splits a model over CUDA devices"),
        ({"strategy": "dpp"}, r"strategy is 'dpp', expected one of auto, .*Did you mean '(ddp|dp)'"),
        ({"num_nodes": 2}, r"num_nodes is 2, but no launcher.*torchrun --nnodes 2.*leave num_nodes out"),
        ({"num_nodes": 2, "strategy": "ddp", "devices": 2}, "no launcher started this process"),
    ],
)
def test_a_strategy_or_machine_that_is_not_there_is_refused(given: dict[str, Any], message: str) -> None:
    arguments = {"devices": 1, "num_nodes": 1, "strategy": "auto", **given}
    with pytest.raises(ConfigError, match=message):
        engine.make_engine("cpu", precision="32-true", **arguments)


@pytest.mark.parametrize(
    "environment",
    [
        {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1"},
        {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "h", "MASTER_PORT": "1"},
    ],
)
def test_several_machines_are_allowed_where_a_launcher_started_the_process(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(engine, "FabricEngine", lambda *args: asked.update(num_nodes=args[2]))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    engine.make_engine("cpu", 1, 2, "ddp", "32-true")
    assert asked == {"num_nodes": 2}
