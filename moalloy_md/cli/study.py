"""``moalloy study``: zero-shot, scratch, fine-tuned and refined models under all protocols."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from moalloy_md.cli.common import JsonOption, ResubmitOption, only_with_slurm

app = typer.Typer(
    no_args_is_help=True,
    help="Compare zero-shot, scratch, fine-tuned and refined models under random and "
    "leave-one-dopant-out splits.",
)


class ExecutorName(StrEnum):
    """Who runs the runs."""

    HERE = "here"
    SLURM = "slurm"
    LOCAL = "local"


@app.command("run")
def run_command(
    study: Annotated[
        Path,
        typer.Argument(metavar="STUDY.yaml", help="Cells, paradigms, sizes, protocols."),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; the name of STUDY.yaml without its end if not given."
        ),
    ] = None,
    executor: Annotated[
        ExecutorName,
        typer.Option(
            help="here: one run after the other. slurm: an array of jobs. local: processes of this "
            "machine, submitted as to SLURM."
        ),
    ] = ExecutorName.HERE,
    only: Annotated[
        str | None, typer.Option(help="Name of a run, or the beginning of several.")
    ] = None,
    resubmit: ResubmitOption = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what the runs that are left would cost, and do none."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Do all runs of a study that are not done; the same command goes on, and retries what failed.

    Exits with status 1 if a run failed.
    """
    from rich.console import Console

    from moalloy_md.workflows.study.workflow import plan_costs, run_study, show_outcome

    console = Console(stderr=as_json)
    folder = out or study.with_suffix("")
    if dry_run:
        costs = plan_costs(study, console, out=folder, only=only)
        if as_json:
            print(json.dumps([{**asdict(c), "hours": c.hours} for c in costs], indent=2))  # noqa: T201
        return
    found = run_study(
        study,
        out=folder,
        executor=executor.value,
        only=only,
        resubmit=only_with_slurm(resubmit=resubmit, slurm=executor is ExecutorName.SLURM),
        console=console,
    )
    show_outcome(found, console)
    console.print(f"moalloy study report {folder}", highlight=False, markup=False)
    if as_json:
        print(json.dumps({"folder": str(folder), **asdict(found)}, indent=2))  # noqa: T201
    if found.failed:
        raise typer.Exit(1)


@app.command("report")
def report_command(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Write report/report.html, its tables as CSV and its pictures as PNG from the runs that are done."""
    from rich.console import Console

    from moalloy_md.workflows.study.report import report_study

    report = report_study(study, Console(quiet=as_json))
    if as_json:
        counts = {"n_runs": report.n_runs, "n_done": report.n_done}
        print(json.dumps({"report": str(report.page), **counts, **report.summary}, indent=2))  # noqa: T201
