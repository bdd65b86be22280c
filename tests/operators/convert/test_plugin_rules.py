"""Rules of another distribution, found by their entry point."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

from sciml.errors import ConversionError
from sciml.operators.convert import conversion_report, rules, to_operator
from sciml.registry import refresh

Found = tuple[str, type]
SOURCE = """
import torch
from sciml.operators.convert import Rule

class Ripple(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x)

RULES = {Ripple: Rule("ripple")}
WRONG = [Ripple]
"""


@pytest.fixture(params=["RULES", "WRONG"])
def ripple(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Found]:
    """A distribution with one layer, and what its entry point gives."""
    info = tmp_path / "ripples-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ripples\nVersion: 1.0\nRequires-Dist: sciml>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text(f"[sciml.converters]\nripples = ripples_{request.param}:{request.param}\n")
    (tmp_path / f"ripples_{request.param}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    refresh()
    rules._plugins.cache_clear()
    yield request.param, import_module(f"ripples_{request.param}").Ripple
    monkeypatch.undo()
    refresh()
    rules._plugins.cache_clear()


def test_a_rule_of_a_plugin_is_found(ripple: Found) -> None:
    given, layer = ripple
    network = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3, padding=1), layer())
    if given == "WRONG":
        with pytest.raises(ConversionError, match="the converter 'ripples' is a list, expected a mapping to rules"):
            to_operator(network, (16,))
        return
    operator = to_operator(network, (16,))
    x = torch.randn(2, 1, 16)
    assert torch.equal(operator(x), network(x))
    assert "ripple" in str(conversion_report(operator))
