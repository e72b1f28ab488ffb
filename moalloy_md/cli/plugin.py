"""``moalloy plugin``: the LAMMPS plugin that is compiled against the installed torch."""

from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Build the LAMMPS plugin that needs torch.")


@app.callback()
def _plugin() -> None:
    """Build the LAMMPS plugin that needs torch."""


@app.command()
def build(
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print paths and commands; build nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build it again even if it is there.")
    ] = False,
) -> None:
    """Compile `pair_style mace` against the installed torch and lammps, where `lmp` finds it."""
    from moalloy_md.lammps.plugin import build_torch_plugin, plan_torch_plugin

    if explain:
        typer.echo(plan_torch_plugin().explain())
        return
    console = Console(stderr=True)
    with console.status("look for the plugin") as status:
        path = build_torch_plugin(force=force, say=status.update)
    typer.echo(f"pair_style mace is ready: {path}")
