"""How well the disagreement of a committee predicts the error of its mean."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from moalloy_md.units import MEV_PER_EV

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Standard deviation over the models of a committee beside the error of their mean."""

    n_models: int
    """Size of the committee."""
    energy_mev_per_atom: float
    """Root mean square over the cells of the deviation of the energy per atom."""
    force_mev_per_angstrom: float
    """Root mean square over the components of the deviation of a force component."""
    energy_error_over_spread: float | None
    """Root mean square error over root mean square deviation of the energy: 1 for a committee
    that knows its error, above 1 for one that is too sure."""
    force_error_over_spread: float | None
    """The same of the force components."""
    energy_rank_correlation: float | None
    """Spearman's correlation of deviation and absolute error over the cells; None below 3."""
    force_rank_correlation: float | None
    """The same over the atoms, of the lengths of deviation and error."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def committee_spread(
    n_models: int,
    *,
    energy_errors: FloatArray,
    energy_std: FloatArray,
    force_errors: FloatArray,
    force_std: FloatArray,
) -> Spread:
    """Compare the deviation within a committee with the error of its mean.

    Parameters
    ----------
    n_models
        Size of the committee.
    energy_errors, energy_std
        Error of the mean and standard deviation, ``(n_cells,)``, eV/atom.
    force_errors, force_std
        The same of the forces, ``(n_atoms, 3)``, eV/Å.
    """
    lengths = [np.linalg.norm(array, axis=1) for array in (force_std, force_errors)]
    return Spread(
        n_models=n_models,
        energy_mev_per_atom=MEV_PER_EV * _rms(energy_std),
        force_mev_per_angstrom=MEV_PER_EV * _rms(force_std),
        energy_error_over_spread=_ratio(energy_errors, energy_std),
        force_error_over_spread=_ratio(force_errors, force_std),
        energy_rank_correlation=_rank(energy_std, np.abs(energy_errors)),
        force_rank_correlation=_rank(*lengths),
    )


def mean_and_std(values: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Mean over models, and the unbiased standard deviation."""
    stacked = np.stack(values)
    return stacked.mean(axis=0), stacked.std(axis=0, ddof=1)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _ratio(errors: FloatArray, deviations: FloatArray) -> float | None:
    spread = _rms(deviations)
    return _rms(errors) / spread if spread > 0 else None


def _rank(deviations: FloatArray, errors: FloatArray) -> float | None:
    if len(errors) < 3 or np.ptp(deviations) == 0 or np.ptp(errors) == 0:
        return None
    return float(spearmanr(deviations, errors).statistic)
