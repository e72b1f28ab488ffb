"""Runs of one system from different starts: whether they agree, and what all of them say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Half widths of both 95 % intervals, added in squares, that means may be apart: three standard
#: errors where samples are many, more where an error rests on few.
APART = 1.5


@dataclass(frozen=True)
class Joint:
    """What runs from several starts say about one quantity.

    Attributes
    ----------
    label, unit
        What it is.
    value
        Mean of the runs, weighted by their effective samples; of all samples where a run has no error.
    error
        Its standard error; None where a run has none. Where the runs disagree it is at least half of
        what lies between them.
    n_effective
        Independent samples of all; None as `error`.
    sigmas
        Largest difference between two runs over its standard error; None as `error`, and with one run.
    agree
        Whether all runs agree; None as `sigmas`.
    """

    label: str
    unit: str
    value: float
    error: float | None
    n_effective: float | None
    sigmas: float | None
    agree: bool | None


def joint(runs: Sequence[Mapping[str, Any]]) -> Joint:
    """Put the same quantity of independent runs together.

    Two means agree if ``|x_1 − x_2| ≤ 1.5 √(h_1² + h_2²)``, with the half widths h of their 95 %
    intervals, which know on how few samples an error rests.

    Parameters
    ----------
    runs
        `moalloy_md.analysis.quantities.Quantity` of each, as plain values.
    """
    label, unit = runs[0]["label"], runs[0]["unit"]
    values = np.array([run["value"] for run in runs])
    if any(run["error"] is None for run in runs):
        weights = np.array([run["n_samples"] for run in runs], dtype=np.float64)
        value = float(np.average(values, weights=weights))
        return Joint(label, unit, value, None, None, None, None)
    errors = np.array([run["error"] for run in runs])
    samples = np.array([run["n_effective"] for run in runs], dtype=np.float64)
    weights = samples / samples.sum()
    value, error = float(weights @ values), float(np.linalg.norm(weights * errors))
    halves = np.array([(run["interval_95"][1] - run["interval_95"][0]) / 2 for run in runs])
    sigmas, agree = None, None
    for k in range(len(runs)):
        for other in range(k):
            apart = abs(values[k] - values[other])
            both = float(np.hypot(errors[k], errors[other]))
            here = float(apart / both) if both else (0.0 if apart == 0 else float("inf"))
            sigmas = max(sigmas or 0.0, here)
            limit = APART * np.hypot(halves[k], halves[other])
            agree = agree is not False and bool(apart <= limit)
    if agree is False:
        error = max(error, float(np.ptp(values)) / 2)
    return Joint(label, unit, value, error, float(samples.sum()), sigmas, agree)
