"""``moalloy dataset label``: energies and forces for cells that have none."""

from pathlib import Path
from typing import Annotated

import typer

from moalloy_md.cli.common import JsonOption
from moalloy_md.errors import ConfigError


def label_command(
    cells: Annotated[Path, typer.Argument(metavar="CELLS.extxyz", help="Cells to label.")],
    *,
    out: Annotated[Path, typer.Option(help="Dataset to write; OUT.cells keeps one file a cell.")],
    calculator: Annotated[
        str | None,
        typer.Option(
            help="Who labels: a .model file, a bundle, or module:factory. Loading a .model or a "
            "module runs its code. DFT codes have settings: use --config."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file: calculator (kind mace, native, gpaw, vasp or factory)."),
    ] = None,
    stress: Annotated[
        bool, typer.Option(help="Keep the stress where the calculator has one.")
    ] = True,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try the cells again that failed before.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many cells.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Label cells with a DFT code or a teacher potential; the same command again goes on.

    REF_energy is the force-consistent free energy. Exit status 1 if a cell failed.
    """
    from moalloy_md.config import load_config
    from moalloy_md.workflows.label.config import LabelConfig, calculator_from_text
    from moalloy_md.workflows.label.shown import label_shown

    if (calculator is None) == (config is None):
        found = "none" if config is None else "both"
        raise ConfigError(f"expected either --calculator or --config, found {found}")
    if config is not None:
        settings = load_config(config, LabelConfig)
        settings = settings if stress else settings.model_copy(update={"stress": False})
    else:
        settings = LabelConfig(calculator=calculator_from_text(str(calculator)), stress=stress)
    result = label_shown(cells, settings, out, retry=retry, limit=limit, as_json=as_json)
    if result.failures:
        raise typer.Exit(1)
