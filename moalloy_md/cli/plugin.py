"""``moalloy plugin``: the LAMMPS plugins, compiled against what is installed."""

from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Build the LAMMPS plugins.")


@app.callback()
def _plugin() -> None:
    """Build the LAMMPS plugins."""


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
    """Compile `pair_style mace` against the installed torch and lammps, where `lmp` finds it.

    `pair_style mace/native` comes with the package; it is compiled too where the installed lammps
    is another one than the package was built with.
    """
    from moalloy_md.lammps import plugin

    if explain:
        for plan in (plugin.plan_native_plugin(), plugin.plan_torch_plugin()):
            typer.echo(plan.explain())
        return
    console = Console(stderr=True)
    with console.status("look for the plugins") as status:
        native = plugin.build_native_plugin(force=force, say=status.update)
        typer.echo(f"pair_style mace/native is ready: {native}")
        torch = plugin.build_torch_plugin(force=force, say=status.update)
    typer.echo(f"pair_style mace is ready: {torch}")
