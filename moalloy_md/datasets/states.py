"""What the state of a cell means: ``relaxed``, ``ideal`` or ``noneq``."""

import numpy as np
from numpy.typing import NDArray

#: Largest force on any atom, eV/Å, up to which a cell counts as relaxed.
RELAXED_BELOW_EV_PER_ANGSTROM = 0.05
#: Largest distance from its lattice site, Å, up to which an atom counts as standing on it.
IDEAL_BELOW_ANGSTROM = 0.01


def max_force(forces: NDArray[np.float64], free: NDArray[np.bool_] | None = None) -> float:
    """Largest length of a force, eV/Å.

    Parameters
    ----------
    forces
        ``(n_atoms, 3)``, eV/Å.
    free
        Components that a relaxation may change, ``(n_atoms, 3)``; all if None.
    """
    moving = forces if free is None else np.where(free, forces, 0.0)
    return float(np.linalg.norm(moving, axis=1).max())
