"""Training and evaluation as the command line runs them: with a bar, a table and JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from moalloy_md.config import load_config
from moalloy_md.elements import pairs_text
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.committee import committee_models, train_committee
from moalloy_md.potentials.evaluate import Evaluation, evaluate
from moalloy_md.potentials.evaluate_config import EvaluateConfig
from moalloy_md.potentials.metrics import ErrorMetrics
from moalloy_md.potentials.proxy import marked
from moalloy_md.potentials.train import TrainResult, train
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.workflows.training_bar import training_bar


def train_shown(
    config_path: Path, out: Path | None, *, committee: int | None = None, as_json: bool
) -> list[TrainResult]:
    """Train by a YAML file, show how far it is, and say what came out.

    Where the configuration names a test set, the finished model is evaluated on it into the
    folder ``test`` of the run; a committee as a whole.

    Parameters
    ----------
    config_path
        YAML file; see `moalloy_md.potentials.train_config.TrainConfig`.
    out
        Run directory; the one of the file if None.
    committee
        Models to train; the number in the file if None.
    as_json
        Print JSON on standard output; everything else goes to standard error.

    Raises
    ------
    ConfigError
        If the file is wrong, or no run directory is given.
    """
    config = load_config(config_path, TrainConfig)
    if committee is not None:
        config = config.model_copy(update={"committee": committee})
    folder = out or config.out
    if folder is None:
        raise ConfigError(
            f"expected a run directory, found none: give --out, or out in {config_path}"
        )
    screen = Console(stderr=as_json)
    results = _train(config, folder, screen)
    test = None
    if config.test is not None:
        test = evaluate(
            model=[result.model for result in results], data=config.test, out=folder / "test",
            device=config.device, train=config.train,
        )  # fmt: skip
        show_evaluation(test, screen)
    if as_json:
        metrics = None if test is None else test.metrics.as_dict()
        trained = [result.as_dict() for result in results]
        content = trained[0] if config.committee == 1 else {"committee": trained}
        print(json.dumps({**content, "test": metrics}, indent=2))  # noqa: T201  asked for
    return results


def _train(config: TrainConfig, folder: Path, screen: Console) -> list[TrainResult]:
    if config.committee == 1:
        with training_bar(screen) as watch:
            results = [train(config, folder, watch=watch)]
    else:
        with training_bar(screen) as watch:
            results = train_committee(
                config, folder, watch=watch,
                begin=lambda m: screen.print(f"model {m.index + 1} of {m.n_members}, seed {m.seed}"),
            )  # fmt: skip
    for result in results:
        _say_trained(result, screen)
    return results


def evaluate_shown(config: EvaluateConfig, *, as_json: bool) -> Evaluation:
    """Evaluate, show how far it is, and print the table or the JSON of ``metrics.json``.

    See `moalloy_md.potentials.evaluate.evaluate` for the errors. A folder of a committee stands
    for its models.
    """
    screen = Console(stderr=True)
    proxies: Mapping[str, str] | None = {} if config.proxies == "auto" else config.proxies
    with Progress(console=screen, transient=True) as bar:
        task = bar.add_task("evaluating", total=None)
        evaluation = evaluate(
            model=_members(config.model), data=config.data, out=config.out, train=config.train,
            proxies=proxies, engine=config.engine, device=config.device,
            batch_size=config.batch_size, head=config.head,
            watch=lambda done: bar.update(task, completed=done, description=f"{done} cells"),
        )  # fmt: skip
    if as_json:
        print(json.dumps(evaluation.content, indent=2))  # noqa: T201  asked for
    else:
        show_evaluation(evaluation, Console())
    return evaluation


def _members(models: Sequence[str]) -> list[str | Path]:
    """Put the models of a committee in the place of its folder."""
    found: list[str | Path] = []
    for model in models:
        found += committee_models(Path(model)) or [model]
    return found


#: What the table shows, by the name of the error.
_COLUMNS = {
    "energy_mae_mev_per_atom": "E MAE\nmeV/atom",
    "energy_rmse_mev_per_atom": "E RMSE\nmeV/atom",
    "force_mae_mev_per_angstrom": "F MAE\nmeV/Å",
    "force_rmse_mev_per_angstrom": "F RMSE\nmeV/Å",
}


def show_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print the errors as a table, one line a dopant, with the interval of the whole set."""
    table = Table(box=SIMPLE, padding=0)  # 80 columns have to be enough
    table.add_column("cells\nwith", no_wrap=True)
    for title in ("cells\n(groups)", *_COLUMNS.values(), "mean |F|\nmeV/Å", "R²\nof F"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, metrics in evaluation.by_dopant.items():
        proxies = evaluation.content["by_dopant"][name].get("proxies", {})
        table.add_row(*_numbers(marked(name, proxies), metrics))
    table.add_section()
    whole = evaluation.metrics
    table.add_row(*_numbers(marked("all", _proxies_of_test(evaluation)), whole), style="bold")
    if whole.intervals:
        intervals = (whole.intervals[error] for error in _COLUMNS)
        table.add_row("95 %", "", *(f"{_short(i.low)}–{_short(i.high)}" for i in intervals), "", "")
    console.print(table)
    for line in _lines_beside(evaluation):
        console.print(line, highlight=False, markup=False)


def _proxies_of_test(evaluation: Evaluation) -> dict[str, str]:
    entries = evaluation.content["by_dopant"].values()
    return {x: y for entry in entries for x, y in entry.get("proxies", {}).items()}


def _lines_beside(evaluation: Evaluation) -> list[str]:
    """Say what stands under the table."""
    whole, content = evaluation.metrics, evaluation.content
    proxies = _proxies_of_test(evaluation)
    slope = "" if whole.force_slope is None else f" Slope of the forces {whole.force_slope:.2f}."
    explained = (
        "E: energy, F: force; 95 %: bootstrap interval over groups; R² of F: 0 is predicting zero. "
        "Force errors are over Cartesian components; over the lengths of the error vectors, as "
        f"{marked('the paper writes them', proxies)}: MAE {whole.force_vector_mae_mev_per_angstrom:.1f}, "
        f"RMSE {whole.force_vector_rmse_mev_per_angstrom:.1f} meV/Å.{slope}"
    )
    lines = [explained]
    if content["proxies"]:
        lines.append(
            f"proxy ({pairs_text(content['proxies'])}): the model lacks the first element of each pair and "
            "takes the second one in its place; a number so marked is the proxy's."
        )
    for name, what in (("shifted", "references aligned"), ("oracle", "oracle")):
        if (found := content[name]) is not None:
            unseen = ", ".join(found["unseen"])
            known = f"; {unseen} not shifted" if unseen and name == "shifted" else ""
            lines.append(
                f"{marked('Energy', found.get('proxies', {}))} with the {what} "
                f"({found['fitted_on']}{known}): MAE "
                f"{found['energy_mae_mev_per_atom']:.1f}, RMSE "
                f"{found['energy_rmse_mev_per_atom']:.1f} meV/atom."
            )
    lines += [
        line for kind in content["dilute"] if (line := _dilute(kind, content["dilute"][kind]))
    ]
    if (spread := content["committee"]) is not None:
        n = spread["n_models"]
        lines.append(
            f"{marked(f'Committee of {n}', spread.get('proxies', {}))}: they differ by "
            f"{spread['energy_mev_per_atom']:.1f} meV/atom and "
            f"{spread['force_mev_per_angstrom']:.1f} meV/Å (root mean square); error over that: "
            f"{_number(spread['energy_error_over_spread'])} and "
            f"{_number(spread['force_error_over_spread'])}; rank correlation of the two: "
            f"{_number(spread['energy_rank_correlation'])} and "
            f"{_number(spread['force_rank_correlation'])}."
        )
    return [*lines, f"Written to {evaluation.folder}"]


def _dilute(kind: str, found: Mapping[str, Any]) -> str:
    if not found["n"]:
        return ""
    count = f"{found['n']} energ{'y' if found['n'] == 1 else 'ies'}"
    what = marked(f"{kind.capitalize()} energy", found.get("proxies", {}))
    line = f"{what} ({count}): MAE {found['mae_mev']:.0f} meV per cell"
    if found["mean_abs_mev"] is None:
        return f"{line}."
    return (
        f"{line} (mean |E| {found['mean_abs_mev']:.0f}), sign right in "
        f"{100 * found['sign_agreement']:.0f} %, rank correlation "
        f"{_number(found['rank_correlation'])}."
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _short(value: float) -> str:
    """Four digits are enough, and 80 columns have room for them."""
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def _numbers(name: str, metrics: ErrorMetrics) -> tuple[str, ...]:
    return (
        name,
        f"{metrics.n_cells} ({metrics.n_groups})",
        *(_short(getattr(metrics, error)) for error in _COLUMNS),
        f"{metrics.mean_abs_force_mev_per_angstrom:.0f}",
        "–" if metrics.force_r2 is None else f"{metrics.force_r2:.2f}",
    )


def _say_trained(result: TrainResult, console: Console) -> None:
    minutes = result.wall_s / 60
    first = (
        "This training was finished before: nothing was done."
        if result.was_finished
        else f"Trained {result.epochs} epoch{'s' * (result.epochs != 1)} in {minutes:.1f} min."
    )
    stopped = " No improvement for long: stopped early." if result.stopped_early else ""
    e0s = ", ".join(f"{name} {energy:.3f}" for name, energy in result.e0s_ev.items())
    console.print(
        f"{first}{stopped} Kept epoch {result.best_epoch} of {result.epochs}: on the validation "
        f"set, energy MAE {result.energy_mae_mev_per_atom:.1f} meV/atom, force MAE "
        f"{result.force_mae_mev_per_angstrom:.1f} meV/Å{_beside_force_error(result)}.\n"
        f"{result.n_parameters} parameters. Energies are counted from E0 (eV): {e0s}; "
        f"{result.e0s_from}.\n{_unseen(result)}"
        f"Model: {result.model}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _beside_force_error(result: TrainResult) -> str:
    if result.mean_abs_force_mev_per_angstrom is None or result.force_r2 is None:
        return ""
    return (
        f" (mean |F| {result.mean_abs_force_mev_per_angstrom:.1f} meV/Å, R² {result.force_r2:.3f}: "
        "0 is predicting zero)"
    )


def _unseen(result: TrainResult) -> str:
    """Say of which elements nothing was learnt, and which began as a copy of another."""
    lines = [
        f"{x}: no training cell has it; its E0 is {how}.\n" for x, how in result.unseen.items()
    ]
    lines += [f"{x}: began with the weights of its proxy {y}.\n" for x, y in result.proxies.items()]
    return "".join(lines)
