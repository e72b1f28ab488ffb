"""Models for the tests of the native engine: each is built and written once."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass
class NativeModel:
    """A torch model and the file that the engine reads."""

    model: Any
    path: Path
    known: dict = field(default_factory=dict)

    def calculator(self, precision=None):
        """Return the engine's calculator on one thread, the same for the same precision."""
        from moalloy_md.potentials.native import NativeCalculator

        if precision not in self.known:
            self.known[precision] = NativeCalculator(self.path, precision=precision, threads=1)
        return self.known[precision]


@pytest.fixture(scope="session")
def native_models(tmp_path_factory):
    """Return a function that gives a `NativeModel` with random weights.

    Its options are those of `random_model`, and `reduced` for `reduce_contractions`, `head` for
    the position of the head to write, and `file` for the precision of the file.
    """
    from support.models import random_model, reduce_contractions

    from moalloy_md.potentials.native_model import write_native

    folder, built, written = tmp_path_factory.mktemp("native"), {}, {}

    def build(*, reduced=False, **options):
        key = json.dumps([reduced, options], sort_keys=True)
        if key not in built:
            has_scale = options.get("model_class") != "MACE"
            built[key] = random_model(**options, scaled=has_scale)
            if not has_scale:
                _scale_readouts(built[key])
            if reduced:
                reduce_contractions(built[key])
        return key, built[key]

    def make(*, head=0, file="float64", **options):
        key, model = build(**options)
        if (key, head, file) not in written:
            path = folder / f"model-{len(written)}.safetensors"
            energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())
            write_native(model, path, head=head, dtype=file, reference_energies=energies[head])
            written[key, head, file] = NativeModel(model, path)
        return written[key, head, file]

    return make


def _scale_readouts(model):
    """Bring the forces to the size of 1 eV/Å where no scale and shift stand behind the readouts."""
    import torch
    from ase.data import chemical_symbols
    from support.cells import doped_cell
    from support.models import calculator

    elements = [chemical_symbols[z] for z in model.atomic_numbers]
    forces = calculator(model).get_forces(doped_cell(elements, n=2, seed=99))
    with torch.no_grad():
        for readout in model.readouts:
            last = getattr(readout, "linear_2", None) or readout.linear
            last.weight /= np.sqrt(np.mean(forces**2))


@pytest.fixture(scope="session")
def trained_by_mace(tmp_path_factory):
    """Path of a model that mace_run_train made of its own defaults in three steps."""
    from ase.calculators.emt import EMT
    from ase.io import write
    from support.cells import doped_cell

    folder = tmp_path_factory.mktemp("mace_run_train")
    cells = []
    for seed in range(4):
        atoms = doped_cell(("Ni", "Cu"), n=1, seed=seed, rattle=0.05, host="Ni")
        atoms.set_cell(atoms.cell.array * 0.9, scale_atoms=True)
        atoms.info["REF_energy"] = EMT().get_potential_energy(atoms)
        atoms.arrays["REF_forces"] = EMT().get_forces(atoms)
        cells.append(atoms)
    write(folder / "train.extxyz", cells[:3])
    write(folder / "valid.extxyz", cells[3:])
    options = {
        "name": "default", "train_file": "train.extxyz", "valid_file": "valid.extxyz",
        "E0s": "average", "device": "cpu", "max_num_epochs": 1, "batch_size": 1,
        "valid_batch_size": 1, "plot": False,
    }  # fmt: skip
    command = [sys.executable, "-m", "mace.cli.run_train"]
    command += [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "default.model"
