"""The adapted models: the contract of all models, the values of neuraloperator's own, and what is refused."""

import logging

import pytest
import torch

from sciml import Trainer, load
from sciml.data import Split, operator_dataset
from sciml.errors import ConfigError
from sciml.operators.adapters import CODANO, GINO, UNO, LocalNO, expected_failures
from sciml.operators.adapters.package import build_quietly, has_local_no, reference_model
from sciml.registry import registry
from sciml.spaces import DataSpec, FieldSpec
from sciml.testing import parametrize_with_checks
from sciml.train import build_model

pytest.importorskip("neuralop", reason="the models are those of the package neuraloperator")

NAMES = {"UNO": "uno", "CODANO": "codano", "GINO": "gino", "LocalNO": "local-no"}
EXPECTED = {cls: expected_failures()[name] for cls, name in NAMES.items()}


@parametrize_with_checks([UNO, CODANO, GINO, LocalNO], EXPECTED)
def test_model_keeps_the_contract(model, check):
    check(model)


def spec(channels_in=1, channels_out=1, shape=(16, 20)):
    fields = {"x": FieldSpec("x", "input", channels_in, shape), "y": FieldSpec("y", "target", channels_out, shape)}
    return DataSpec(fields)


def test_uno_gives_the_very_values_of_the_bare_model():
    torch.manual_seed(3)
    ours = UNO(2, 1, modes=[8, 6], hidden_channels=4, padding=0.25)
    torch.manual_seed(3)
    theirs = build_quietly(
        reference_model("UNO"),
        in_channels=2,
        out_channels=1,
        hidden_channels=4,
        lifting_channels=8,
        projection_channels=8,
        n_layers=5,
        uno_out_channels=[4, 8, 8, 8, 4],
        uno_n_modes=[[8, 6], [4, 3], [4, 3], [4, 3], [8, 6]],
        uno_scalings=[[1, 1], [0.5, 0.5], [1, 1], [2, 2], [1, 1]],
        channel_mlp_skip="linear",
        domain_padding=0.25,
    )
    x = torch.randn(2, 2, 16, 16)
    assert torch.equal(ours(x), theirs(x))


def test_codano_gives_the_very_values_of_the_bare_model():
    torch.manual_seed(3)
    ours = CODANO(2, 4, modes=[4, 4], hidden_channels=4, num_layers=2, num_heads=2, token_channels=2)
    torch.manual_seed(3)
    theirs = build_quietly(
        reference_model("CODANO"),
        output_variable_codimension=2,
        lifting_channels=8,
        hidden_variable_codimension=4,
        projection_channels=8,
        n_layers=2,
        n_modes=[[4, 4], [4, 4]],
        n_heads=[2, 2],
        per_layer_scaling_factors=[[1, 1], [1, 1]],
        attention_scaling_factors=[1, 1],
        attention_token_dim=2,
        domain_padding=None,
    )
    x = torch.randn(2, 2, 12, 12)
    assert ours(x).shape == (2, 4, 12, 12)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.skipif(not has_local_no(), reason="no fitting torch-harmonics (defect 'local-no-absent')")
def test_local_no_gives_the_very_values_of_the_bare_model():
    torch.manual_seed(3)
    ours = LocalNO(1, 1, grid_shape=[16, 16], modes=[4, 4], hidden_channels=4, num_layers=2)
    torch.manual_seed(3)
    options = {"n_modes": (4, 4), "hidden_channels": 4, "default_in_shape": (16, 16), "n_layers": 2}
    theirs = build_quietly(reference_model("LocalNO"), in_channels=1, out_channels=1, **options)
    x = torch.randn(2, 1, 16, 16)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("cls", [UNO, CODANO])
def test_a_dataset_fills_in_channels_dimension_and_modes_that_the_grid_carries(cls):
    model = cls.from_spec(spec(2, 2), hidden_channels=4)
    assert (model.in_channels, model.out_channels, model.modes) == (2, 2, [8, 10])
    assert cls.from_spec(spec(2, 2), hidden_channels=4, modes=6).modes == [6, 6]
    assert model(torch.randn(1, 2, 16, 20)).shape == (1, 2, 16, 20)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_uno_takes_lines_planes_and_space_with_and_without_the_axis_of_channels(dim):
    model = UNO(1, 1, modes=4, dim=dim, hidden_channels=4).eval()
    x = torch.randn(2, *[8] * dim)
    assert model(x).shape == x.shape
    assert torch.equal(model(x[:, None])[:, 0], model(x))


@pytest.mark.parametrize("cls", [UNO, CODANO, GINO])
def test_a_change_of_precision_keeps_the_imaginary_parts_of_the_weights(cls):
    model = cls(**cls.example()[0])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    double = {name: value.dtype for name, value in model.to(torch.float64).state_dict().items()}
    assert set(double.values()) == {torch.float64, torch.complex128}
    after = model.to(torch.float32).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize(("cls", "name"), [(UNO, "uno"), (CODANO, "codano"), (GINO, "gino")])
def test_a_run_folder_gives_the_trained_model_back(cls, name, tmp_path):
    if name not in registry("models"):
        registry("models").register(name)(cls)
    arguments, batch = cls.example()
    split = Split(batch)
    data = operator_dataset({"train": split, "test": split})
    model = build_model(name, **arguments)
    trainer = Trainer(max_epochs=2, batch_size=2, run_dir=tmp_path / "run", progress=False)
    trainer.fit(model, data)
    loaded = load(tmp_path / "run")
    inputs = {key: value for key, value in batch.items() if key != "y"}
    assert torch.equal(loaded(**inputs), trainer.predict(model, split))


def test_double_precision_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"float32 only .*'double-precision'.*fno and tfno"):
        UNO(1, 1, modes=[4, 4], hidden_channels=4)(torch.zeros(1, 1, 8, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CODANO(1, 1, modes=[4]), "'codano-on-a-line'"),
        (lambda: CODANO(2, 3, modes=[4, 4]), "same number of output channels"),
        (lambda: CODANO(1, 1, modes=[4, 4], hidden_channels=4, token_channels=3), "divisor of hidden_channels 4"),
        (lambda: UNO(1, 1, modes=[4, 4], scalings=(1, 0.5, 1, 1, 1)), "product is 1"),
        (lambda: UNO(1, 1, modes=[4, 4], scalings=(1, 1)), "as many of both"),
        (lambda: UNO(1, 1, modes=8), "Give dim, or modes per axis"),
        (lambda: UNO(1, 1, modes=[4, 0]), "one to three positive numbers"),
        (lambda: LocalNO(1, 1, grid_shape=[8], modes=[4], local_integrals=True), "'local-integrals-in-the-plane'"),
        (lambda: LocalNO(1, 1, grid_shape=[8], modes=[4, 4]), "grid_shape is .*expected 2 numbers"),
        (lambda: UNO(1, 1, modes=[4, 4], hidden_channels=4)(torch.zeros(1, 2, 8, 8)), r"takes \(batch, 1, n1, n2\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.skipif(has_local_no(), reason="torch-harmonics is there")
def test_a_missing_local_no_names_the_version_to_install():
    with pytest.raises(ImportError, match=r"torch-harmonics==0\.8\.0"):
        LocalNO(1, 1, grid_shape=[8, 8], modes=[4, 4])


def test_a_model_trained_on_one_grid_says_once_that_another_one_is_another_operator(caplog):
    model = UNO(1, 1, modes=[4, 4], hidden_channels=4)
    model(torch.zeros(1, 1, 8, 8))
    model.eval()
    with caplog.at_level(logging.WARNING, logger="sciml"):
        model(torch.zeros(1, 1, 8, 8))
        assert not caplog.records
        model(torch.zeros(1, 1, 16, 16))
        model(torch.zeros(1, 1, 32, 32))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "rescaled-spectrum" in caplog.text
    codano = CODANO(1, 1, modes=[4, 4], hidden_channels=4, num_layers=1)
    codano(torch.zeros(1, 1, 8, 8))
    codano.eval()(torch.zeros(1, 1, 16, 16))
    assert len(caplog.records) == 1
