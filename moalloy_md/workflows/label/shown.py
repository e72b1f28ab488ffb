"""Labelling as the command line runs it: with a bar, a list of failures and JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from moalloy_md.workflows.label.config import LabelConfig
from moalloy_md.workflows.label.workflow import LabelProgress, LabelResult, Watch, label
from moalloy_md.workflows.progress_bar import progress_bar

_FAILURES_SHOWN = 20


def label_shown(
    cells: Path,
    config: LabelConfig,
    out: Path,
    *,
    retry: bool,
    limit: int | None,
    as_json: bool,
) -> LabelResult:
    """Label cells, show how far it is and when it will end, and list what failed.

    See `moalloy_md.workflows.label.workflow.label` for the parameters and errors.
    """
    with _bar(Console(stderr=True)) as watch:
        result = label(cells, config, out, retry=retry, limit=limit, watch=watch)
    if as_json:
        print(json.dumps(result.as_dict(), indent=2))  # noqa: T201  asked for
    else:
        _say(result, Console())
    return result


@contextmanager
def _bar(console: Console) -> Iterator[Watch]:
    with progress_bar(console, "{} of {} cells") as show:

        def watch(progress: LabelProgress) -> None:
            done, total = progress.n_labelled, progress.n_cells
            show(done, total, _state(progress), is_end=done + progress.n_failed == total)

        yield watch


def _state(progress: LabelProgress) -> str:
    failed = f"{progress.n_failed} failed, " if progress.n_failed else ""
    if progress.seconds_left is None:
        return f"{failed}end unknown yet"
    end = datetime.now().astimezone() + timedelta(seconds=progress.seconds_left)
    day = "" if end.date() == datetime.now().astimezone().date() else f"{end:%d %b} "
    return f"{failed}{_duration(progress.seconds_left)} left, ends about {day}{end:%H:%M}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _say(result: LabelResult, console: Console) -> None:
    done = f"{result.n_labelled} of {result.n_cells} cells labelled ({result.n_new} now)"
    lines = [f"{done}, {len(result.failures)} failed, {result.n_left} not tried."]
    for failure in result.failures[:_FAILURES_SHOWN]:
        reason = failure.reason.splitlines()[0][:200] if failure.reason else "no reason given"
        times = f" ({failure.attempts} attempts)" if failure.attempts > 1 else ""
        lines.append(f"  failed: {failure.name}{times}: {reason}")
    if len(result.failures) > _FAILURES_SHOWN:
        lines.append(f"  ... and {len(result.failures) - _FAILURES_SHOWN} more")
    if result.failures:
        lines.append(f"What they printed is in {result.folder}; --retry tries them again.")
    if result.n_labelled:
        lines.append(f"Written to {result.out}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
