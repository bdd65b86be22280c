"""What is broken in ``neuraloperator`` 2.0.0, by name: each entry is tested to fail as described.

When a new version of the package mends a defect its test fails, and the entry goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sciml.errors import unknown_name
from sciml.operators.adapters.package import has_local_no, has_package

__all__ = ["DEFECTS", "Defect", "expected_failures", "known_defects"]

_ALL = ("uno", "codano", "gino", "local-no")


@dataclass(frozen=True)
class Defect:
    """One defect.

    Args:
        name: Short name.
        models: Names of the models that it concerns.
        happens: What one sees.
        here: What the adapters do about it, or what to do instead.
    """

    name: str
    models: tuple[str, ...]
    happens: str
    here: str

    def __str__(self) -> str:
        return f"{self.name}: {self.happens} {self.here}"


DEFECTS = (
    Defect(
        "double-precision",
        _ALL,
        "Spectra are allocated in single precision and complex weights stay there after .double().",
        "float64 inputs are refused; fno and tfno compute in either precision.",
    ),
    Defect(
        "complex-weights",
        _ALL,
        "Spectral weights are complex parameters, which fused optimizers refuse.",
        "The trainer takes the unfused optimizer.",
    ),
    Defect(
        "rescaled-spectrum",
        ("uno",),
        "A Fourier layer that changes the resolution moves negative wave numbers of all axes but the last.",
        "Left as it is, with a note when a trained model meets another grid: there it is another operator.",
    ),
    Defect(
        "odd-grid",
        _ALL,
        "On leading axes with an odd number of points the spectrum is shifted by one wave number.",
        "Left as it is: take grids with even numbers of points, or fno.",
    ),
    Defect(
        "uno-soft-gating",
        ("uno",),
        "The default skip connection of the pointwise networks cannot change the width, which UNO is about.",
        "Linear skip connections.",
    ),
    Defect(
        "codano-defaults",
        ("codano",),
        "Arguments documented as optional (n_heads, scaling factors) raise TypeError when left out.",
        "All are given.",
    ),
    Defect(
        "codano-on-a-line",
        ("codano",),
        "The normalisation is that of planes or of space, also in one dimension.",
        "Refused in one dimension.",
    ),
    Defect(
        "prints",
        ("uno", "codano"),
        "Constructors print.",
        "Kept quiet.",
    ),
    Defect(
        "import-side-effects",
        _ALL,
        "The import changes the filters for warnings and starts trackers where these are installed.",
        "Imported when a model is built, with the filters restored.",
    ),
    Defect(
        "metadata-in-state",
        ("gino", "local-no"),
        "The state dictionary holds classes and functions, which weights_only loading and safetensors refuse.",
        "Left out of the state.",
    ),
    Defect(
        "shared-geometry",
        ("gino",),
        "A batch of point clouds that differ raises an error.",
        "Samples are computed one after the other.",
    ),
    Defect(
        "point-weights",
        ("gino",),
        "Quadrature weights of points, as documented, raise an error of shapes.",
        "The weighted mean over neighbours is computed here.",
    ),
    Defect(
        "latent-sum",
        ("gino",),
        "The last integral is a sum without weights, which grows with the resolution of the latent grid.",
        "Another resolution of the latent grid than the one built for is refused.",
    ),
    Defect(
        "local-no-absent",
        ("local-no",),
        "LocalNO is left out in silence unless torch-harmonics before 0.9 is installed.",
        "The error names the version to install.",
    ),
    Defect(
        "local-integrals-in-the-plane",
        ("local-no",),
        "Local integral layers raise errors of indices or shapes in one and three dimensions.",
        "Left out there by default, refused when asked for.",
    ),
    Defect(
        "local-resolution",
        ("local-no",),
        "The output grows without bound as the grid is refined: differential layers see the jump of the appended "
        "coordinates at the periodic boundary, and together with local integrals they diverge without it, too.",
        "Left as it is, with a note when a trained model meets another grid.",
    ),
    Defect(
        "otno-absent",
        ("otno",),
        "OTNO is in the repository, not in the released package.",
        "There is no model otno.",
    ),
)


def known_defects(model: str) -> list[Defect]:
    """The defects that concern one model.

    Args:
        model: ``uno``, ``codano``, ``gino``, ``local-no`` or ``otno``.

    Raises:
        UnknownNameError: If the name is none of these.

    Example:
        >>> [defect.name for defect in known_defects("otno")]
        ['otno-absent']
    """
    names = {name for defect in DEFECTS for name in defect.models}
    if model not in names:
        raise unknown_name("adapted model", model, names)
    return [defect for defect in DEFECTS if model in defect.models]


def expected_failures() -> dict[str, dict[str, str]]:
    """Checks of the conformance kit that the adapters fail, with the reason: ``{model: {check: reason}}``.

    Example:
        >>> sorted(expected_failures())
        ['codano', 'gino', 'local-no', 'uno']
    """
    if not has_package():
        return {name: {"builds_from_example": "neuraloperator is not installed"} for name in _ALL}
    single = {"double_precision": "spectra are in single precision (defect 'double-precision')"}
    failures = {name: dict(single) for name in _ALL}
    if not has_local_no():
        failures["local-no"] = {"builds_from_example": "no fitting torch-harmonics (defect 'local-no-absent')"}
    return failures
