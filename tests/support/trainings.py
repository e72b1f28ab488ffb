"""Tiny trainings: Ni with Cu and Al, labelled by EMT, each element shifted by a known E0."""

import numpy as np
import pytest
from ase.calculators.emt import EMT

from moalloy_md.config import validate
from moalloy_md.potentials.train import train
from moalloy_md.potentials.train_config import TrainConfig
from support.cells import doped_cell

#: Elements and shape of a tiny foundation, with more elements than the cells have.
KNOWN = ("Al", "Ti", "Ni", "Cu")
SHAPE = {"hidden": "4x0e", "max_ell": 1, "correlation": 2, "r_max": 4.0, "n_layers": 2}

E0S = {"Ni": -3.0, "Cu": -2.0, "Al": -1.0}

NETWORK = {
    "channels": 4, "r_max_angstrom": 4.0, "max_ell": 1, "correlation": 2, "radial_mlp": [8],
}  # fmt: skip


def cells(n, seed, *, symbols=("Ni", "Cu", "Al")):
    """Rattled cells whose labels are EMT's, each element shifted by a known E0."""
    images = []
    for k in range(n):
        rng = np.random.default_rng([seed, k])
        atoms = doped_cell(symbols, n=2, seed=[seed, k], rattle=0.05, host="Ni")
        dopants = rng.permutation(np.flatnonzero(np.array(atoms.symbols) != "Ni"))
        atoms.symbols[dopants[: k % 4]] = "Ni"  # compositions differ
        atoms.set_cell(atoms.cell * 0.9, scale_atoms=True)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = None
        atoms.info |= {
            "host": "Ni",
            "REF_energy": energy + sum(E0S[symbol] for symbol in atoms.symbols),
            "group": f"{seed}-{k}",
        }
        atoms.arrays["REF_forces"] = forces
        images.append(atoms)
    return images


def configuration(data, *, start=None, optimisation=None, **more):
    """A training of three epochs from scratch, unless `start` has a kind; dicts are updates."""
    start = dict(start or {})
    if start.get("kind", "scratch") == "scratch":
        start = {"model": NETWORK, **start}
    content = {
        "train": str(data / "train.extxyz"),
        "valid": str(data / "valid.extxyz"),
        "device": "cpu",
        "start": start,
        "optimisation": {"batch_size": 2, "max_epochs": 3, **(optimisation or {})},
        **more,
    }
    return validate(content, TrainConfig, source="test")


def fine_tuned(data, foundation, *, start=None, optimisation=None, **more):
    """A fine-tuning of such a foundation, in double precision."""
    start = {"kind": "fine-tune", "foundation": str(foundation), **(start or {})}
    return configuration(data, start=start, optimisation=optimisation, dtype="float64", **more)


def refused(config, error, message, out):
    """A training is not begun, and leaves nothing."""
    with pytest.raises(error, match=message):
        train(config, out)
    assert not out.exists()
