"""The quickstart's models: the foundation as it is, fine-tuned, and its network from scratch."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from moalloy_md.potentials.train_config import FineTune, Optimisation, Scratch, Start, TrainConfig
from moalloy_md.workflows.quickstart.config import QuickstartConfig

#: Folders of the evaluations, and of the trainings beside them.
ZERO_SHOT, SCRATCH, FINE_TUNED = "zero-shot", "scratch", "fine-tuned"


def fine_tune(config: QuickstartConfig, out: Path, console: Console) -> Path:
    """Fine-tune the foundation on the training cells; return the model's file."""
    start = FineTune(foundation=config.foundation)
    return _train(_settings(config, start, config.fine_tuning, out), out, FINE_TUNED, console)


def from_scratch(config: QuickstartConfig, out: Path, console: Console) -> Path:
    """Train the foundation's network from random weights for as many epochs."""
    start = Scratch(like=config.foundation)
    return _train(_settings(config, start, config.scratch, out), out, SCRATCH, console)


def evaluate_all(
    config: QuickstartConfig, fine_tuned: Path, scratch: Path, out: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Evaluate the three on the test cells.

    Returns
    -------
    test
        Errors of the fine-tuned model.
    compared
        One entry a model, the fine-tuned one last: errors as they are, and energies with the
        references of the elements aligned on the training cells.
    """
    from moalloy_md.potentials.evaluate import evaluate

    models: dict[str, str | Path] = {
        ZERO_SHOT: config.foundation,
        SCRATCH: scratch,
        FINE_TUNED: fine_tuned,
    }
    compared, found = [], {}
    for name, model in models.items():
        found[name] = evaluate(
            model=model,
            data=out / "split" / "test.extxyz",
            train=out / "split" / "train.extxyz",
            out=out / "evaluate" / name,
        )
        metrics = found[name].metrics
        compared.append(
            {
                "model": name,
                "energy_mae_mev_per_atom": metrics.energy_mae_mev_per_atom,
                "shifted_energy_mae_mev_per_atom": found[name].content["shifted"][
                    "energy_mae_mev_per_atom"
                ],
                "force_mae_mev_per_angstrom": metrics.force_mae_mev_per_angstrom,
            }
        )
    metrics = found[FINE_TUNED].metrics
    test = {key: value for key, value in asdict(metrics).items() if key != "intervals"}
    for quantity, unit in (("energy", "atom"), ("force", "angstrom")):
        interval = metrics.intervals[f"{quantity}_mae_mev_per_{unit}"]
        test[f"{quantity}_mae_interval"] = [interval.low, interval.high]
    test["interval_method"] = "95 %, BCa bootstrap over groups of cells"
    return test, compared


def _settings(
    config: QuickstartConfig, start: Start, optimisation: Optimisation, out: Path
) -> TrainConfig:
    return TrainConfig(
        train=out / "split" / "train.extxyz",
        valid=out / "split" / "valid.extxyz",
        start=start,
        optimisation=optimisation,
        dtype=config.dtype,
    )


def _train(settings: TrainConfig, out: Path, name: str, console: Console) -> Path:
    from moalloy_md.potentials.train import train
    from moalloy_md.workflows.training_bar import training_bar

    with training_bar(console) as watch:
        return train(settings, out / "train" / name, watch=watch).model
