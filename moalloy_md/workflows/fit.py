"""Training and evaluation as the command line runs them: with a bar, a table and JSON."""

import json
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from moalloy_md.config import Device, Engine, TrainConfig, load_config
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.evaluate import Evaluation, evaluate
from moalloy_md.potentials.metrics import ErrorMetrics
from moalloy_md.potentials.train import TrainResult, train
from moalloy_md.workflows.training_bar import training_bar


def train_shown(config_path: Path, out: Path | None, *, as_json: bool) -> TrainResult:
    """Train by a YAML file, show how far it is, and say what came out.

    Where the configuration names a test set, the finished model is evaluated on it into the
    folder ``test`` of the run.

    Parameters
    ----------
    config_path
        YAML file; see `moalloy_md.config.TrainConfig`.
    out
        Run directory; the one of the file if None.
    as_json
        Print JSON on standard output; everything else goes to standard error.

    Raises
    ------
    ConfigError
        If the file is wrong, or no run directory is given.
    """
    config = load_config(config_path, TrainConfig)
    folder = out or config.out
    if folder is None:
        raise ConfigError(
            f"expected a run directory, found none: give --out, or out in {config_path}"
        )
    screen = Console(stderr=as_json)
    with training_bar(screen) as watch:
        result = train(config, folder, watch=watch)
    _say_trained(result, screen)
    test = None
    if config.test is not None:
        test = evaluate(
            model=result.model, data=config.test, out=folder / "test", device=config.device
        )
        show_evaluation(test, screen)
    if as_json:
        metrics = None if test is None else test.metrics.as_dict()
        print(json.dumps({**result.as_dict(), "test": metrics}, indent=2))  # noqa: T201  asked for
    return result


def evaluate_shown(
    *, model: Path, data: Path, out: Path, engine: Engine, device: Device, batch_size: int,
    head: str | None, as_json: bool,
) -> Evaluation:  # fmt: skip
    """Evaluate, show how far it is, and print the table or the JSON of ``metrics.json``.

    See `moalloy_md.potentials.evaluate.evaluate` for the parameters and errors.
    """
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True) as bar:
        task = bar.add_task("evaluating", total=None)
        evaluation = evaluate(
            model=model, data=data, out=out, engine=engine, device=device, batch_size=batch_size,
            head=head, watch=lambda done: bar.update(task, completed=done, description=f"{done} cells"),
        )  # fmt: skip
    if as_json:
        by_dopant = {name: m.as_dict() for name, m in evaluation.by_dopant.items()}
        content = {**evaluation.metrics.as_dict(), "by_dopant": by_dopant}
        print(json.dumps(content, indent=2))  # noqa: T201  asked for
    else:
        show_evaluation(evaluation, Console())
    return evaluation


#: What the table shows, by the name of the error.
_COLUMNS = {
    "energy_mae_mev_per_atom": "E MAE\nmeV/atom",
    "energy_rmse_mev_per_atom": "E RMSE\nmeV/atom",
    "force_mae_mev_per_angstrom": "F MAE\nmeV/Å",
    "force_rmse_mev_per_angstrom": "F RMSE\nmeV/Å",
}


def show_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print the errors as a table, one line a dopant, with the interval of the whole set."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("cells\nwith", no_wrap=True)
    for title in ("cells\n(groups)", *_COLUMNS.values(), "mean |F|\nmeV/Å"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, metrics in evaluation.by_dopant.items():
        table.add_row(*_numbers(name, metrics))
    table.add_section()
    whole = evaluation.metrics
    table.add_row(*_numbers("all", whole), style="bold")
    if whole.intervals:
        intervals = (whole.intervals[error] for error in _COLUMNS)
        table.add_row("95 %", "", *(f"{i.low:.1f}–{i.high:.1f}" for i in intervals), "")
    console.print(table)
    console.print(
        "E: energy, F: force; 95 %: bootstrap interval over groups. Force errors are over Cartesian components; over the lengths of the error vectors, as "
        f"the paper writes them: MAE {whole.force_vector_mae_mev_per_angstrom:.1f}, "
        f"RMSE {whole.force_vector_rmse_mev_per_angstrom:.1f} meV/Å.\n"
        f"Written to {evaluation.folder}",
        highlight=False,
        markup=False,
    )


def _numbers(name: str, metrics: ErrorMetrics) -> tuple[str, ...]:
    return (
        name,
        f"{metrics.n_cells} ({metrics.n_groups})",
        *(f"{getattr(metrics, error):.1f}" for error in _COLUMNS),
        f"{metrics.mean_abs_force_mev_per_angstrom:.0f}",
    )


def _say_trained(result: TrainResult, console: Console) -> None:
    minutes = result.wall_s / 60
    first = (
        "This training was finished before: nothing was done."
        if result.was_finished
        else f"Trained {result.epochs} epochs in {minutes:.1f} min."
    )
    stopped = " No improvement for long: stopped early." if result.stopped_early else ""
    e0s = ", ".join(f"{name} {energy:.3f}" for name, energy in result.e0s_ev.items())
    console.print(
        f"{first}{stopped} Kept epoch {result.best_epoch} of {result.epochs}: on the validation "
        f"set, energy MAE {result.energy_mae_mev_per_atom:.1f} meV/atom, force MAE "
        f"{result.force_mae_mev_per_angstrom:.1f} meV/Å.\n"
        f"{result.n_parameters} parameters. Energies are counted from E0 (eV): {e0s}\n"
        f"Model: {result.model}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
