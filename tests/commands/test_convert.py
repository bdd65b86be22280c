"""Converting data files: the values survive, roles can be given, and nothing is overwritten unasked."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.cli import main
from sciml.data import load_dataset, open_dataset


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    x = torch.randn(5, 1, 16)
    torch.save({"x": x, "y": 2 * x}, tmp_path / "waves.pt")
    return tmp_path / "waves.pt"


@pytest.mark.parametrize("name", ["a.hdf5", "new folder/ä.h5"])
def test_values_and_roles_survive(waves: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = waves.parent / name
    assert main(["data", "convert", str(waves), "--out", str(out)]) == 0
    assert "read as neuraloperator-pt" in capsys.readouterr().out
    before, after = load_dataset(waves).train, load_dataset(out).train
    for key in ("x", "y"):
        assert torch.equal(before[key], after[key])


def test_roles_can_be_given(waves: Path) -> None:
    out = waves.parent / "a.hdf5"
    assert main(["data", "convert", str(waves), "--out", str(out), "--role", "x=target", "--role", "y=input"]) == 0
    with open_dataset(out) as fields:
        assert dict(fields.roles) == {"x": "target", "y": "input"}
    np.testing.assert_array_equal(load_dataset(out).train["x"], load_dataset(waves).train["y"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "waves.pt"], "exists already"),
        (["--out", "a.csv"], "ends with .hdf5"),
        (["--out", "a.hdf5", "--role", "z=input"], "NAME among x, y"),
        (["--out", "a.hdf5", "--role", "x=guess"], "ROLE among input"),
        (["--out", "a.hdf5", "--reader", "fno"], "fno"),
    ],
)
def test_mistakes_are_one_line(
    waves: Path, options: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(waves.parent)
    assert main(["data", "convert", str(waves), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in waves.parent.iterdir()] == ["waves.pt"]
