"""What the commands of ``moalloy structures`` share: options of the host, lists in an option."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from moalloy_md.errors import ConfigError


class LatticeOption(StrEnum):
    """Names of the lattices."""

    BCC = "bcc"
    FCC = "fcc"


OutOption = Annotated[Path, typer.Option(help="File to write: extended XYZ, one cell a frame.")]
HostOption = Annotated[str | None, typer.Option(help="Host element. (default Mo)")]
LatticeNameOption = Annotated[
    LatticeOption | None, typer.Option(help="Crystal structure. (default bcc)")
]
RepeatOption = Annotated[
    str | None,
    typer.Option(help="Cubic cells along x, y and z: 4 or 4,4,6. (default 4 for bcc, 3 for fcc)"),
]
EdgeOption = Annotated[
    float | None,
    typer.Option(
        "--a0-angstrom", help="Edge of the cubic cell, Å. (default for Mo: 3.1625 bcc, 4.0067 fcc)"
    ),
]


def words(text: str | None) -> list[str] | None:
    """Take a list with commas apart; None stays None."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def numbers(name: str, text: str | None) -> list[float]:
    """Take a list of numbers apart; none where None.

    Raises
    ------
    ConfigError
        If a word is no number; `name` is the option's.
    """
    try:
        return [float(word) for word in words(text) or []]
    except ValueError:
        raise ConfigError(
            f"--{name}: expected numbers with commas between them, found {text!r}"
        ) from None


def host_cell(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `HostCell` from the options that all commands have."""
    cells = words(options["repeat"])
    return {
        "host": options["host"],
        "lattice": options["lattice"],
        "repeat": cells * 3 if cells and len(cells) == 1 else cells,
        "lattice_parameter_angstrom": options["lattice_parameter_angstrom"],
    }


def host_crystal(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `HostCrystal` from the options that commands have."""
    return {key: options[key] for key in ("host", "lattice", "lattice_parameter_angstrom")}
