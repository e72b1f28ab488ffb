"""``moalloy structures``: cells to compute with DFT."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moalloy_md.cli.common import ConfigOption, JsonOption, bar, settings_from
from moalloy_md.cli.structures_common import (
    EdgeOption,
    HostOption,
    LatticeNameOption,
    OutOption,
    RepeatOption,
    host_cell,
    numbers,
    words,
)
from moalloy_md.cli.structures_defects import add_commands
from moalloy_md.config import load_config
from moalloy_md.errors import ConfigError

if TYPE_CHECKING:
    from ase import Atoms

    from moalloy_md.structures.dilute import DiluteCounts

app = typer.Typer(
    no_args_is_help=True,
    help="Make cells: doped ones to compute with DFT, boundaries, polycrystals, slabs, voids.",
)
add_commands(app)


class PairsOption(StrEnum):
    """Which pairs of dopants."""

    ALL = "all"
    EQUAL = "equal"
    NONE = "none"


class SpinOption(StrEnum):
    """Which start moments for two magnetic atoms."""

    PARALLEL = "parallel"
    BOTH = "both"


VaspOption = Annotated[
    Path | None, typer.Option(help="Folder to make with VASP inputs, one folder a cell.")
]
RattleOption = Annotated[
    str | None,
    typer.Option(help="Displaced variants: standard deviations of the coordinates, Å: 0.06,0.12."),
]
CopiesOption = Annotated[
    int | None, typer.Option(min=1, help="Displaced variants of each kind. (default 1)")
]
StrainOption = Annotated[
    str | None, typer.Option(help="Strained variants: relative change of the edges: -0.02,0.02.")
]
ShearOption = Annotated[
    str | None, typer.Option(help="Sheared variants: y grows by this much of x: 0.02.")
]
IdealOption = Annotated[
    bool | None,
    typer.Option("--ideal/--no-ideal", help="The cells on ideal sites. (default yes)"),
]
SpinStartsOption = Annotated[
    SpinOption | None,
    typer.Option(help="Start moments of two magnetic dopants. (default parallel)"),
]


@app.command("dilute")
def dilute_command(
    *,
    out: OutOption,
    dopants: Annotated[
        str | None, typer.Option(help="Symbols: W,Re,Fe. (default: the package's 20 dopants)")
    ] = None,
    pairs: Annotated[
        PairsOption | None,
        typer.Option(help="Two dopants: all pairs, those of one element, none. (default all)"),
    ] = None,
    shells: Annotated[
        str | None, typer.Option(help="Neighbour shells of the second dopant. (default 1,2,3)")
    ] = None,
    vacancy_shells: Annotated[
        str | None, typer.Option(help="Shells in which a single dopant has a vacancy: 1,2.")
    ] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    repeat: RepeatOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    ideal: IdealOption = None,
    rattle: RattleOption = None,
    copies: CopiesOption = None,
    strain: StrainOption = None,
    shear: ShearOption = None,
    spin_starts: SpinStartsOption = None,
    vasp: VaspOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One or two dopants in a host, each symmetry-distinct cell once: the paper's, and beyond.

    The second dopant sits in a neighbour shell of the first. Without options: Mo, bcc 4×4×4, one
    and two of 20 dopants in three shells, 651 cells.
    """
    from moalloy_md.structures.dilute import DiluteConfig, dilute_cells, dilute_counts

    options = locals()
    given = {
        "dopants": words(dopants),
        "pairs": pairs,
        "shells": words(shells),
        "vacancy_shells": words(vacancy_shells),
        **host_cell(options),
        **_variants(options),
    }
    settings = settings_from(given, config, DiluteConfig, source="moalloy structures dilute")
    counts = dilute_counts(settings)
    cells = list(dilute_cells(settings))
    lines = [_formula(counts, len(settings.dopants)), *_small_cell(cells)]
    _write(cells, out, vasp, as_json=as_json, counts=counts.as_dict(), lines=lines)


@app.command("random")
def random_command(
    *,
    out: OutOption,
    dopants: Annotated[
        str | None, typer.Option(help="Atomic fraction of each dopant: W=0.05,Ta=0.02.")
    ] = None,
    n_cells: Annotated[
        int | None, typer.Option(min=1, help="Cells with different sites. (default 1)")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draws the sites. (default 0)")] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    repeat: RepeatOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    ideal: IdealOption = None,
    rattle: RattleOption = None,
    copies: CopiesOption = None,
    strain: StrainOption = None,
    shear: ShearOption = None,
    spin_starts: SpinStartsOption = None,
    vasp: VaspOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Random solid solutions of the host."""
    from moalloy_md.structures.solid_solution import RandomConfig, random_cells

    options = locals()
    given = {
        "dopants": _fractions(dopants),
        "n_cells": n_cells,
        "seed": seed,
        **host_cell(options),
        **_variants(options),
    }
    settings = settings_from(given, config, RandomConfig, source="moalloy structures random")
    cells = list(random_cells(settings))
    _write(cells, out, vasp, as_json=as_json)


@app.command("vasp")
def vasp_command(
    cells: Annotated[Path, typer.Argument(metavar="CELLS.extxyz", help="Cells with names.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to make, with one folder a cell.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file: task, encut_ev, kspacing_per_angstrom, incar and so on."),
    ] = None,
) -> None:
    """VASP inputs for cells of any origin: POSCAR, INCAR, KPOINTS; POTCAR is yours to add.

    Cells with Cr, Mn, Fe, Co or Ni are spin-polarised.
    """
    from moalloy_md.datasets.extxyz import iter_atoms
    from moalloy_md.structures.vasp import VaspConfig, write_vasp_inputs

    settings = VaspConfig() if config is None else load_config(config, VaspConfig)
    images = []
    for index, (_, atoms) in enumerate(iter_atoms(cells)):
        atoms.info.setdefault("name", f"cell-{index:05d}")
        images.append(atoms)
    write_vasp_inputs(out, images, settings, watch=bar("Writing VASP inputs", len(images)))
    typer.echo(f"{len(images)} folders written to {out}; its README.md says how to add POTCAR")


def _fractions(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    fractions = {}
    for word in words(text) or []:
        symbol, equals, number = word.partition("=")
        if not equals:
            raise ConfigError(
                f"--dopants: expected symbol=fraction, such as W=0.05,Ta=0.02, found {word!r}"
            )
        (fractions[symbol.strip()],) = numbers("dopants", number)
    return fractions


def _variants(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Variants` from the options that all commands have."""
    copies = options["copies"]
    if copies is not None and options["rattle"] is None:
        raise ConfigError("--copies: expected --rattle beside it: without, copies would be equal")
    made = [
        *(
            {"rattle_angstrom": x, "copies": copies or 1}
            for x in numbers("rattle", options["rattle"])
        ),
        *({"strain": x} for x in numbers("strain", options["strain"])),
        *({"shear": x} for x in numbers("shear", options["shear"])),
    ]
    return {
        "ideal": options["ideal"],
        "variants": made or None,
        "spin_starts": options["spin_starts"],
    }


def _write(
    cells: Sequence["Atoms"],
    out: Path,
    vasp: Path | None,
    *,
    as_json: bool,
    counts: Mapping[str, Any] = MappingProxyType({}),
    lines: Sequence[str] = (),
) -> None:
    """Write what was made, and say so: `counts` in JSON, `lines` to people."""
    from moalloy_md.structures.files import write_cells
    from moalloy_md.structures.vasp import VaspConfig, write_vasp_inputs

    write_cells(out, cells)
    if vasp is not None:
        write_vasp_inputs(vasp, cells, VaspConfig(), watch=bar("Writing VASP inputs", len(cells)))
    if as_json:
        written = {
            "cells": len(cells),
            "out": str(out),
            "vasp": None if vasp is None else str(vasp),
        }
        typer.echo(json.dumps({**counts, **written}, indent=2))
        return
    for line in (*lines, f"{len(cells)} cells written to {out}"):
        typer.echo(line)
    if vasp is not None:
        typer.echo(f"VASP inputs in {vasp}; its README.md says how to add POTCAR")


def _small_cell(cells: Sequence["Atoms"]) -> list[str]:
    several = sorted({(a.info["shell"], a.info["n_contacts"]) for a in cells if "shell" in a.info})
    images = [f"{n} in shell {shell}" for shell, n in several if n > 1]
    said = f"Small cell: one dopant has several images of the other: {', '.join(images)}."
    return [said] if images else []


def _formula(counts: "DiluteCounts", n: int) -> str:
    terms = [
        (counts.pure, "pure host"),
        (counts.singles, "with one dopant"),
        (
            counts.pairs,
            f"with two ({counts.element_pairs} pairs of elements × {counts.pair_places} places)",
        ),
        (counts.vacancies, "with a vacancy"),
    ]
    listed = ", ".join(f"{number} {what}" for number, what in terms if number)
    return f"{counts.total} symmetry-distinct decorations with {n} {'dopant' if n == 1 else 'dopants'}: {listed}"
