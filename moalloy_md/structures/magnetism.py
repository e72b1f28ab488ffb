"""Magnetic moments that a spin-polarised calculation of a doped cell starts from."""

from typing import Literal

import numpy as np
from ase import Atoms

#: Dopants that may carry a moment, and what to start from, μB: Hund's rule rounded down to what
#: d metals keep in alloys. Too high finds the magnetic solution where there is one, and falls to
#: zero where there is none; a start from zero would never leave it.
START_MOMENTS: dict[str, float] = {"Cr": 3.0, "Mn": 4.0, "Fe": 3.0, "Co": 2.0, "Ni": 1.0}

SpinStarts = Literal["parallel", "both"]


def is_magnetic(atoms: Atoms) -> bool:
    """Whether the cell holds a dopant that may carry a moment."""
    return bool(set(atoms.symbols) & START_MOMENTS.keys())


def set_start_moments(atoms: Atoms, *, antiparallel: bool = False) -> None:
    """Set the initial magnetic moments of a cell with magnetic dopants; leave others alone.

    Parameters
    ----------
    atoms
        Gets the per-atom array ``initial_magmoms`` (μB), zero on the other atoms.
    antiparallel
        Turn every second magnetic atom around, in the order of the atoms.
    """
    if not is_magnetic(atoms):
        return
    moments = np.array([START_MOMENTS.get(symbol, 0.0) for symbol in atoms.symbols])
    if antiparallel:
        magnetic = np.flatnonzero(moments)
        moments[magnetic[1::2]] *= -1
    atoms.set_initial_magnetic_moments(moments)


def n_magnetic(atoms: Atoms) -> int:
    """Count the atoms that may carry a moment."""
    return sum(symbol in START_MOMENTS for symbol in atoms.symbols)
