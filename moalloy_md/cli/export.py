"""``moalloy export``: from a mace-torch model to a bundle that LAMMPS runs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from moalloy_md.bundle import Bundle
from moalloy_md.config import DType
from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError


def export_command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A .model file. Loading one runs code in it: trust it."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder to make.")],
    elements: Annotated[
        str | None,
        typer.Option(metavar="Mo,W", help="Keep only these: a smaller, faster file. (all)"),
    ] = None,
    dtype: Annotated[
        DType | None, typer.Option(help="Precision of the file. (the model's own)")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Head to export; needed where the model has several.")
    ] = None,
) -> None:
    """Export a MACE model for LAMMPS: TorchScript, manifest, and a parity check by `lmp` itself."""
    from moalloy_md.workflows.export import export

    console = Console(stderr=True)
    with console.status("load the model") as status:
        bundle = export(
            model,
            out=out,
            head=head,
            elements=None if elements is None else _symbols(elements),
            dtype=dtype,
            say=status.update,
        )
    _print_bundle(bundle)


def _symbols(text: str) -> list[str]:
    symbols = [part for part in text.replace(",", " ").split() if part]
    if not symbols:
        raise ConfigError("--elements: expected symbols such as Mo,W, found none")
    for symbol in symbols:
        atomic_number(symbol)
    return symbols


def _print_bundle(bundle: Bundle) -> None:
    manifest, parity = bundle.manifest, bundle.manifest["parity"]
    table = Table("parity with the source", "largest deviation", "limit")
    for label, name, unit in (
        ("energy", "energy{}_ev_per_atom", "eV/atom"),
        ("forces", "force{}_ev_per_angstrom", "eV/Å"),
        ("stress", "stress{}_ev_per_angstrom3", "eV/Å³"),
    ):
        found, limit = parity[name.format("")], parity[name.format("_limit")]
        table.add_row(f"{label} ({unit})", f"{found:.1e}", f"{limit:.1e}")
    console = Console()
    console.print(table)
    console.print(
        f"{', '.join(bundle.elements)}; r_max {manifest['r_max_angstrom']:g} Å, "
        f"{manifest['n_layers']} layers, {manifest['dtype']}; evaluated by lmp on "
        f"{parity['n_atoms']} atoms",
        highlight=False,
    )
    console.print(
        f"pair_style mace\npair_coeff * * {bundle.torchscript} {' '.join(bundle.elements)}",
        highlight=False,
        soft_wrap=True,
    )
