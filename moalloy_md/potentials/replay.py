"""Replay: cells that the model to start from labels itself, to be trained on beside the new ones.

A model that is fitted to bulk cells alone goes wrong where these cells are silent: vacancies and surfaces cost too much. So
it is shown again what it knew of them. Only its labels' references are moved: its energy of a cell
is ``E + Σ_Z n_Z (e_Z' − e_Z)`` then, with its own E0s e_Z and those e_Z' of the training.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from moalloy_md.datasets.extxyz import iter_atoms
from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import HOST
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.reference_energies import compositions, in_order
from moalloy_md.potentials.start import StartModel
from moalloy_md.potentials.train_config import Replay
from moalloy_md.rundir import replacing
from moalloy_md.structures.defective import vacancies_and_surfaces
from moalloy_md.structures.host import HostCrystal

#: What a label leaves of a cell's own information.
_KEPT = ("name", "host", "group", "state")

#: Cells that the start model is evaluated on together.
_BATCH = 8


def replay_cells(method: Replay, train: Sequence[Frame]) -> list[Atoms]:
    """Return the cells to label: those of a file, or vacancies and surfaces of the host.

    Parameters
    ----------
    method
        What is asked for.
    train
        The training set: its host, and the dopants that it holds.

    Raises
    ------
    DataError
        If the file cannot be read.
    ConfigError
        If the host's lattice parameter is not known.
    """
    if method.cells is not None:
        return [atoms for _, atoms in iter_atoms(method.cells)]
    host = train[0].host
    edge = method.lattice_parameter_angstrom
    if edge is None and host != HOST:
        raise ConfigError(
            f"start.method.lattice_parameter_angstrom: expected the edge of the cubic cell of {host}, "
            "found none: only that of Mo is known. Give it, or cells of your own (start.method.cells)"
        )
    crystal = HostCrystal(host=host, lattice=method.lattice, lattice_parameter_angstrom=edge)
    dopants = in_order({x for frame in train for x in frame.elements} - {host})
    return list(vacancies_and_surfaces(crystal, dopants))


def label_replay(
    cells: Sequence[Atoms], start: StartModel, e0s_ev: dict[str, float], *, source: str
) -> list[Atoms]:
    """Label cells with the model that training starts from, with the references of the training.

    Parameters
    ----------
    cells
        From `replay_cells`.
    start
        The model, before anything of it was changed.
    e0s_ev
        E0s of the training.
    source
        What to call the cells in errors.

    Returns
    -------
    list of Atoms
        With ``REF_energy`` (eV) and ``REF_forces`` (eV/Å).

    Raises
    ------
    ModelError
        If the model lacks an element of a cell, or gives no finite number.
    """
    found = predict(start.foundation.network, cells, batch_size=_BATCH, source=source)
    elements = list(e0s_ev)
    own = start.foundation.e0s_ev
    moved = np.array([e0s_ev[x] - own[x] for x in elements])
    energies = found.energies_ev + compositions(cells, elements) @ moved
    labelled = []
    for k, atoms in enumerate(cells):
        copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        copy.info = {key: atoms.info[key] for key in _KEPT if key in atoms.info}
        copy.info["REF_energy"] = float(energies[k])
        copy.arrays["REF_forces"] = found.forces[k]
        labelled.append(copy)
    return labelled


def write_with_replay(train: Path, replay: Sequence[Atoms], path: Path) -> None:
    """Write the training set and the labelled cells after it into one file for the trainer.

    Raises
    ------
    DataError
        If the training set is gone or damaged.
    """
    frames = [atoms for _, atoms in iter_atoms(train)]
    with replacing(path) as temporary:
        write(temporary, [*frames, *replay], format="extxyz")
