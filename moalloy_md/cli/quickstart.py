"""``moalloy quickstart``: the whole chain on bundled data."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def quickstart_command(
    *,
    out: Annotated[Path, typer.Option(help="Run directory to make, or to go on with.")] = Path(
        "quickstart"
    ),
    config: Annotated[
        Path | None, typer.Option(help="YAML file with other settings than the defaults.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print summary.json on standard output.")
    ] = False,
) -> None:
    """Go from bundled DFT cells to MD of doped Mo in LAMMPS: about ten minutes on two cores.

    Leaves summary.json and report.html. Killed anywhere, the same command goes on.
    """
    from moalloy_md.config import load_config
    from moalloy_md.workflows.quickstart.config import QuickstartConfig
    from moalloy_md.workflows.quickstart.report import REPORT
    from moalloy_md.workflows.quickstart.workflow import quickstart

    settings = QuickstartConfig() if config is None else load_config(config, QuickstartConfig)
    summary = quickstart(settings, out=out)
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    test, lattice = summary["test"], summary["md"]["lattice_parameter_angstrom"]
    bcc = summary["md"]["bcc_fraction"]
    compared = "".join(
        f"\n  {row['model']:10s} {row['shifted_energy_mae_mev_per_atom']:5.1f} meV/atom "
        f"(references aligned), {row['force_mae_mev_per_angstrom']:3.0f} meV/Å"
        for row in summary["compared"]
    )
    Console().print(
        f"test cells ({summary['data']['n_test']}): energy MAE "
        f"{test['energy_mae_mev_per_atom']:.1f} meV/atom, force MAE "
        f"{test['force_mae_mev_per_angstrom']:.0f} meV/Å "
        f"(predicting zero: {test['mean_abs_force_mev_per_angstrom']:.0f}){compared}\n"
        f"MD: {summary['md']['steps']} steps, lattice parameter {lattice['value']:.4f} ± "
        f"{lattice['error']:.4f} Å{'' if bcc is None else f', {100 * bcc:.1f} % bcc'}\n"
        f"report: {out / REPORT}",
        highlight=False,
    )
