"""``moalloy dataset describe``: what a dataset holds, on the screen and as a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from moalloy_md.cli.common import JsonOption, bar
from moalloy_md.units import MEV_PER_EV

if TYPE_CHECKING:
    from rich.console import Console

    from moalloy_md.datasets.describe import Description

#: Lines of the table of pairs on the screen; the page and the JSON have all.
_MAX_PAIRS = 40


def describe_command(
    data: Annotated[Path, typer.Argument(metavar="DATA.extxyz", help="Labelled cells.")],
    *,
    html: Annotated[Path | None, typer.Option(help="Page to write, with plots.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count cells by dopant, pair, shell, host, state and group; energies and forces.

    Neighbour shells are found from the geometry, periodic images counted.
    """
    from rich.console import Console

    from moalloy_md.datasets.describe import describe
    from moalloy_md.datasets.extxyz_count import count_frames
    from moalloy_md.datasets.frames import iter_dataset

    found = describe(bar(f"Reading {data.name}", count_frames(data))(iter_dataset(data)))
    if html is not None:
        from moalloy_md.report.dataset import write_dataset_page

        write_dataset_page(html, found, title=data.name)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _print_tables(found)
        if html is not None:
            Console().print(f"Written to {html}", highlight=False, markup=False)


def _print_tables(found: "Description") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(found):
        facts.add_row(name, Text(value))
    console.print(facts, highlight=False)
    if found.dopants:
        _print_dopants(found, console)
    _print_pairs(found, console, "cells", "Cells with exactly two dopant atoms, by shell")
    _print_pairs(found, console, "contacts", "Contacts in cells with more dopant atoms, by shell")


def _facts(found: "Description") -> list[tuple[str, str]]:
    def counted(mapping: Mapping[str, int] | Mapping[int, int]) -> str:
        return ", ".join(f"{name}: {n}" for name, n in mapping.items())

    energy, forces = found.energy, found.largest_forces
    mean, rms = (
        MEV_PER_EV * value for value in (found.mean_abs_force_component, found.rms_force_component)
    )
    spread = f"{energy.minimum:.1f} to {energy.maximum:.1f}, std {energy.standard_deviation:.1f}"
    facts = [
        ("frames", f"{found.n_frames} with {found.n_atoms} atoms in all"),
        ("groups", f"{found.n_groups}; largest {counted(dict(_first(found.largest_groups, 3)))}"),
        ("frames by host", counted(found.hosts)),
        ("by state", counted(found.states)),
        ("by lattice", counted(found.lattices)),
        ("by number of atoms", counted(found.sizes)),
        ("by number of dopant atoms", counted(found.n_dopant_atoms)),
        ("with stress", str(found.n_frames_with_stress)),
        ("with vacant sites", str(found.n_frames_with_vacancies)),
        ("energy less linear part", f"{spread} meV/atom"),
        ("force components", f"mean absolute {mean:.1f}, rms {rms:.1f} meV/Å"),
        ("longest force", f"{forces.max():.2f} eV/Å, in frame {forces.argmax()} (from 0)"),
    ]
    if not found.references_determined:
        facts.append(("beware", "the compositions do not determine each element's energy"))
    if found.n_frames_without_group:
        n = found.n_frames_without_group
        facts.append(("beware", f"{n} frames name no group: a split takes each for its own"))
    return facts


def _first(mapping: Mapping[str, int], n: int) -> list[tuple[str, int]]:
    return list(mapping.items())[:n]


def _print_dopants(found: "Description", console: "Console") -> None:
    from rich.table import Table

    table = Table("dopant", title="Frames with each dopant")
    for name in ("frames", "groups", "one atom", "in a pair", "more atoms"):
        table.add_column(name, justify="right")
    for x, c in found.dopants.items():
        table.add_row(x, *map(str, (c.frames, c.groups, c.single, c.pairs, c.more)))
    console.print(table)


def _print_pairs(
    found: "Description", console: "Console", counter: Literal["cells", "contacts"], title: str
) -> None:
    from rich.table import Table

    shells = found.shells(counter)
    pairs = {pair: getattr(c, counter) for pair, c in found.pairs.items() if getattr(c, counter)}
    if not shells:
        return
    table = Table("pair", title=title)
    for shell in shells:
        table.add_column(shell, justify="right")
    for (x, y), counts in list(pairs.items())[:_MAX_PAIRS]:
        table.add_row(f"{x}-{y}", *(str(counts[shell] or "·") for shell in shells))
    table.add_section()
    sums = (sum(counts[shell] for counts in pairs.values()) for shell in shells)
    table.add_row("all", *map(str, sums))
    console.print(table)
    if counter == "cells" and found.repeated_pairs:
        said = ", ".join(f"{images} in shell {shell}" for shell, images, _ in found.repeated_pairs)
        console.print(f"Small cells: one dopant has several images of the other: {said}.")
    if len(pairs) > _MAX_PAIRS:
        console.print(
            f"{len(pairs) - _MAX_PAIRS} more pairs: see --html or --json.", highlight=False
        )
