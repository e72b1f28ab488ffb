"""Zero-shot energies in two columns: as they are, and with the elements' references aligned.

A model that was trained with another code or other settings is off by one constant an element.
The shift is fitted to cells that the test does not hold; what cannot be known of an element that
these lack is left at zero, and beside it, as ``oracle``, taken from the test's own labels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.frames import Frame
from moalloy_md.potentials.reference_energies import compositions, correction, in_order

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    """Energies of a test set with the references of the elements aligned."""

    shift_ev: dict[str, float]
    """What is added for each atom of an element, eV."""
    fitted_on: str
    """Which labels it is from, in words."""
    unseen: tuple[str, ...]
    """Elements of the test set that the cells of the fit lack."""
    energies_ev: FloatArray
    """Shifted total energies of the test set, ``(n_cells,)``, eV."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON, without the energies."""
        content = asdict(self)
        del content["energies_ev"]
        return {**content, "unseen": list(self.unseen)}


def reference_shift(
    test: Sequence[Atoms],
    predicted_ev: FloatArray,
    fitted: Sequence[Frame],
    fitted_predicted_ev: FloatArray,
) -> Shift:
    """Align the references of the elements on cells of the training set.

    The smallest shift (least squares, minimum norm) that takes the composition-linear part out of
    the errors on these cells; an element that they lack is not shifted.

    Parameters
    ----------
    test
        Cells of the test set.
    predicted_ev
        Total energies of the model for them, ``(n_cells,)``, eV.
    fitted
        Labelled cells to fit to.
    fitted_predicted_ev
        Total energies of the model for these, ``(n_fitted,)``, eV.
    """
    known = {x for frame in fitted for x in frame.elements}
    errors = np.array([frame.energy_ev for frame in fitted]) - fitted_predicted_ev
    shift, _ = correction([frame.atoms for frame in fitted], errors, known)
    unseen = in_order({str(x) for atoms in test for x in atoms.symbols} - known)
    words = f"{len(fitted)} cells of the training set"
    return Shift(shift, words, tuple(unseen), predicted_ev + _of_cells(test, shift))


def oracle_shift(test: Sequence[Frame], shifted: Shift) -> Shift | None:
    """Shift the elements that the fit lacked by what the test's own labels say.

    Returns
    -------
    Shift or None
        None where there is no such element.
    """
    if not shifted.unseen:
        return None
    cells = [frame.atoms for frame in test]
    errors = np.array([frame.energy_ev for frame in test]) - shifted.energies_ev
    extra, _ = correction(cells, errors, shifted.unseen)
    return Shift(
        shift_ev={**shifted.shift_ev, **extra},
        fitted_on=f"{shifted.fitted_on}; for {', '.join(shifted.unseen)} the test's own labels",
        unseen=shifted.unseen,
        energies_ev=shifted.energies_ev + _of_cells(cells, extra),
    )


def _of_cells(cells: Sequence[Atoms], shift: dict[str, float]) -> FloatArray:
    names = list(shift)
    result: FloatArray = compositions(cells, names) @ np.array([shift[x] for x in names])
    return result
