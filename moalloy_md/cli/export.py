"""``moalloy export``: from a mace-torch model to a bundle that LAMMPS and the engine run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moalloy_md.bundle import NATIVE, TORCHSCRIPT, Bundle
from moalloy_md.cli.common import ConfigOption, JsonOption, settings_from
from moalloy_md.config import DType, NativeFile
from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError


def export_command(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A .model file (loading one runs code in it: trust it), or a foundation: base-small.",
        ),
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(metavar="BUNDLE", help="Folder to make.")] = None,
    elements: Annotated[
        str | None,
        typer.Option(metavar="Mo,W", help="Keep only these: a smaller, faster file. (all)"),
    ] = None,
    dtype: Annotated[
        DType | None, typer.Option(help="Precision of the files. (the model's own)")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Head to export; needed where the model has several.")
    ] = None,
    native: Annotated[
        NativeFile | None,
        typer.Option(
            help="File for the native engine: where it can be, by all means, or not. (auto)"
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a MACE model: TorchScript for LAMMPS, weights for the native engine, both checked."""
    from moalloy_md.workflows.export import export
    from moalloy_md.workflows.export_config import ExportConfig

    given = {
        "model": model,
        "out": out,
        "elements": None if elements is None else _symbols(elements),
        "dtype": dtype,
        "head": head,
        "native": native,
    }
    settings = settings_from(
        given, config, ExportConfig, source="moalloy export", names={"model": "MODEL"}
    )
    console = Console(stderr=True)
    with console.status("load the model") as status:
        bundle = export(
            settings.model,
            out=settings.out,
            head=settings.head,
            elements=None if settings.elements is None else list(settings.elements),
            dtype=settings.dtype,
            native=settings.native,
            say=status.update,
        )
    if settings.native == "auto" and bundle.native is None:
        console.print("[bold yellow]warning:[/] ", end="")
        reason = f"no {NATIVE} was written. {bundle.manifest['native']['reason']}"
        console.print(reason, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"bundle": str(bundle.path), **bundle.manifest}, indent=2))  # noqa: T201
        return
    _print_bundle(bundle)


def _symbols(text: str) -> list[str]:
    symbols = [part for part in text.replace(",", " ").split() if part]
    if not symbols:
        raise ConfigError("--elements: expected symbols such as Mo,W, found none")
    for symbol in symbols:
        atomic_number(symbol)
    return symbols


def _print_bundle(bundle: Bundle) -> None:
    manifest, console = bundle.manifest, Console()
    console.print(_parity_table(TORCHSCRIPT, manifest["parity"]))
    evaluated = "by lmp"
    if bundle.native is not None:
        console.print(_parity_table(NATIVE, manifest["native"]["parity"]))
        evaluated += " and by the native engine"
    console.print(
        f"{', '.join(bundle.elements)}; r_max {manifest['r_max_angstrom']:g} Å, "
        f"{manifest['n_layers']} layers, {manifest['dtype']}; evaluated {evaluated} on "
        f"{manifest['parity']['n_atoms']} atoms",
        highlight=False,
    )
    for style, file in (("mace/native", bundle.native), ("mace", bundle.torchscript)):
        if file is not None:
            console.print(
                f"\npair_style {style}\npair_coeff * * {file} {' '.join(bundle.elements)}",
                highlight=False,
                soft_wrap=True,
            )


def _parity_table(file: str, parity: dict[str, Any]) -> Table:
    table = Table(f"{file} against the source", "largest deviation", "limit")
    for label, name, unit in (
        ("energy", "energy{}_ev_per_atom", "eV/atom"),
        ("forces", "force{}_ev_per_angstrom", "eV/Å"),
        ("stress", "stress{}_ev_per_angstrom3", "eV/Å³"),
    ):
        found, limit = parity[name.format("")], parity[name.format("_limit")]
        table.add_row(f"{label} ({unit})", f"{found:.1e}", f"{limit:.1e}")
    return table
