"""Cells of doped Mo with labels that hold together: an analytic potential, so that energy, forces
and stress are each other's derivatives."""

import numpy as np
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

A0 = 3.16
#: Energy of each element in these cells beside that of the potential, eV.
REFERENCE = {"Mo": -8.0, "W": -10.0, "Ti": -5.5, "Ta": -9.2}


def lennard_jones():
    """Return a smooth Lennard-Jones potential with some tension at the lattice parameter of Mo."""
    return LennardJones(sigma=2.5, epsilon=0.4, rc=5.0, ro=4.0, smooth=True)


def compute(atoms):
    """Return a copy with energy, forces and stress: Lennard-Jones and one energy an element."""
    atoms = atoms.copy()
    atoms.calc = lennard_jones()
    energy = atoms.get_potential_energy() + sum(REFERENCE[x] for x in atoms.symbols)
    results = {
        "energy": energy,
        "free_energy": energy,
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def bcc(n=2, dopants=None, *, a=A0):
    """Return an n×n×n bcc Mo cell; `dopants` are elements by site. Sorted, Mo first."""
    atoms = bulk("Mo", "bcc", a=a, cubic=True).repeat(n)
    for site, element in (dopants or {}).items():
        atoms.symbols[site] = element
    return atoms[np.argsort(atoms.numbers != 42, kind="stable")]


def relaxation(n_steps, dopants=None, *, n=2, seed=0, end=0.0, a=A0):
    """Return steps from lattice sites to displaced ones with `end` times random forces left."""
    rng = np.random.default_rng(seed)
    start = bcc(n, dopants, a=a)
    towards = rng.normal(scale=0.05, size=(len(start), 3))
    steps = []
    for k in range(n_steps):
        atoms = start.copy()
        done = k / max(n_steps - 1, 1)
        atoms.positions += done * (towards - towards.mean(axis=0))
        atoms.set_cell(atoms.cell.array * (1 + 0.01 * done), scale_atoms=True)
        labels = compute(atoms)
        if k == n_steps - 1:
            labels.calc.results["forces"] *= end / np.abs(labels.get_forces()).max()
        steps.append(labels)
    return steps


def trajectory(n_steps, dopants=None, *, n=2, seed=1, scale=0.08):
    """Return cells with random displacements, as an MD trajectory would have them."""
    rng = np.random.default_rng(seed)
    start = bcc(n, dopants)
    steps = []
    for _ in range(n_steps):
        atoms = start.copy()
        atoms.positions += rng.normal(scale=scale, size=(len(atoms), 3))
        steps.append(compute(atoms))
    return steps
