"""A number from a trajectory with its error, or without one and the reason why."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moalloy_md.analysis.statistics import Estimate, SeriesTooShortError, estimate_mean


@dataclass(frozen=True)
class Quantity:
    """A mean over the frames of a trajectory.

    Attributes
    ----------
    label, unit
        What it is.
    value
        The mean.
    error
        Its standard error; None where it is not known, and `note` says why.
    interval_95
        95 % confidence interval; None as `error`.
    n_samples
        Frames (or windows) of the mean.
    n_effective
        Independent samples that they are worth; None as `error`.
    n_discarded
        Frames at the start that were left out as not yet in equilibrium.
    note
        Why there is no error.
    """

    label: str
    unit: str
    value: float
    error: float | None
    interval_95: tuple[float, float] | None
    n_samples: int
    n_effective: float | None
    n_discarded: int
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def mean_of(series: ArrayLike, *, label: str, unit: str) -> Quantity:
    """Mean of a series of frames, with the error of `moalloy_md.analysis.statistics.estimate_mean`.

    Where the series is too short for an error, or drifts, the mean of all frames is given without
    one.
    """
    values = np.asarray(series, dtype=np.float64)
    try:
        return _known(estimate_mean(values, name=label), label, unit)
    except SeriesTooShortError as error:
        return _without_error(values, label, unit, note=str(error))


def mean_of_independent(samples: ArrayLike, *, label: str, unit: str) -> Quantity:
    """Mean of independent samples, such as windows of a trajectory: ``s/√n``, Student's t.

    A single sample has no error.
    """
    values = np.asarray(samples, dtype=np.float64)
    n = len(values)
    if n < 2:
        note = f"{label}: one sample has no error: take more windows, or run longer"
        return _without_error(values, label, unit, note=note)
    error = float(values.std(ddof=1) / np.sqrt(n))
    return _known(Estimate(float(values.mean()), error, n, float(n), 0), label, unit)


def _known(found: Estimate, label: str, unit: str) -> Quantity:
    return Quantity(
        label,
        unit,
        found.value,
        found.error,
        found.interval(),
        found.n_samples,
        found.n_effective,
        found.n_discarded,
    )


def _without_error(values: NDArray[np.float64], label: str, unit: str, *, note: str) -> Quantity:
    return Quantity(label, unit, float(values.mean()), None, None, len(values), None, 0, note)
