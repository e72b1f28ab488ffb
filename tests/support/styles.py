"""Both pair styles with one model: its file for each, the input lines, and what is expected."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from moalloy_md.potentials.native_model import write_native
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.potentials.torchscript import script
from support import lmp
from support.models import calculator, copy_of, random_model

with quiet_mace():
    from mace.tools.torch_tools import default_dtype

STYLES = ("mace", "mace/native")

#: eV/Å, for forces of 1 eV/Å. Double: TorchScript differs by the order of summation alone; the
#: native engine also by its radial tables, whose slopes (10/Å, steeper with Agnesi's transform) are
#: within 1e-9 of the largest, times the edges of an atom. Single: sums of some hundred terms with
#: 1e-7 each, which the engine adds up in small groups.
TOLERANCE = {
    ("mace", "float64"): 1e-10,
    ("mace", "float32"): 2e-4,
    ("mace/native", "float64"): 1e-7,
    ("mace/native", "float32"): 5e-5,
}


@dataclass(frozen=True)
class Potential:
    """A model in the file of a pair style."""

    style: str
    model: torch.nn.Module
    file: Path
    tolerance: float  # eV/Å

    def lines(self, types, keywords="", *, others=()):
        """Input lines; files of `others` make a committee of it."""
        files = " ".join(str(file) for file in (self.file, *others))
        return f"pair_style {self.style} {keywords}\npair_coeff * * {files} {' '.join(types)}\n"

    def compute(self, atoms, folder, types, keywords="", **options):
        """What lmp finds for a cell; options are those of `lmp.compute`."""
        lines = self.lines(types, keywords)
        return lmp.compute(atoms, folder, symbols=types, pair_lines=lines, **options)

    @cached_property
    def oracle(self):
        """mace-torch's own ASE calculator in double precision."""
        return calculator(self.model)


class RandomPotentials:
    """Random models by the options of `random_model`; models and files are made once each."""

    def __init__(self, folder):
        self.folder, self.known_models, self.known = folder, {}, {}

    def __call__(self, style, **options):
        key = json.dumps([style, options], sort_keys=True)
        if key not in self.known:
            model = self.model(**options)
            kind = "model-lammps.pt" if style == "mace" else "model.safetensors"
            file = self.folder / f"{len(self.known)}-{kind}"
            write_potential(style, model, file)
            tolerance = TOLERANCE[style, options.get("dtype", "float64")]
            self.known[key] = Potential(style, model, file, tolerance)
        return self.known[key]

    def model(self, **options):
        key = json.dumps(options, sort_keys=True)
        if key not in self.known_models:
            self.known_models[key] = random_model(**options)
        return self.known_models[key]


def write_potential(style, model, file):
    """Write the file that a pair style reads."""
    energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())[0]
    if style == "mace":
        with quiet_mace():
            scripted = script(copy_of(model), head=0, reference_energies=torch.tensor(energies))
            scripted.save(str(file))
    else:
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        write_native(model, file, head=0, dtype=dtype, reference_energies=energies)


def assert_same(found, potential, atoms, *, tolerance=None, stress=True):
    """Compare energy, forces, stress and per-atom energies with mace-torch."""
    tolerance = tolerance or potential.tolerance
    oracle, work = potential.oracle, atoms.copy()
    work.calc = oracle
    # mace-torch, and TorchScript like it, rounds 14.3996 Z_i Z_j of its ZBL to torch's default
    exact = torch.float32 if potential.style == "mace" else torch.float64
    with default_dtype(exact):
        energy, forces = work.get_potential_energy(), work.get_forces()
        expected_stress = work.get_stress()
    energies = oracle.results["node_energy"] + reference_energies(potential.model, atoms)
    assert np.sqrt(np.mean(forces**2)) > 0.1, "forces this small would hide errors"
    assert found.energy == pytest.approx(energy, abs=0.1 * tolerance * len(atoms))
    np.testing.assert_allclose(found.forces, forces, atol=tolerance, rtol=0)
    np.testing.assert_allclose(found.energies, energies, atol=tolerance, rtol=0)
    assert found.energies.sum() == pytest.approx(found.energy, abs=1e-9)
    if stress:
        np.testing.assert_allclose(found.stress, expected_stress, atol=0.1 * tolerance, rtol=0)


def reference_energies(model, atoms):
    """E0 of each atom: mace-torch's calculator leaves them out of ``node_energy``."""
    numbers = [int(z) for z in model.atomic_numbers]
    table = np.atleast_2d(model.atomic_energies_fn.atomic_energies.numpy())[0]
    return np.array([table[numbers.index(z)] for z in atoms.numbers])
