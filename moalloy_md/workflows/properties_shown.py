"""Static properties as the command line shows them: a bar, a table, cautions, JSON."""

import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from moalloy_md.workflows.properties_config import PropertiesConfig
from moalloy_md.workflows.properties_run import run_properties


def properties_shown(config: PropertiesConfig, *, out: Path, as_json: bool) -> None:
    """Compute, show how far it is, and print the table; errors as `run_properties`."""
    from moalloy_md.report.properties import PAGE, table_rows

    screen = Console(stderr=True)
    columns = (
        TextColumn("{task.completed} of {task.total}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def watch(done: int, total: int, title: str) -> None:
            bar.update(task, completed=done, total=total, description=title)

        results = run_properties(config, out=out, watch=watch)
    if as_json:
        print(json.dumps(results, indent=2))  # noqa: T201  asked for
        return
    table = Table(title=f"bcc {results['element']}, {results['bundle']}")
    table.add_column("property")
    for heading in ("this model", "reference", "deviation"):
        table.add_column(heading, justify="right")
    for row in table_rows(results["properties"]):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for caution in results["cautions"]:
        console.print(f"[bold red]caution:[/] {caution}", highlight=False)
    for step, reason in results["failed"].items():
        console.print(f"[bold red]not computed:[/] {step}: {reason}", highlight=False)
    console.print(f"report: {out / PAGE}", highlight=False, soft_wrap=True)
