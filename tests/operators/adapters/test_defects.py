"""Every named defect of neuraloperator 2.0.0 still shows; where one of these tests fails, the defect can be removed."""

import io
import subprocess
import sys
from importlib import metadata

import pytest
import torch

from sciml.errors import UnknownNameError
from sciml.operators.adapters import DEFECTS, known_defects
from sciml.operators.adapters.package import build_quietly, has_local_no, reference_model

pytest.importorskip("neuralop", reason="the defects are those of the package neuraloperator")

NEEDS_LOCAL_NO = pytest.mark.skipif(not has_local_no(), reason="no fitting torch-harmonics (defect 'local-no-absent')")


def uno(**changed):
    options = {
        "in_channels": 1,
        "out_channels": 1,
        "hidden_channels": 4,
        "n_layers": 3,
        "uno_out_channels": [4, 8, 4],
        "uno_n_modes": [[4, 4]] * 3,
        "uno_scalings": [[0.5, 0.5], [1, 1], [2, 2]],
        "channel_mlp_skip": "linear",
    }
    return reference_model("UNO")(**{**options, **changed})


def codano(dim=2, **changed):
    options = {
        "n_layers": 1,
        "n_modes": [[4] * dim],
        "n_heads": [1],
        "per_layer_scaling_factors": [[1] * dim],
        "attention_scaling_factors": [1],
        "hidden_variable_codimension": 4,
    }
    return reference_model("CODANO")(**{**options, **changed})


def gino(**changed):
    options = {
        "in_channels": 1,
        "out_channels": 1,
        "latent_feature_channels": 1,
        "fno_n_modes": (4, 4, 4),
        "fno_hidden_channels": 4,
        "fno_n_layers": 1,
        "in_gno_radius": 0.4,
        "out_gno_radius": 0.4,
        "gno_use_open3d": False,
        "gno_use_torch_scatter": False,
    }
    return reference_model("GINO")(**{**options, **changed})


def local_no(dim=2, **changed):
    options = {"n_modes": (4,) * dim, "hidden_channels": 4, "default_in_shape": (16,) * dim, "n_layers": 1}
    return reference_model("LocalNO")(in_channels=1, out_channels=1, **{**options, **changed})


def latent(n):
    axis = torch.linspace(0, 1, n)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)[None]


def one_wave(n):
    """A wave along the leading axis of a periodic plane."""
    return torch.cos(2 * torch.pi * torch.arange(n)[:, None] / n + 0.3).expand(n, n)[None, None]


def identity_layer(**options):
    from neuralop.layers.spectral_convolution import SpectralConv

    layer = SpectralConv(1, 1, (8, 8), bias=False, **options)
    with torch.no_grad():
        layer.weight.tensor.fill_(1)
    return layer


def distance(a, b):
    return ((a - b).norm() / b.norm()).item()


def double_precision():
    with pytest.raises(RuntimeError, match="ComplexDouble"):
        build_quietly(uno).double()(torch.randn(1, 1, 16, 16, dtype=torch.float64))


def complex_weights():
    model = build_quietly(uno)
    model(torch.randn(1, 1, 16, 16)).sum().backward()
    with pytest.raises(RuntimeError, match="fused"):
        torch.optim.Adam(model.parameters(), fused=True).step()


def rescaled_spectrum():
    """The layer keeps eight wave numbers, so it should only resample a wave of wave number one; along the last axis
    it does."""
    for factor in (0.5, 2):
        fine = one_wave(int(16 * factor))
        layer = identity_layer(resolution_scaling_factor=factor)
        assert distance(layer(one_wave(16)), fine) > 0.3
        assert distance(layer(one_wave(16).mT), fine.mT) < 1e-5


def odd_grid():
    assert distance(identity_layer()(one_wave(16)), one_wave(16)) < 1e-5
    assert distance(identity_layer()(one_wave(15)), one_wave(15)) > 0.3


def uno_soft_gating():
    with pytest.raises(ValueError, match="soft-gating"):
        build_quietly(uno, channel_mlp_skip="soft-gating")


def codano_defaults():
    for name in ("n_heads", "per_layer_scaling_factors", "attention_scaling_factors"):
        with pytest.raises(TypeError, match="NoneType"):
            build_quietly(codano, **{name: None})


def codano_on_a_line():
    with pytest.raises(ValueError, match="4D or 5D"):
        build_quietly(codano, dim=1)(torch.randn(2, 1, 16))


def prints(capsys):
    uno()
    assert "fno_skip" in capsys.readouterr().out
    codano()
    assert "token" in capsys.readouterr().out


def import_side_effects():
    code = "import warnings, neuralop; print(sum(f[0] == 'once' and f[2] is UserWarning for f in warnings.filters))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1"


def metadata_in_state():
    state = build_quietly(gino).state_dict()
    assert isinstance(state["_metadata"], dict)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(file, weights_only=True)


def shared_geometry():
    points, features = torch.rand(2, 20, 3), torch.randn(2, 5, 5, 5, 1)
    with pytest.raises((RuntimeError, IndexError)):
        build_quietly(gino)(points, latent(5), points, latent_features=features)


def point_weights():
    from neuralop.layers.integral_transform import IntegralTransform

    layer = IntegralTransform(channel_mlp_layers=[4, 8, 1], use_torch_scatter=False)
    neighbours = {"neighbors_index": torch.tensor([0, 1, 1]), "neighbors_row_splits": torch.tensor([0, 2, 3])}
    with pytest.raises(RuntimeError, match=r"shape|size"):
        layer(torch.rand(2, 2), neighbours, f_y=torch.rand(2, 1), weights=torch.rand(2))


def latent_sum():
    model, sizes = build_quietly(gino), []
    points = torch.rand(1, 20, 3, generator=torch.Generator().manual_seed(0))
    for n in (8, 16):
        grid = latent(n).reshape(-1, 3)
        sizes.append(model.gno_out(y=grid, x=points[0], f_y=torch.ones(1, len(grid), 4)).norm().item())
    assert sizes[1] > 5 * sizes[0]


def local_no_absent():
    """With the torch-harmonics that pip finds, or none."""
    version = "0" if not has_harmonics() else metadata.version("torch-harmonics")
    old = (0, 7) <= tuple(int(part) for part in version.split(".")[:2]) < (0, 9)
    assert has_local_no() == old


def has_harmonics():
    try:
        metadata.version("torch-harmonics")
    except metadata.PackageNotFoundError:
        return False
    return True


def local_integrals_in_the_plane():
    with pytest.raises(IndexError):
        build_quietly(local_no, dim=1)
    with pytest.raises(RuntimeError, match="conv2d"):
        build_quietly(local_no, dim=3)(torch.zeros(1, 1, 8, 8, 8))


def local_resolution():
    torch.manual_seed(0)
    model = build_quietly(local_no, n_layers=4, hidden_channels=16).eval()
    with torch.no_grad():
        coarse, fine = model(one_wave(16)), model(one_wave(128))
    assert distance(fine[..., ::8, ::8], coarse) > 3


def otno_absent():
    with pytest.raises(ImportError, match="no OTNO"):
        reference_model("OTNO")


TESTS = {
    "double-precision": double_precision,
    "complex-weights": complex_weights,
    "rescaled-spectrum": rescaled_spectrum,
    "odd-grid": odd_grid,
    "uno-soft-gating": uno_soft_gating,
    "codano-defaults": codano_defaults,
    "codano-on-a-line": codano_on_a_line,
    "prints": prints,
    "import-side-effects": import_side_effects,
    "metadata-in-state": metadata_in_state,
    "shared-geometry": shared_geometry,
    "point-weights": point_weights,
    "latent-sum": latent_sum,
    "local-no-absent": local_no_absent,
    "local-integrals-in-the-plane": local_integrals_in_the_plane,
    "local-resolution": local_resolution,
    "otno-absent": otno_absent,
}
LOCAL = {"local-integrals-in-the-plane", "local-resolution"}


@pytest.mark.parametrize(
    "name", [pytest.param(d.name, marks=[NEEDS_LOCAL_NO] if d.name in LOCAL else []) for d in DEFECTS]
)
def test_the_defect_is_still_there(name, capsys):
    test = TESTS[name]
    test(capsys) if name == "prints" else test()


def test_every_defect_has_one_entry_and_one_test():
    names = [defect.name for defect in DEFECTS]
    assert sorted(names) == sorted(TESTS)
    assert all(defect.models and defect.happens and defect.here for defect in DEFECTS)


def test_defects_of_one_model_are_listed_in_words():
    assert "double-precision" in [defect.name for defect in known_defects("gino")]
    assert "rescaled-spectrum" not in [defect.name for defect in known_defects("gino")]
    assert str(known_defects("otno")[0]) == (
        "otno-absent: OTNO is in the repository, not in the released package. There is no model otno."
    )
    with pytest.raises(UnknownNameError, match="Did you mean 'gino'"):
        known_defects("ginno")
