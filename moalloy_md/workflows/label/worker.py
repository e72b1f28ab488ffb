"""Label one cell with an ASE calculator; run as a script, by any Python that has ASE.

A DFT code often lives in another Python than ours (GPAW from the operating system's packages),
runs under MPI, or crashes. So this file needs ASE and NumPy alone, of any age: it is started as

    [mpirun -np 4] python worker.py

in a folder with ``job.json``, and leaves ``result.json`` or ``error.json`` there. It imports
nothing from the rest of the package.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

JOB, RESULT, ERROR = "job.json", "result.json", "error.json"


class NotConvergedError(Exception):
    """The DFT code ended without reaching self-consistency."""


def make_calculator(target: str, arguments: dict[str, Any]) -> Any:
    """Call the factory ``module:name`` with keyword arguments.

    The folder in which we run comes first on the path, so that a user's own file is found.
    """
    module, _, name = target.partition(":")
    if not module or not name:
        raise ValueError(f"expected module:name, such as ase.calculators.emt:EMT, found {target!r}")
    return getattr(importlib.import_module(module), name)(**arguments)


def compute_labels(
    atoms: Any, calculator: Any, *, stress: bool = True, energy_is_free: bool = False
) -> dict[str, Any]:
    """Compute the labels of one cell.

    Parameters
    ----------
    atoms
        The cell. Its initial magnetic moments make a DFT code spin-polarised.
    calculator
        An ASE calculator.
    stress
        Whether to ask for the stress.
    energy_is_free
        Take the plain energy of a calculator that knows no free energy.

    Returns
    -------
    dict
        ``energy`` (eV, force-consistent), ``forces`` (eV/Å), ``stress`` (eV/Å³, Voigt, tension
        positive) and ``magmoms`` (μB); None where there is none.
    """
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms = atoms.copy()
    atoms.calc = calculator
    try:
        energy = float(atoms.get_potential_energy(force_consistent=True))
    except PropertyNotImplementedError:
        if not energy_is_free:
            raise PropertyNotImplementedError(
                "the calculator has no force-consistent free energy. If its plain energy is what "
                "its forces are the derivative of (as for a classical potential), say "
                "energy_is_free: true"
            ) from None
        energy = float(atoms.get_potential_energy())
    forces = atoms.get_forces()
    if getattr(calculator, "converged", None) is False:  # ASE's VASP calculator does not raise
        raise NotConvergedError("the DFT code did not reach self-consistency")
    labels: dict[str, Any] = {"energy": energy, "forces": forces.tolist()}
    labels["stress"] = _optional(atoms.get_stress) if stress and atoms.pbc.all() else None
    spin_polarised = atoms.get_initial_magnetic_moments().any()
    labels["magmoms"] = _optional(atoms.get_magnetic_moments) if spin_polarised else None
    return labels


def _optional(get: Any) -> list[float] | None:
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        value = get()
    except PropertyNotImplementedError:
        return None
    return None if value is None else [float(x) for x in value]


def atoms_from_plain(content: dict[str, Any]) -> Any:
    """Make a cell from numbers, positions, cell, pbc and magmoms."""
    from ase import Atoms

    return Atoms(
        numbers=content["numbers"],
        positions=content["positions"],
        cell=content["cell"],
        pbc=content["pbc"],
        magmoms=content["magmoms"],
    )


def main() -> int:
    """Do the job in this folder; return the exit status."""
    with open(JOB, encoding="utf-8") as file:  # noqa: PTH123  runs under any Python
        job = json.load(file)
    sys.path.insert(0, job["start_folder"])
    try:
        calculator = make_calculator(job["target"], job["arguments"])
        labels = compute_labels(
            atoms_from_plain(job["atoms"]),
            calculator,
            stress=job["stress"],
            energy_is_free=job["energy_is_free"],
        )
    except Exception as error:  # noqa: BLE001  whatever a DFT code raises is to be reported
        text = f"{type(error).__name__}: {error}"
        _write(ERROR, {"error": text, "traceback": traceback.format_exc()})
        return 1
    _write(RESULT, labels)
    return 0


def _write(name: str, content: dict[str, Any]) -> None:
    """Write a file, whole or not at all; under MPI one rank alone does it."""
    from ase.parallel import world

    if world.rank == 0:
        with open(name + ".part", "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(content, file)
        os.replace(name + ".part", name)  # noqa: PTH105


if __name__ == "__main__":
    sys.exit(main())
