"""Energy, forces and stress of a cell that ASE read, brought under the dataset's own names."""

import numpy as np
from ase import Atoms

from moalloy_md.datasets.extxyz import Place
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.errors import DataError

#: Names under which ASE keeps results; left in place they would contradict the dataset's own.
_OF_ASE = ("energy", "free_energy", "forces", "stress")


def take_labels(atoms: Atoms, config: ImportConfig, place: Place) -> None:
    """Rename the labels of a cell to ``REF_energy``, ``REF_forces`` and ``REF_stress``, in place.

    Parameters
    ----------
    atoms
        Labels in ``info`` and ``arrays``, without calculator.
    config
        Names of the labels where they are not the usual ones.
    place
        What to call the cell in errors.

    Raises
    ------
    DataError
        If a label that `config` names is missing, or the only energy is ASE's ``energy``: by
        ASE's definition it is extrapolated to zero smearing, and the forces are not its derivative.
    """
    energy = _energy(atoms, config, place)
    forces = _named(atoms, config.forces_key, ("REF_forces", "forces"), place, "forces_key")
    stress = _named(atoms, config.stress_key, ("REF_stress", "stress"), place, "stress_key")
    if config.virial_key:
        virial = np.asarray(_named(atoms, config.virial_key, (), place, "virial_key"), dtype=float)
        stress = -virial / atoms.get_volume()
    for key in (*_OF_ASE, config.energy_key, config.stress_key, config.virial_key):
        atoms.info.pop(key, None)
    for key in (*_OF_ASE, config.forces_key):
        if key in atoms.arrays:
            del atoms.arrays[key]
    atoms.info["REF_energy"] = energy
    if forces is not None:
        atoms.arrays["REF_forces"] = np.asarray(forces)
    if stress is not None:
        atoms.info["REF_stress"] = np.asarray(stress)


def _energy(atoms: Atoms, config: ImportConfig, place: Place) -> object:
    info = atoms.info
    if config.energy_key:
        energy = _named(atoms, config.energy_key, (), place, "energy_key")
        free = info.get("free_energy")
        if config.energy_key != "free_energy" and free is not None and energy != free:
            raise DataError(
                f"{place}: expected the force-consistent energy, found {config.energy_key} = "
                f"{energy} beside free_energy = {free}, of which the forces are the derivative. "
                "Leave --energy-key out"
            )
        return energy
    for key in ("REF_energy", "free_energy"):
        if key in info:
            return info[key]
    if "energy" in info:
        raise DataError(
            f"{place}: expected REF_energy or free_energy (force-consistent, F = E - TS), found "
            "only energy, which ASE defines as extrapolated to zero smearing: forces are not its "
            "derivative. Import from the DFT code's own output; or, if your energy is "
            "force-consistent, say so with --energy-key energy"
        )
    keys = ", ".join(sorted(map(str, info))) or "none"
    raise DataError(
        f"{place}: expected REF_energy or free_energy, found the keys {keys}. Name the energy with "
        "--energy-key, or label the cell"
    )


def _named(
    atoms: Atoms, key: str | None, usual: tuple[str, ...], place: Place, option: str
) -> object | None:
    """Return the value under `key`, which must exist; without one the first of the usual ones."""
    for name in (key,) if key else usual:
        for place_of_values in (atoms.info, atoms.arrays):
            if name in place_of_values:
                value: object = place_of_values[name]
                return value
    if key is None:
        return None
    known = ", ".join(sorted(map(str, (*atoms.info, *atoms.arrays))))
    raise DataError(f"{place}: expected {key} ({option}), found {known}. Correct {option}")
