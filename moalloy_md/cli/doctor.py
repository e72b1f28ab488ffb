"""``moalloy doctor``: what is installed, whether it works together, how to mend it."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moalloy_md.cli.common import count

if TYPE_CHECKING:
    from moalloy_md.workflows.doctor.workflow import CheckResult, Diagnosis

#: Sign and colour of each status.
_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "bold red")}


def doctor_command(
    *,
    atoms: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Judge the free memory for a run of N atoms."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False,
) -> None:
    """Check the installation, run two atoms in `lmp`, and say how to mend what is wrong.

    Takes about 15 seconds and changes nothing. Exit status 1 if something does not work.
    """
    from moalloy_md.workflows.doctor.workflow import diagnose

    screen = Console(stderr=True)
    with screen.status("start") as status:
        diagnosis = diagnose(n_atoms=atoms, say=lambda name: status.update(f"check {name}"))
    if as_json:
        typer.echo(json.dumps(diagnosis.as_dict(), indent=2))
    else:
        _print_diagnosis(diagnosis)
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _print_diagnosis(diagnosis: "Diagnosis") -> None:
    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in diagnosis.checks:
        sign, colour = _SIGNS[check.status]
        table.add_row(Text(sign, colour), Text(check.name), _finding(check, colour))
    console.print(table)
    console.print()
    console.print(_verdict(diagnosis))


def _finding(check: "CheckResult", colour: str) -> Text:
    if check.status == "ok":
        return Text(check.found)
    text = Text(check.found, colour)
    if check.mend:
        text.append(f"\n→ {check.mend}", "bold")
    return text


def _verdict(diagnosis: "Diagnosis") -> Text:
    statuses = [check.status for check in diagnosis.checks]
    failures, warnings = statuses.count("failure"), statuses.count("warning")
    took = f" ({diagnosis.wall_s:.0f} s)"
    if failures:
        counts = count(failures, "failure") + (
            f", {count(warnings, 'warning')}" if warnings else ""
        )
        return Text(
            f"{counts}. Mend the uppermost first: others may follow from it.{took}", "bold red"
        )
    if warnings:
        return Text(f"Everything works, with {count(warnings, 'warning')}.{took}", "yellow")
    return Text(f"Everything works.{took}", "green")
