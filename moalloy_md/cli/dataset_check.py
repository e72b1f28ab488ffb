"""``moalloy dataset check``: whether a dataset is fit to train on."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moalloy_md.cli.common import ConfigOption, JsonOption, bar, count, settings_from

#: Places that are listed of one check; --json has all.
_SHOWN = 5


def check_command(
    data: Annotated[Path, typer.Argument(metavar="DATA.extxyz", help="Dataset to check.")],
    *,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Name of a check to leave out; may be given several times."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a dataset: labels, forces, distances, duplicates, outliers, settings, stress, states.

    Each finding says where it is, why it matters and how to mend it. Exit status 1 if there are
    errors, 0 if there are only warnings or nothing.
    """
    from moalloy_md.datasets.checks.checking import check_dataset
    from moalloy_md.datasets.checks.config import CheckConfig
    from moalloy_md.datasets.extxyz_count import count_frames

    settings = settings_from(
        {"skip": skip or None}, config, CheckConfig, source="moalloy dataset check"
    )
    report = check_dataset(data, settings, watch=bar(f"Checking {data.name}", count_frames(data)))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        _print_report(report)
    if report.n_errors:
        raise typer.Exit(1)


def _print_report(report: Any) -> None:
    console = Console()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(
        f"{report.file}: {report.frames} frames, {report.atoms} atoms. Labels: energy (eV) "
        f"{report.energies}, forces (eV/Å) {report.forces}, stress (eV/Å³, tension positive) "
        f"{report.stresses}."
    )
    for line in report.evidence[:_SHOWN]:
        say(f"✓ {line}")
    if len(report.evidence) > _SHOWN:
        say(f"✓ ... and {len(report.evidence) - _SHOWN} more such series: --json")
    kinds: dict[tuple[str, str], list[Any]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.severity, finding.check), []).append(finding)
    for (severity, check), findings in kinds.items():
        _print_kind(console, severity, check, findings)
    passed = [name for name in report.checks if name not in {check for _, check in kinds}]
    # where reading stopped, they have not seen the rest
    if passed and ("error", "file") not in kinds:
        say(f"Nothing found by: {', '.join(passed)}.")
    say(f"{count(report.n_errors, 'error')}, {count(report.n_warnings, 'warning')}.")


def _print_kind(console: Console, severity: str, check: str, findings: list[Any]) -> None:
    plural = "" if len(findings) == 1 else "s"
    style = "bold red" if severity == "error" else "yellow"
    table = Table(
        "where",
        "found",
        title=f"[{style}]{check}: {len(findings)} {severity}{plural}[/]",
        title_justify="left",
        expand=True,
    )
    for finding in findings[:_SHOWN]:
        table.add_row(finding.place, finding.found)
    if len(findings) > _SHOWN:
        table.add_row("...", f"{len(findings) - _SHOWN} more: --json has all")
    console.print(table)
    for head, text in (("why", findings[0].why), ("mend", findings[0].mend)):
        console.print(f"  {head}: {text}", highlight=False, markup=False)
