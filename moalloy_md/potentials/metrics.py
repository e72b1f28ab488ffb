"""Energy and force errors as the paper defines them, with intervals that respect groups.

Pure functions on arrays: reading files and running models is done elsewhere.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from moalloy_md.errors import DataError
from moalloy_md.units import MEV_PER_EV

FloatArray = NDArray[np.float64]

#: Resamples drawn at a time: bounds the memory for large test sets.
_CHUNK = 500


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in the unit of the number that it belongs to."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class ErrorMetrics:
    """Errors of a model on a test set, beside the size of what it had to predict.

    With ``e`` the energy per atom of a cell, ``F`` the force on an atom, N cells and M atoms:
    energy MAE is the mean of ``|Δe|`` over cells, RMSE the root of the mean of ``Δe²``. Force MAE
    and RMSE average over the 3M Cartesian components, as mace-torch and most of the literature
    do. The vector readings average over the M atoms and take ``‖ΔF‖₂`` of each: this is what
    the paper's Section 2.2 (3) writes. The vector RMSE is √3 times the component RMSE.
    """

    n_cells: int
    """Cells in the test set."""
    n_groups: int
    """Groups that the cells come from: the number of independent samples."""
    n_atoms: int
    """Atoms in all cells together."""
    energy_mae_mev_per_atom: float
    """Mean absolute error of the energy per atom."""
    energy_rmse_mev_per_atom: float
    """Root mean square error of the energy per atom."""
    energy_mean_error_mev_per_atom: float
    """Mean of predicted minus reference energy per atom: a constant offset shows here."""
    force_mae_mev_per_angstrom: float
    """Mean absolute error of a force component."""
    force_rmse_mev_per_angstrom: float
    """Root mean square error of a force component."""
    force_vector_mae_mev_per_angstrom: float
    """Mean length of the force error of an atom."""
    force_vector_rmse_mev_per_angstrom: float
    """Root mean square length of the force error of an atom."""
    mean_abs_force_mev_per_angstrom: float
    """Mean absolute reference force component: the error of predicting zero."""
    rms_force_mev_per_angstrom: float
    """Root mean square reference force component."""
    force_r2: float | None
    """``1 − Σ(F̂ − F)²/ΣF²`` over components: 1 is right, 0 is no better than predicting zero. None
    where all reference forces are zero."""
    force_slope: float | None
    """Slope ``ΣF̂F/ΣF²`` of predicted against reference components: below 1 the model is too soft,
    as universal models are (Deng et al., npj Comput. Mater. 11 (2025) 9)."""
    intervals: dict[str, Interval]
    """By the name of the error; empty where there are fewer than two groups."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and dicts, ready for JSON."""
        return asdict(self)


def error_metrics(
    *,
    reference_energies_ev: FloatArray,
    predicted_energies_ev: FloatArray,
    reference_forces: FloatArray,
    predicted_forces: FloatArray,
    n_atoms: NDArray[np.integer[Any]],
    groups: Sequence[str],
    confidence: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> ErrorMetrics:
    """Compare predicted with reference energies and forces.

    The intervals are bias-corrected and accelerated bootstrap intervals (BCa; Efron, J. Am.
    Stat. Assoc. 82 (1987) 171) in which whole groups are drawn with replacement, because
    frames of one relaxation or decoration are no independent samples.

    Parameters
    ----------
    reference_energies_ev, predicted_energies_ev
        Total energies, ``(n_cells,)``, eV.
    reference_forces, predicted_forces
        Forces of all cells one after another, ``(n_atoms_total, 3)``, eV/Å.
    n_atoms
        Atoms in each cell, ``(n_cells,)``.
    groups
        Group of each cell, ``(n_cells,)``.
    confidence
        Probability that the intervals are made for.
    n_resamples
        Bootstrap resamples; none gives no intervals.
    seed
        Seed of the resampling: the same input gives the same intervals.

    Raises
    ------
    DataError
        If the shapes do not fit together, the set is empty, or a number is not finite.
    """
    count = np.asarray(n_atoms, dtype=np.int64)
    _check_shapes(
        count, groups, (reference_energies_ev, predicted_energies_ev),
        (reference_forces, predicted_forces),
    )  # fmt: skip
    energy_error = MEV_PER_EV * (predicted_energies_ev - reference_energies_ev) / count
    force_error = MEV_PER_EV * (predicted_forces - reference_forces)
    reference = MEV_PER_EV * reference_forces
    sums = _sums_of_cells(energy_error, force_error, reference, count)
    of_groups = _sums_of_groups(sums, groups)
    total = of_groups.sum(axis=0)
    values: dict[str, Any] = {
        name: value if np.isfinite(value) else None
        for name, value in zip(_ERRORS, _errors_from(total).tolist(), strict=True)
    }
    return ErrorMetrics(
        n_cells=len(count),
        n_groups=len(of_groups),
        n_atoms=int(count.sum()),
        energy_mean_error_mev_per_atom=float(energy_error.mean()),
        mean_abs_force_mev_per_angstrom=float(np.abs(reference).mean()),
        rms_force_mev_per_angstrom=float(np.sqrt(np.mean(reference**2))),
        intervals=_bootstrap(of_groups, confidence, n_resamples, seed),
        **values,
    )


#: The errors in the order in which `_errors_from` gives them.
_ERRORS = (
    "energy_mae_mev_per_atom",
    "energy_rmse_mev_per_atom",
    "force_mae_mev_per_angstrom",
    "force_rmse_mev_per_angstrom",
    "force_vector_mae_mev_per_angstrom",
    "force_vector_rmse_mev_per_angstrom",
    "force_r2",
    "force_slope",
)


def _check_shapes(
    count: NDArray[np.int64],
    groups: Sequence[str],
    energies: tuple[FloatArray, FloatArray],
    forces: tuple[FloatArray, FloatArray],
) -> None:
    n_cells = len(count)
    if n_cells == 0:
        raise DataError("expected at least one cell to compare, found none")
    if count.min() < 1:
        raise DataError(f"cell {int(count.argmin())}: expected at least one atom, found none")
    if len(groups) != n_cells:
        raise DataError(f"expected a group for each of {n_cells} cells, found {len(groups)}")
    cell_of_atom = np.repeat(np.arange(n_cells), count)
    for kind, pair, shape in (
        ("energies", energies, (n_cells,)),
        ("forces", forces, (int(count.sum()), 3)),
    ):
        for name, array in zip(("reference", "predicted"), pair, strict=True):
            if array.shape != shape:
                raise DataError(f"{name} {kind}: expected shape {shape}, found {array.shape}")
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                cell = bad[0][0] if kind == "energies" else cell_of_atom[bad[0][0]]
                raise DataError(
                    f"{name} {kind} of cell {cell}: expected finite numbers, found "
                    f"{array[tuple(bad[0])]}. Nothing can be said about such a set"
                )


def _sums_of_cells(
    energy_error: FloatArray,
    force_error: FloatArray,
    reference: FloatArray,
    count: NDArray[np.int64],
) -> FloatArray:
    """Return the sums that all errors are ratios of, ``(n_cells, 9)``; see `_errors_from`."""
    first_atoms = np.concatenate([[0], np.cumsum(count)[:-1]])
    squares = np.sum(force_error**2, axis=1)
    of_atoms = np.stack(
        [
            np.abs(force_error).sum(axis=1),
            squares,
            np.sqrt(squares),
            np.ones(len(squares)),
            np.sum(reference**2, axis=1),
            np.sum((reference + force_error) * reference, axis=1),
        ],
        axis=1,
    )
    of_cells = np.stack([np.abs(energy_error), energy_error**2, np.ones(len(count))], axis=1)
    return np.concatenate([of_cells, np.add.reduceat(of_atoms, first_atoms, axis=0)], axis=1)


def _sums_of_groups(sums: FloatArray, groups: Sequence[str]) -> FloatArray:
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    of_groups = np.zeros((len(names), sums.shape[1]))
    np.add.at(of_groups, index, sums)
    return of_groups


def _errors_from(sums: FloatArray) -> FloatArray:
    """Errors, ``(..., 8)`` in the order of `_ERRORS`, from sums, ``(..., 9)``."""
    abs_e, square_e, cells, abs_f, square_f, length_f, atoms, forces, product = np.moveaxis(
        sums, -1, 0
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # all reference forces may be zero
        of_forces = [1 - square_f / forces, product / forces]
    return np.stack(
        [
            abs_e / cells,
            np.sqrt(square_e / cells),
            abs_f / (3 * atoms),
            np.sqrt(square_f / (3 * atoms)),
            length_f / atoms,
            np.sqrt(square_f / atoms),
            *of_forces,
        ],
        axis=-1,
    )


def _bootstrap(
    of_groups: FloatArray, confidence: float, n_resamples: int, seed: int
) -> dict[str, Interval]:
    n_groups = len(of_groups)
    if n_groups < 2 or n_resamples == 0:
        return {}  # one sample says nothing about the spread between samples
    rng = np.random.default_rng(seed)
    chunks = []
    for start in range(0, n_resamples, _CHUNK):
        size = min(_CHUNK, n_resamples - start)
        # How often each group is drawn, rather than which: the sums follow by one product.
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        chunks.append(_errors_from(drawn @ of_groups))
    resampled = np.concatenate(chunks)
    total = of_groups.sum(axis=0)
    estimate = _errors_from(total)
    without_one = _errors_from(total - of_groups)
    return {
        name: _bca(resampled[:, k], float(estimate[k]), without_one[:, k], confidence)
        for k, name in enumerate(_ERRORS)
        if np.isfinite(resampled[:, k]).all() and np.isfinite(without_one[:, k]).all()
    }


def _bca(
    resampled: FloatArray, estimate: float, without_one: FloatArray, confidence: float
) -> Interval:
    """BCa interval; the plain percentile interval where it is not defined."""
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    below = np.mean((resampled < estimate) + 0.5 * (resampled == estimate))
    deviation = without_one.mean() - without_one
    spread = np.sum(deviation**2) ** 1.5
    if 0 < below < 1 and spread > 0:
        bias = ndtri(below)
        acceleration = np.sum(deviation**3) / (6 * spread)
        z = bias + ndtri(tails)
        tails = ndtr(bias + z / (1 - acceleration * z))
    low, high = np.quantile(resampled, tails)
    return Interval(low=float(low), high=float(high), confidence=confidence)
