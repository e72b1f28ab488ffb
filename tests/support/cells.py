"""Cells that hide nothing: triclinic, rattled, off-origin, elements in no order."""

import numpy as np
from ase import Atoms
from ase.build import bulk

A0 = 3.16


def doped_cell(elements, *, n=3, seed=0, rattle=0.12, host="Mo"):
    """Return a sheared n×n×n bcc cell (2n³ atoms), each element on at least one site.

    The cell is lower triangular, as LAMMPS wants it, so no rotation stands between the two.
    """
    rng = np.random.default_rng(seed)
    atoms = bulk("Mo", "bcc", a=A0, cubic=True).repeat((n, n, n))
    shear = np.array([[1.02, 0, 0], [0.11, 0.97, 0], [-0.07, 0.05, 1.01]])
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    main = host if host in elements else elements[0]
    symbols = [main] * len(atoms)
    others = [e for e in elements if e != main]
    sites = rng.permutation(len(atoms))
    for k, site in enumerate(sites[: max(len(others), len(atoms) // 3)] if others else []):
        symbols[site] = others[k % len(others)]
    atoms.set_chemical_symbols(symbols)
    atoms.positions += rng.normal(scale=rattle, size=(len(atoms), 3))
    atoms.translate([0.3, -0.2, 0.1])
    atoms.wrap()
    return atoms[rng.permutation(len(atoms))]


def two_atom_cell():
    """Two atoms in a sheared cell: every neighbour within 4.5 Å but one is a periodic image."""
    cell = A0 * np.array([[1, 0, 0], [0.08, 1.01, 0], [-0.05, 0.04, 0.98]])
    return Atoms(
        "MoW", scaled_positions=[[0.02, 0.03, 0.01], [0.5, 0.54, 0.47]], cell=cell, pbc=True
    )


def slab(elements, *, seed=5):
    """A slab with 12 Å of vacuum in z, periodic in x and y only."""
    atoms = doped_cell(elements, n=3, seed=seed, rattle=0.08)
    cell = atoms.cell.array.copy()
    cell[2, :2] = 0.0
    atoms.set_cell(cell, scale_atoms=True)
    atoms.center(vacuum=6.0, axis=2)
    atoms.pbc = (True, True, False)
    return atoms
