"""``sciml data convert``: a data file of any known layout, written in another."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciml.errors import ConfigError

__all__ = ["convert"]

_ROLES = ("input", "target", "coords", "params")


def convert(arguments: argparse.Namespace) -> int:
    """Read a file and write it in a layout of PDEBench or of The Well."""
    from sciml.data import open_dataset, save_pdebench, save_well

    out = Path(arguments.out)
    if out.exists() and not arguments.overwrite:
        raise ConfigError(f"{out} exists already: choose another --out, or give --overwrite.")
    if arguments.format == "pdebench" and out.suffix not in (".hdf5", ".h5"):
        raise ConfigError(f"--out is {out}, expected a file that ends with .hdf5.")
    with open_dataset(arguments.file, arguments.reader) as fields:
        roles = {**fields.roles, **_roles(arguments.roles, fields.arrays)}
        fields = replace(fields, roles=roles)
        written = save_pdebench(fields, out) if arguments.format == "pdebench" else save_well(fields, out)
        names = ", ".join(f"{name} ({', '.join(fields.axes[name])})" for name in fields.arrays)
        print(f"{written}: {names}; read as {fields.format}")
    return 0


def _roles(given: list[str], arrays: Mapping[str, object]) -> dict[str, Any]:
    roles: dict[str, Any] = {}
    for pair in given:
        name, _, role = pair.partition("=")
        if name not in arrays or role not in _ROLES:
            raise ConfigError(
                f"--role is {pair!r}, expected NAME=ROLE with NAME among {', '.join(arrays)} and ROLE among "
                f"{', '.join(_ROLES)}."
            )
        roles[name] = role
    return roles
