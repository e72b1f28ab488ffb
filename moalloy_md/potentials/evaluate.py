"""Evaluate a model on a dataset: errors, predictions and a picture, each a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.config import Device, Engine
from moalloy_md.datasets.frames import Frame, dataset_hash, read_dataset, write_dataset
from moalloy_md.elements import pairs_text
from moalloy_md.errors import RunDirectoryError
from moalloy_md.potentials.dilute import DiluteErrors, may_be_partner
from moalloy_md.potentials.dilute_table import cells_of, dilute_rows
from moalloy_md.potentials.evaluation import (
    KINDS,
    Numbers,
    Predicted,
    ShiftedErrors,
    cells_by,
    numbers,
)
from moalloy_md.potentials.metrics import ErrorMetrics, Interval
from moalloy_md.potentials.parity_plot import ParityData, plot_parity
from moalloy_md.potentials.predictors import Predictor, ProxyChoice, open_predictor
from moalloy_md.potentials.proxy import proxies_of
from moalloy_md.potentials.reference_energies import representative
from moalloy_md.rundir import (
    RunDirectory,
    now,
    open_run,
    read_json,
    sha256,
    write_csv,
    write_json,
)

METRICS, PREDICTIONS, PICTURE = "metrics.json", "predictions.extxyz", "parity.png"
#: Energies of dilute alloys one by one, where there are any.
DILUTE = "dilute.csv"
#: Predictions for the cells of the training set that were used.
TRAIN_PREDICTIONS = "train_predictions.extxyz"

_PACKAGES = ("mace-torch", "e3nn", "torch", "numpy", "ase")

_INTERVALS_ARE = "95 % BCa bootstrap intervals; groups of cells are resampled"

Watch = Callable[[int], None]


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on a dataset, and where they are written."""

    metrics: ErrorMetrics
    """Errors on the whole set."""
    by_dopant: dict[str, ErrorMetrics]
    """Errors on the cells that hold a dopant, by its symbol; those of undoped cells stand under
    the host's. A cell with two different dopants counts for both."""
    content: dict[str, Any]
    """All of ``metrics.json``."""
    folder: Path
    """Holds ``metrics.json``, ``predictions.extxyz`` and ``parity.png``."""


def evaluate(
    *,
    model: str | Path | Sequence[str | Path],
    data: Path,
    out: Path,
    train: Path | None = None,
    proxies: Mapping[str, str] | None = None,
    engine: Engine = "mace",
    device: Device = "auto",
    batch_size: int = 8,
    head: str | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Evaluate a model on a dataset and write the result.

    Parameters
    ----------
    model
        A ``.model`` file, which is a pickle: loading it runs code in it; or the name of a
        foundation. For the native engine a bundle or its ``model.safetensors``, in which nothing
        can run. Several are a committee: their mean is evaluated, beside their disagreement.
    data
        Extended XYZ with ``REF_energy`` (eV) and ``REF_forces`` (eV/Å).
    out
        Run directory: ``metrics.json``, ``predictions.extxyz`` (``pred_energy``, eV, and
        ``pred_forces``, eV/Å, beside everything that `data` holds), ``parity.png``, and
        ``dilute.csv`` where the cells allow energies of dilute alloys.
    train
        Training set: the references of the elements are aligned on its cells for a second column
        of energy errors, and they stand for the host and single dopants in the energies of
        dilute alloys. Those that were used are in ``train_predictions.extxyz``.
    proxies
        Lets known elements stand in for those that the model lacks (the paper's DIPI): these, and
        for the others the nearest in the periodic table. Refused if None.
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
        If a dataset is missing, empty, damaged or unlabelled.
    ModelError
        If the model cannot be loaded, lacks an element, or gives no finite number.
    ConfigError
        If a given proxy is not known.
    RunDirectoryError
        If `out` holds something else, or the evaluation of another model or dataset.
    """
    models = [model] if isinstance(model, str | Path) else list(model)
    frames = read_dataset(data)
    others = [] if train is None else _used(read_dataset(train))
    predictor = open_predictor(
        models,
        engine=engine,
        device=device,
        batch_size=batch_size,
        head=head,
        proxies=None if proxies is None else _choice(proxies, frames + others),
    )
    predictor.check([frame.atoms for frame in frames], source=str(data))
    config = {**predictor.identity, "data_sha256": dataset_hash(frames)}
    if train is not None:
        predictor.check([frame.atoms for frame in others], source=str(train))
        config["train_sha256"] = dataset_hash(others)
    run = open_run(out, kind="evaluate", config=config, packages=_PACKAGES)
    if (finished := run.result("evaluate")) is not None:
        return _read(run, finished["metrics_sha256"])
    run.update_manifest(
        paths={"model": list(map(str, models)), "data": str(data), "train": str(train)}
    )
    test = _predict(predictor, frames, str(data), watch)
    trained = _predict(predictor, others, str(train), None) if others else None
    found = numbers(test, trained, n_models=predictor.n_models)
    content = _content(found, test, trained, predictor.proxies)
    _write(run, test, trained, found, content)
    return _evaluation(content, run.path)


def _used(train: Sequence[Frame]) -> list[Frame]:
    """Cells of the training set to align on, and those that may be partners in a dilute energy."""
    chosen = [*representative(train), *(frame for frame in train if may_be_partner(frame))]
    return list({frame.sha256: frame for frame in chosen}.values())


def _choice(given: Mapping[str, str], frames: Sequence[Frame]) -> ProxyChoice:
    elements = {x for frame in frames for x in frame.elements}
    return ProxyChoice(elements=elements, given=given, host=frames[0].host)


def _predict(
    predictor: Predictor, frames: Sequence[Frame], source: str, watch: Watch | None
) -> Predicted:
    cells = [frame.atoms for frame in frames]
    predictions, deviations = predictor.predict(cells, source=source, watch=watch)
    return Predicted(frames, predictions, deviations)


def _content(
    found: Numbers, test: Predicted, train: Predicted | None, proxies: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that ``metrics.json`` says; each entry with the proxies that took part in it."""
    of_test = {"proxies": proxies_of(test.frames, proxies)}
    of_all = {"proxies": dict(proxies)}  # the shifts are fitted to training cells too
    return {
        **found.metrics.as_dict(),
        "intervals_are": _INTERVALS_ARE,
        **of_all,
        "shifted": None if found.shifted is None else {**found.shifted.as_dict(), **of_all},
        "oracle": None if found.oracle is None else {**found.oracle.as_dict(), **of_all},
        "dilute": {
            kind: _dilute_content(errors, test, train, proxies)
            for kind, errors in found.dilute.items()
        },
        "committee": None if found.committee is None else {**found.committee.as_dict(), **of_test},
        **{kind: _content_by(kind, found, test, proxies) for kind in KINDS},
    }


def _content_by(
    kind: str, found: Numbers, test: Predicted, proxies: Mapping[str, str]
) -> dict[str, Any]:
    cells = cells_by(kind, test.frames)
    metrics: Mapping[str, ErrorMetrics] = getattr(found, kind)
    return {
        name: {
            **m.as_dict(),
            "proxies": proxies_of((test.frames[k] for k in cells[name]), proxies),
        }
        for name, m in metrics.items()
    }


def _dilute_content(
    errors: DiluteErrors, test: Predicted, train: Predicted | None, proxies: Mapping[str, str]
) -> dict[str, Any]:
    content = errors.as_dict()
    partners = [] if train is None else train.frames
    cells = [cells_of(energy, test.frames, partners) for energy in errors.energies]
    for entry, own in zip(content["energies"], cells, strict=True):
        entry["proxies"] = proxies_of(own, proxies)
    return {**content, "proxies": proxies_of((x for own in cells for x in own), proxies)}


def _write(
    run: RunDirectory,
    test: Predicted,
    train: Predicted | None,
    found: Numbers,
    content: dict[str, Any],
) -> None:
    shifts = {"shifted": found.shifted, "oracle": found.oracle}
    proxies = content["proxies"]
    write_dataset(run.path / PREDICTIONS, _with_predictions(test, shifts, proxies))
    if train is not None:
        write_dataset(run.path / TRAIN_PREDICTIONS, _with_predictions(train, {}, proxies))
    partners = [] if train is None else train.frames
    write_csv(run.path / DILUTE, dilute_rows(found.dilute, test.frames, partners, proxies))
    plot_parity(
        _parity_data(test), found.metrics, run.path / PICTURE,
        proxies=proxies_of(test.frames, proxies),
    )  # fmt: skip
    write_json(run.path / METRICS, content)
    run.update_manifest(finished=now())
    run.finish_step("evaluate", {"metrics_sha256": sha256(run.path / METRICS)})


def _with_predictions(
    test: Predicted, shifts: Mapping[str, ShiftedErrors | None], proxies: Mapping[str, str]
) -> list[Frame]:
    written = []
    for k, frame in enumerate(test.frames):
        atoms = frame.atoms.copy()
        atoms.info["group"] = frame.group  # a frame without a name is a group of its own
        atoms.info["pred_energy"] = float(test.predictions.energies_ev[k])
        atoms.arrays["pred_forces"] = test.predictions.forces[k]
        if used := proxies_of([frame], proxies):
            atoms.info["proxy"] = pairs_text(used)
        for name, errors in shifts.items():
            if errors is not None:
                atoms.info[f"pred_energy_{name}"] = float(errors.shift.energies_ev[k])
        if test.deviations is not None:
            atoms.info["pred_energy_std"] = float(test.deviations.energies_ev[k])
            atoms.arrays["pred_forces_std"] = test.deviations.forces[k]
        written.append(Frame(atoms))
    return written


def _parity_data(test: Predicted) -> ParityData:
    frames, predictions = test.frames, test.predictions
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
    return _evaluation(read_json(path), run.path)


def _evaluation(content: dict[str, Any], folder: Path) -> Evaluation:
    return Evaluation(
        metrics=_metrics_from(content),
        by_dopant={name: _metrics_from(entry) for name, entry in content["by_dopant"].items()},
        content=content,
        folder=folder,
    )


def _metrics_from(content: Mapping[str, Any]) -> ErrorMetrics:
    values = {name: content[name] for name in ErrorMetrics.__dataclass_fields__}
    values["intervals"] = {
        name: entry if isinstance(entry, Interval) else Interval(**entry)
        for name, entry in values["intervals"].items()
    }
    return ErrorMetrics(**values)
