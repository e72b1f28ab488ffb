"""Evaluate a model on a dataset: errors, predictions and a picture, each a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.config import Device, Engine
from moalloy_md.datasets.frames import Frame, dataset_hash, read_dataset, write_dataset
from moalloy_md.elements import atomic_number
from moalloy_md.errors import RunDirectoryError
from moalloy_md.potentials.metrics import ErrorMetrics, Interval, error_metrics
from moalloy_md.potentials.parity_plot import ParityData, plot_parity
from moalloy_md.potentials.predict import Predictions
from moalloy_md.potentials.predictors import open_predictor
from moalloy_md.rundir import RunDirectory, now, open_run, read_json, sha256, write_json

METRICS, PREDICTIONS, PICTURE = "metrics.json", "predictions.extxyz", "parity.png"

_PACKAGES = ("mace-torch", "e3nn", "torch", "numpy", "ase")

_INTERVALS_ARE = "95 % BCa bootstrap intervals; groups of cells are resampled"


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on a dataset, and where they are written."""

    metrics: ErrorMetrics
    """Errors on the whole set."""
    by_dopant: dict[str, ErrorMetrics]
    """Errors on the cells that hold a dopant, by its symbol; those of undoped cells stand under
    the host's. A cell with two different dopants counts for both."""
    folder: Path
    """Holds ``metrics.json``, ``predictions.extxyz`` and ``parity.png``."""


def evaluate(
    *,
    model: Path,
    data: Path,
    out: Path,
    engine: Engine = "mace",
    device: Device = "auto",
    batch_size: int = 8,
    head: str | None = None,
    watch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate a model on a dataset and write the result.

    Parameters
    ----------
    model
        A ``.model`` file; loading it runs code in it. For the native engine a bundle or its
        ``model.safetensors``, in which nothing can run.
    data
        Extended XYZ with ``REF_energy`` (eV) and ``REF_forces`` (eV/Å).
    out
        Run directory: ``metrics.json``, ``predictions.extxyz`` (``pred_energy``, eV, and
        ``pred_forces``, eV/Å, beside everything that `data` holds) and ``parity.png``.
    engine
        Who computes: mace-torch or the native engine.
    device
        Where to compute.
    batch_size
        Cells evaluated together; the native engine takes one at a time.
    head
        Head of the model; needed where it has several.
    watch
        Called with the number of cells that are done.

    Raises
    ------
    DataError
        If the dataset is missing, empty, damaged or unlabelled.
    ModelError
        If the model cannot be loaded, lacks an element, or gives no finite number.
    RunDirectoryError
        If `out` holds something else, or the evaluation of another model or dataset.
    """
    frames = read_dataset(data)
    predictor = open_predictor(
        model, engine=engine, device=device, batch_size=batch_size, head=head
    )
    cells = [frame.atoms for frame in frames]
    predictor.check(cells, source=str(data))
    config = {**predictor.identity, "data_sha256": dataset_hash(frames)}
    run = open_run(out, kind="evaluate", config=config, packages=_PACKAGES)
    if (finished := run.result("evaluate")) is not None:
        return _read(run, finished["metrics_sha256"])
    run.update_manifest(paths={"model": str(model), "data": str(data)})
    predictions = predictor.predict(cells, source=str(data), watch=watch)
    evaluation = _compare(frames, predictions, run.path)
    _write(run, frames, predictions, evaluation)
    return evaluation


def _compare(frames: Sequence[Frame], predictions: Predictions, folder: Path) -> Evaluation:
    chosen_by: dict[str, list[int]] = {}
    for index, frame in enumerate(frames):
        for name in frame.dopants or {frame.host}:
            chosen_by.setdefault(name, []).append(index)
    return Evaluation(
        metrics=_errors(frames, predictions, range(len(frames))),
        by_dopant={
            name: _errors(frames, predictions, chosen_by[name])
            for name in sorted(chosen_by, key=atomic_number)
        },
        folder=folder,
    )


def _errors(
    frames: Sequence[Frame], predictions: Predictions, chosen: Sequence[int]
) -> ErrorMetrics:
    return error_metrics(
        reference_energies_ev=np.array([frames[k].energy_ev for k in chosen]),
        predicted_energies_ev=predictions.energies_ev[list(chosen)],
        reference_forces=np.concatenate([frames[k].forces for k in chosen]),
        predicted_forces=np.concatenate([predictions.forces[k] for k in chosen]),
        n_atoms=np.array([frames[k].n_atoms for k in chosen]),
        groups=[frames[k].group for k in chosen],
    )


def _write(
    run: RunDirectory, frames: Sequence[Frame], predictions: Predictions, evaluation: Evaluation
) -> None:
    write_dataset(run.path / PREDICTIONS, _with_predictions(frames, predictions))
    plot_parity(_parity_data(frames, predictions), evaluation.metrics, run.path / PICTURE)
    write_json(
        run.path / METRICS,
        {
            **evaluation.metrics.as_dict(),
            "intervals_are": _INTERVALS_ARE,
            "by_dopant": {name: m.as_dict() for name, m in evaluation.by_dopant.items()},
        },
    )
    run.update_manifest(finished=now())
    run.finish_step("evaluate", {"metrics_sha256": sha256(run.path / METRICS)})


def _with_predictions(frames: Sequence[Frame], predictions: Predictions) -> list[Frame]:
    written = []
    for frame, energy, forces in zip(
        frames, predictions.energies_ev, predictions.forces, strict=True
    ):
        atoms = frame.atoms.copy()
        atoms.info["group"] = frame.group  # a frame without a name is a group of its own
        atoms.info["pred_energy"] = float(energy)
        atoms.arrays["pred_forces"] = forces
        written.append(Frame(atoms))
    return written


def _parity_data(frames: Sequence[Frame], predictions: Predictions) -> ParityData:
    count = np.array([frame.n_atoms for frame in frames])
    e0s = predictions.e0_energies_ev
    return ParityData(
        reference_energies=(np.array([frame.energy_ev for frame in frames]) - e0s) / count,
        predicted_energies=(predictions.energies_ev - e0s) / count,
        is_doped=np.array([bool(frame.dopants) for frame in frames]),
        reference_forces=np.concatenate([frame.forces for frame in frames]),
        predicted_forces=np.concatenate(predictions.forces),
        is_dopant=np.concatenate([np.array(f.atoms.symbols) != f.host for f in frames]),
    )


def _read(run: RunDirectory, metrics_sha256: str) -> Evaluation:
    """Read an evaluation that was finished before."""
    path = run.path / METRICS
    if not path.exists() or sha256(path) != metrics_sha256:
        raise RunDirectoryError(
            f"{path}: expected what this finished evaluation wrote, found "
            f"{'another content' if path.exists() else 'no file'}. Choose another folder"
        )
    content: dict[str, Any] = read_json(path)
    del content["intervals_are"]
    by_dopant = content.pop("by_dopant")
    return Evaluation(
        metrics=_metrics_from(content),
        by_dopant={name: _metrics_from(entry) for name, entry in by_dopant.items()},
        folder=run.path,
    )


def _metrics_from(content: dict[str, Any]) -> ErrorMetrics:
    intervals = {name: Interval(**entry) for name, entry in content["intervals"].items()}
    return ErrorMetrics(**{**content, "intervals": intervals})
