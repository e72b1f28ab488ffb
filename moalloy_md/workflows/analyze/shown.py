"""Analysis as the command line shows it: a bar, a table, cautions, JSON."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import TimeRemainingColumn
from rich.table import Table

from moalloy_md.analysis.topics.base import TopicSettings
from moalloy_md.report.numbers import significant, with_error
from moalloy_md.workflows.analyze.compare import compare
from moalloy_md.workflows.analyze.workflow import analyze, default_out
from moalloy_md.workflows.progress_bar import progress_bar


def analyze_shown(settings: TopicSettings, run: Path, *, out: Path | None, as_json: bool) -> None:
    """Measure, show how far it is, and print the table; errors as `analyze`."""
    topic: str = settings.kind  # type: ignore[attr-defined]
    folder = out or default_out(run, topic)
    screen = Console(stderr=True)
    with progress_bar(screen, "frame {} of {}", clock=TimeRemainingColumn()) as show:

        def watch(done: int, total: int) -> None:
            show(done, total, "", is_end=done == total)

        results = analyze(settings, run, out=folder, watch=watch)
    if as_json:
        print(json.dumps(results, indent=2))  # noqa: T201  asked for
        return
    console = Console()
    frames = f"{results['n_frames']} frame{'s' if results['n_frames'] > 1 else ''}"
    console.print(
        f"{topic}: {run}, {frames}, {results['n_atoms']:,} atoms", highlight=False, markup=False
    )
    if results["quantities"]:
        console.print(_table(results["quantities"]))
    if results["n_frames"] > 1 and any(q["error"] is None for q in results["quantities"].values()):
        console.print("± ?: too few frames for an error; results.json says why", highlight=False)
    for caution in results["cautions"]:
        console.print(f"[bold red]caution:[/] {escape(caution)}", highlight=False, soft_wrap=True)
    console.print(f"tables and plots: {folder}", highlight=False, markup=False, soft_wrap=True)


def compare_shown(runs: Sequence[Path], *, out: Path, as_json: bool) -> None:
    """Compare, and print a table a topic; errors as `compare`."""
    results = compare(runs, out=out)
    if as_json:
        print(json.dumps(results, indent=2))  # noqa: T201  asked for
        return
    console = Console()
    for topic, rows in results["topics"].items():
        table = Table(title=topic)
        table.add_column("quantity")
        for name in results["runs"]:
            table.add_column(name, justify="right")
        for row in rows:
            unit = f" ({row['unit']})" if row["unit"] else ""
            table.add_row(f"{row['label']}{unit}", *(_beside(q) for q in row["runs"]))
        console.print(table)
    console.print(
        f"in brackets: differences to {results['runs'][0]} in standard errors\n"
        f"tables and plots: {out}",
        highlight=False,
        soft_wrap=True,
    )


def _table(quantities: dict[str, Any]) -> Table:
    table = Table()
    table.add_column("quantity")
    for heading in ("value ± error", "unit", "independent"):
        table.add_column(heading, justify="right")
    for quantity in quantities.values():
        table.add_row(quantity["label"], _value(quantity), quantity["unit"], _samples(quantity))
    return table


def _value(quantity: dict[str, Any]) -> str:
    value, error = quantity["value"], quantity["error"]
    if error is None:
        unknown = " ± ?" if quantity["n_samples"] > 1 else ""
        return f"{significant(value, 4)}{unknown}"
    if error == 0:
        return f"{value:.6g}"
    largest = max(abs(value), error)
    if 1e-4 < largest < 1e6:
        return with_error(value, error)
    power = math.floor(math.log10(largest))
    return f"({with_error(value / 10.0**power, error / 10.0**power)})e{power}"


def _samples(quantity: dict[str, Any]) -> str:
    effective = quantity["n_effective"]
    return (
        f"{quantity['n_samples']}"
        if effective is None
        else f"{effective:.0f} of {quantity['n_samples']}"
    )


def _beside(quantity: dict[str, Any] | None) -> str:
    if quantity is None:
        return "–"
    sigmas = quantity["sigmas"]
    return _value(quantity) + ("" if sigmas is None else f" ({sigmas:+.1f} σ)")
