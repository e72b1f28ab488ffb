"""Static properties as the command line shows them: a bar, a table, cautions, JSON."""

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moalloy_md.workflows.progress_bar import progress_bar
from moalloy_md.workflows.properties.config import PropertiesConfig
from moalloy_md.workflows.properties.workflow import run_properties


def properties_shown(config: PropertiesConfig, *, out: Path, as_json: bool) -> None:
    """Compute, show how far it is, and print the table; errors as `run_properties`."""
    from moalloy_md.report.properties import PAGE, table_rows

    with progress_bar(Console(stderr=True), "{} of {}") as show:

        def watch(done: int, total: int, title: str) -> None:
            show(done, total, title, is_end=done == total)

        results = run_properties(config, out=out, watch=watch)
    if as_json:
        print(json.dumps(results, indent=2))  # noqa: T201  asked for
        return
    table = Table(title=f"bcc {results['element']}, {escape(results['bundle'])}")
    table.add_column("property")
    for heading in ("this model", "reference", "deviation"):
        table.add_column(heading, justify="right")
    for row in table_rows(results["properties"]):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for caution in results["cautions"]:
        console.print(f"[bold red]caution:[/] {escape(caution)}", highlight=False)
    for step, reason in results["failed"].items():
        console.print(f"[bold red]not computed:[/] {step}: {escape(reason)}", highlight=False)
    console.print(f"report: {out / PAGE}", highlight=False, markup=False, soft_wrap=True)
