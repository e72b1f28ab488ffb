"""The numbers of an evaluation: from frames and predictions, without reading a file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import atomic_number
from moalloy_md.potentials.dilute import DiluteErrors, dilute_errors
from moalloy_md.potentials.metrics import ErrorMetrics, error_metrics
from moalloy_md.potentials.predict import Predictions
from moalloy_md.potentials.predictors import Deviations
from moalloy_md.potentials.shifts import FloatArray, Shift, oracle_shift, reference_shift
from moalloy_md.potentials.spread import Spread, committee_spread

#: What of the errors a shift of the energies changes.
ENERGY_ERRORS = (
    "energy_mae_mev_per_atom",
    "energy_rmse_mev_per_atom",
    "energy_mean_error_mev_per_atom",
)


@dataclass(frozen=True)
class Predicted:
    """Cells and what a model says about them."""

    frames: Sequence[Frame]
    predictions: Predictions
    deviations: Deviations | None = None


@dataclass(frozen=True)
class ShiftedErrors:
    """Energy errors with the references of the elements aligned."""

    shift: Shift
    """What was added."""
    metrics: ErrorMetrics
    """Errors with it; those of the forces are unchanged."""
    dilute: dict[str, DiluteErrors]
    """Errors of the energies of dilute alloys; only those of substitution are changed."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        errors = self.metrics.as_dict()
        return {
            **self.shift.as_dict(),
            **{name: errors[name] for name in ENERGY_ERRORS},
            "intervals": {
                name: interval
                for name, interval in errors["intervals"].items()
                if name in ENERGY_ERRORS
            },
            "substitution_mae_mev": self.dilute["substitution"].mae_mev,
        }


#: The kinds of cells that have errors of their own, and the names that a cell counts to.
KINDS: dict[str, Callable[[Frame], Iterable[str]]] = {
    "by_dopant": lambda frame: sorted(frame.dopants or {frame.host}),
    "by_state": lambda frame: [frame.state],
    "by_group": lambda frame: [frame.group],
}


@dataclass(frozen=True)
class Numbers:
    """Everything that is said about a model on a test set."""

    metrics: ErrorMetrics
    by_dopant: dict[str, ErrorMetrics]
    by_state: dict[str, ErrorMetrics]
    by_group: dict[str, ErrorMetrics]
    dilute: dict[str, DiluteErrors]
    shifted: ShiftedErrors | None
    oracle: ShiftedErrors | None
    committee: Spread | None


def numbers(test: Predicted, train: Predicted | None, *, n_models: int = 1) -> Numbers:
    """Compute all errors.

    Parameters
    ----------
    test
        The test set.
    train
        Cells of the training set: the references of the elements are aligned on them, and they
        may stand for the host or a single dopant in the energies of dilute alloys.
    n_models
        Size of the committee.
    """
    frames, energies = test.frames, test.predictions.energies_ev
    everything = range(len(frames))
    cells = {kind: cells_by(kind, frames) for kind in KINDS}
    dopants = cells["by_dopant"]
    shifted = oracle = None
    if train is not None:
        shift = reference_shift(
            [frame.atoms for frame in frames],
            energies,
            train.frames,
            train.predictions.energies_ev,
        )
        shifted = _shifted(test, train, shift)
        known_by_test = oracle_shift(frames, shift)
        oracle = None if known_by_test is None else _shifted(test, train, known_by_test)
    return Numbers(
        metrics=_errors(test, everything),
        by_dopant={x: _errors(test, dopants[x]) for x in sorted(dopants, key=atomic_number)},
        by_state={
            state: _errors(test, chosen) for state, chosen in sorted(cells["by_state"].items())
        },
        by_group={
            group: _errors(test, chosen, n_resamples=0)
            for group, chosen in sorted(cells["by_group"].items())
        },
        dilute=_dilute(test, train, energies),
        shifted=shifted,
        oracle=oracle,
        committee=None if test.deviations is None else _spread(test, test.deviations, n_models),
    )


def cells_by(kind: str, frames: Sequence[Frame]) -> dict[str, list[int]]:
    """Return the indices of the cells that count to each name of one of `KINDS`."""
    chosen: dict[str, list[int]] = {}
    for index, frame in enumerate(frames):
        for key in KINDS[kind](frame):
            chosen.setdefault(key, []).append(index)
    return chosen


def _errors(
    test: Predicted,
    chosen: Iterable[int],
    *,
    energies: FloatArray | None = None,
    n_resamples: int = 9999,
) -> ErrorMetrics:
    indices = list(chosen)
    frames = [test.frames[k] for k in indices]
    predicted = test.predictions.energies_ev if energies is None else energies
    return error_metrics(
        reference_energies_ev=np.array([frame.energy_ev for frame in frames]),
        predicted_energies_ev=predicted[indices],
        reference_forces=np.concatenate([frame.forces for frame in frames]),
        predicted_forces=np.concatenate([test.predictions.forces[k] for k in indices]),
        n_atoms=np.array([frame.n_atoms for frame in frames]),
        groups=[frame.group for frame in frames],
        n_resamples=n_resamples,
    )


def _shifted(test: Predicted, train: Predicted, shift: Shift) -> ShiftedErrors:
    names = list(shift.shift_ev)
    added = np.array([shift.shift_ev[x] for x in names])
    counts = [[frame.atoms.symbols.count(x) for x in names] for frame in train.frames]
    of_train = train.predictions.energies_ev + np.array(counts, dtype=np.float64) @ added
    return ShiftedErrors(
        shift=shift,
        metrics=_errors(test, range(len(test.frames)), energies=shift.energies_ev),
        dilute=dilute_errors(test.frames, shift.energies_ev, train.frames, of_train),
    )


def _dilute(
    test: Predicted, train: Predicted | None, energies: FloatArray
) -> dict[str, DiluteErrors]:
    if train is None:
        return dilute_errors(test.frames, energies)
    return dilute_errors(
        test.frames, energies, train.frames, train.predictions.energies_ev
    )  # fmt: skip


def _spread(test: Predicted, deviations: Deviations, n_models: int) -> Spread:
    count = np.array([frame.n_atoms for frame in test.frames])
    reference = np.array([frame.energy_ev for frame in test.frames])
    return committee_spread(
        n_models,
        energy_errors=(test.predictions.energies_ev - reference) / count,
        energy_std=deviations.energies_ev / count,
        force_errors=np.concatenate(test.predictions.forces)
        - np.concatenate([frame.forces for frame in test.frames]),
        force_std=np.concatenate(deviations.forces),
    )
