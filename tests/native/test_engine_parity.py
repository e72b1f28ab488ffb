"""The native engine gives what mace-torch gives, for every kind of model that it evaluates."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from support.cells import doped_cell, slab, two_atom_cell
from support.models import calculator, save_model

from moalloy_md.potentials.export import open_source, write_native_file
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from mace.tools.torch_tools import default_dtype

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")
R_MAX = 4.5

# Models have forces of 1 eV/Å. In double precision the difference is the error of the engine's
# splines, in single precision its rounding, which grows with the forces that cancel.
ENERGY_EV_PER_ATOM, FORCE_EV_PER_ANGSTROM, STRESS_EV_PER_ANGSTROM3 = 1e-7, 1e-6, 1e-7
SINGLE_FORCE = 2e-4


def dense():
    """Distances down to 1.9 Å, and twice as many neighbours."""
    atoms = doped_cell(ELEMENTS, n=2, seed=4)
    atoms.set_cell(atoms.cell.array * 0.8, scale_atoms=True)
    return atoms


def close():
    """Two of sixteen atoms are 0.7 Å apart."""
    atoms = doped_cell(ELEMENTS, n=2, seed=5)
    atoms.positions[7] = atoms.positions[3] + 0.1 * np.array([2, 3, 6])
    return atoms


def cluster():
    """Sixteen atoms without a cell."""
    atoms = doped_cell(ELEMENTS, n=2, seed=6)
    return Atoms(atoms.symbols, atoms.positions + [3.7, -5.0, 9.0])


def mixed_boundaries():
    """Periodic in z only, with atoms outside of the cell."""
    atoms = doped_cell(ELEMENTS, n=2, seed=7)
    atoms.pbc = (False, False, True)
    atoms.positions[::3] += 2 * atoms.cell[2]
    return atoms


def at_the_cutoff():
    """Pairs just below, at and just above the cutoff, each alone."""
    atoms = Atoms()
    for k, distance in enumerate([R_MAX - 1e-3, R_MAX - 1e-9, R_MAX, R_MAX + 1e-9, R_MAX + 1e-3]):
        # exactly along x, where no rounding moves it over the cutoff
        atoms += Atoms("MoW", positions=[[0, 20 * k, 7], [distance, 20 * k, 7]])
    return atoms


CELLS = {
    "triclinic": lambda: doped_cell(ELEMENTS),
    "two atoms": two_atom_cell,
    "sixteen atoms": lambda: doped_cell(ELEMENTS, n=2, seed=3),
    "one atom": lambda: Atoms("Ta", cell=[[2.9, 0, 0], [0.3, 3.1, 0], [0.2, 0.1, 3.0]], pbc=True),
    "slab": lambda: slab(ELEMENTS),
    "isolated": lambda: Atoms("W", positions=[[1, 2, 3]]),
    "dense": dense,
    "close": close,
    "cluster": cluster,
    "mixed boundaries": mixed_boundaries,
    "cutoff": at_the_cutoff,
}

NINE = ("Ti", "V", "Zr", "Nb", "Mo", "Hf", "Ta", "W", "Re")
TENSORS = "8x0e + 8x1o + 8x2e"

#: Every kind that the engine evaluates, each option at least once, and cells for it.
KINDS = {
    "vectors of 5 channels, default of mace_run_train, ZBL": (
        {"hidden": "5x0e + 5x1o", "first": "plain", "zbl": True},
        [*CELLS],
    ),
    "density, Agnesi, ZBL": (
        {"first": "density", "later": "density-residual", "distance_transform": "Agnesi", "zbl": 1},
        [*CELLS],
    ),
    "scalars of 20 channels": (
        {"hidden": "20x0e"},
        ["triclinic", "two atoms", "close"],
    ),
    "tensors in single precision": (
        {"hidden": TENSORS, "built_in": "float32", "dtype": "float32"},
        ["triclinic", "dense", "isolated"],
    ),
    "density twice, cutoff behind the network": (
        {"hidden": TENSORS, "first": "density-residual", "later": "density", "correlation": 2,
         "max_ell": 2, "apply_cutoff": False},
        ["triclinic", "cutoff", "cluster"],
    ),
    "plain twice, 20 channels": (
        {"hidden": "20x0e + 20x1o", "first": "plain", "later": "plain", "correlation": 2,
         "max_ell": 2},
        ["triclinic", "slab"],
    ),
    "one layer": (
        {"hidden": "8x0e", "n_layers": 1, "zbl": True},
        ["triclinic", "close", "cutoff", "isolated"],
    ),
    "one layer, class MACE, the least": (
        {"hidden": "5x0e", "n_layers": 1, "first": "plain", "model_class": "MACE",
         "correlation": 1, "max_ell": 1, "scaled": False},
        ["triclinic", "two atoms"],
    ),
    "class MACE, tensors without harmonics of their degree": (
        {"hidden": TENSORS, "model_class": "MACE", "max_ell": 1, "scaled": False, "zbl": True},
        ["triclinic", "sixteen atoms"],
    ),
    "options that change sizes": (
        {"correlation": [3, 2], "radial_MLP": [16], "use_agnostic_product": True,
         "use_last_readout_only": True, "keep_last_layer_irreps": True, "use_reduced_cg": False,
         "max_ell": 2},
        ["triclinic", "dense"],
    ),
    "reduced couplings": (
        {"hidden": "8x0e + 8x1o", "max_ell": 2, "reduced": True},
        ["triclinic", "mixed boundaries"],
    ),
    "second of two heads": (
        {"hidden": "8x0e", "heads": ["pt", "dft"], "head": 1, "max_ell": 2, "correlation": 2},
        ["triclinic"],
    ),
    "first of two heads": (
        {"hidden": "8x0e", "heads": ["pt", "dft"], "head": 0, "max_ell": 2, "correlation": 2},
        ["triclinic"],
    ),
}  # fmt: skip

CASES = [(kind, cell) for kind, (_, cells) in KINDS.items() for cell in cells]


@pytest.fixture(scope="module")
def kinds(native_models):
    """Return a function: kind -> (native model, mace-torch's calculator)."""
    known = {}

    def make(kind):
        if kind not in known:
            options = KINDS[kind][0]
            native = native_models(**options)
            head = options["heads"][options["head"]] if "heads" in options else None
            known[kind] = native, calculator(native.model, head=head)
        return known[kind]

    return make


def assert_same(ours, theirs, atoms):
    """Compare all that both know of `atoms` in double precision."""
    with default_dtype(torch.float64):  # else mace-torch rounds 14.3996 Z_i Z_j of its ZBL
        theirs.calculate(atoms)
    ours.calculate(atoms, ["energy", "stress"] if atoms.cell.rank == 3 else ["energy"])
    found, expected = ours.results, theirs.results
    force = np.abs(expected["forces"]).max()
    np.testing.assert_allclose(
        found["energies"], expected["energies"], rtol=0, atol=ENERGY_EV_PER_ATOM
    )
    assert abs(found["energy"] - expected["energy"]) <= ENERGY_EV_PER_ATOM * len(atoms)
    np.testing.assert_allclose(
        found["forces"], expected["forces"], rtol=0, atol=FORCE_EV_PER_ANGSTROM 
    )
    if atoms.pbc.all():
        np.testing.assert_allclose(
            found["stress"], expected["stress"], rtol=0, atol=STRESS_EV_PER_ANGSTROM3
        )
    if os.environ.get("SHOW"):
        print(f"SHOW F {force:.3g} dE {np.abs(found['energies']- expected['energies']).max():.1e} dF {np.abs(found['forces']-expected['forces']).max():.1e} dS {np.abs(found['stress']-expected['stress']).max() if atoms.pbc.all() else 0:.1e}", end=" ")


def assert_same_in_single_precision(ours, theirs, atoms):
    """Compare the forces only: an energy of single precision has the digits that it has."""
    ours.calculate(atoms, ["forces"])
    force = np.abs(theirs.results["forces"]).max()
    np.testing.assert_allclose(
        ours.results["forces"], theirs.results["forces"], rtol=0, atol=SINGLE_FORCE * (1 + force)
    )
    if os.environ.get("SHOW"):
        print(f"SHOW1 rel dF {np.abs(ours.results['forces']-theirs.results['forces']).max()/(1+force):.1e} dE {np.abs(ours.results['energies']-theirs.results['energies']).max():.1e}")


@pytest.mark.parametrize(("kind", "cell"), CASES, ids=[", ".join(case) for case in CASES])
def test_same_as_mace_torch(kind, cell, kinds):
    native, theirs = kinds(kind)
    atoms = CELLS[cell]()
    assert_same(native.calculator("float64"), theirs, atoms)
    assert_same_in_single_precision(native.calculator("float32"), theirs, atoms)
