"""``moalloy properties``: what a model says about the perfect crystal and its simplest defects."""

from pathlib import Path
from typing import Annotated

import typer

from moalloy_md.cli.common import ConfigOption, JsonOption, settings_from


def properties_command(
    *,
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'moalloy export' wrote.")] = None,
    out: Annotated[Path, typer.Option(help="Run directory to make, or to go on with.")] = Path(
        "properties"
    ),
    element: Annotated[str | None, typer.Option(help="The bcc crystal: Mo unless given.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="native (double precision) or torch (the TorchScript file, slower)."),
    ] = None,
    phonons: Annotated[
        bool | None, typer.Option("--phonons/--no-phonons", help="Whether to compute phonons.")
    ] = None,
    migration: Annotated[
        bool | None,
        typer.Option("--migration/--no-migration", help="Whether to let the vacancy jump."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the native engine: all cores unless given.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lattice parameter, equation of state, elastic constants, vacancy, surfaces, fcc − bcc and phonons.

    Beside reference values, in a table and a page with plots: the check before any simulation. A
    minute on two cores. Killed anywhere, the same command goes on.
    """
    from moalloy_md.workflows.properties.config import PropertiesConfig
    from moalloy_md.workflows.properties.shown import properties_shown

    given = {
        "bundle": bundle,
        "element": element,
        "engine": engine,
        "phonons": phonons,
        "migration": migration,
        "threads": threads,
    }
    settings = settings_from(given, config, PropertiesConfig, source="moalloy properties")
    properties_shown(settings, out=out, as_json=as_json)
