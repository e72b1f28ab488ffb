"""Label one cell with an ASE calculator; run as a script, by any Python that has ASE.

A DFT code often lives in another Python than ours (GPAW from the operating system's packages),
runs under MPI, or crashes. So this file needs ASE and NumPy alone, of any age: it is started as

    [mpirun -np 4] python worker.py

in a folder with ``job.json``, and leaves ``result.json`` or ``error.json`` there. The job is one
cell to label, or the question which pseudopotential files the code would take for some cells: only
this Python knows where the code looks for them. It imports nothing from the rest of the package.
"""

from __future__ import annotations

import glob
import hashlib
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
        positive), ``magmoms`` (μB) and ``pseudopotentials`` (names of those that the code took,
        ``Mo_pv:04Feb2005`` for VASP, ``Mo:`` and a fingerprint for GPAW); None where there is none.
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
    labels["pseudopotentials"] = " ".join(_pseudopotentials_taken(calculator)) or None
    return labels


def _pseudopotentials_taken(calculator: Any) -> list[str]:
    """Name what a DFT code has taken, as its own output does; nothing for other calculators."""
    if hasattr(calculator, "ppp_list"):  # ASE's VASP calculator: paths of POTCAR files
        return sorted({_short_title(path) for path in calculator.ppp_list or ()})
    setups = getattr(calculator, "setups", None) or ()  # GPAW: one an atom
    if not all(hasattr(setup, "fingerprint") for setup in setups):
        return []
    return sorted({f"{setup.symbol}:{setup.fingerprint[:12]}" for setup in setups})


def _short_title(path: str) -> str:
    """``PAW_PBE Mo_pv 04Feb2005``, the first line of a POTCAR, as ``Mo_pv:04Feb2005``."""
    words: list[str] = []
    if not path.endswith(".Z"):
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            words = file.readline().split()
    return ":".join(words[1:3]) if len(words) > 1 else _name_of_potcar(path)


def _name_of_potcar(path: str) -> str:
    """Name of its folder, such as ``Mo_pv``."""
    return os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120


def pseudopotential_files(
    target: str, arguments: dict[str, Any], cells: list[list[str]]
) -> dict[str, dict[str, str]]:
    """Find the files from which a DFT code would take its pseudopotentials.

    Parameters
    ----------
    target
        ``gpaw:GPAW`` or ``ase.calculators.vasp:Vasp``.
    arguments
        Of its call.
    cells
        Chemical symbols of each kind of cell, in their order (VASP's setups may name an atom).

    Returns
    -------
    dict
        ``path`` and ``sha256`` by name: ``Mo_pv`` for VASP, ``Mo.PBE.gz`` for GPAW, which looks for
        such a name in one folder after the other and takes the first.

    Raises
    ------
    Exception
        What the calculator says where it finds none for any of the cells. Where it finds some, the
        other cells will fail on their own.
    """
    found = {}
    if target.startswith("gpaw:"):
        found = _gpaw_setups({symbol for symbols in cells for symbol in symbols})
    else:
        found = _potcars(make_calculator(target, arguments), cells)
    return {
        name: {"path": os.path.abspath(path), "sha256": _sha256(path)}  # noqa: PTH100
        for name, path in sorted(found.items())
    }


def _gpaw_setups(elements: set[str]) -> dict[str, str]:
    folders = importlib.import_module("gpaw").setup_paths
    found: dict[str, str] = {}
    for folder in folders:
        for element in sorted(elements):
            for path in glob.glob(os.path.join(str(folder), element + ".*")):  # noqa: PTH118, PTH207
                found.setdefault(os.path.basename(path), path)  # noqa: PTH119
    return {name: path for name, path in found.items() if ".basis" not in name}


def _potcars(calculator: Any, cells: list[list[str]]) -> dict[str, str]:
    from ase import Atoms

    found: dict[str, str] = {}
    error = None
    for symbols in cells:
        try:
            calculator.initialize(Atoms(symbols, cell=[1.0, 1.0, 1.0], pbc=True))
        except Exception as why:  # noqa: BLE001  ASE raises plain ones here
            error = why
        else:
            found.update({_name_of_potcar(path): path for path in calculator.ppp_list})
    if error is not None and not found:
        raise error
    return found


def _sha256(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.sha256(file.read()).hexdigest()


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
        result = _do(job)
    except Exception as error:  # noqa: BLE001  whatever a DFT code raises is to be reported
        text = f"{type(error).__name__}: {error}"
        _write(ERROR, {"error": text, "traceback": traceback.format_exc()})
        return 1
    _write(RESULT, result)
    return 0


def _do(job: dict[str, Any]) -> dict[str, Any]:
    if "cells" in job:
        return pseudopotential_files(job["target"], job["arguments"], job["cells"])
    return compute_labels(
        atoms_from_plain(job["atoms"]),
        make_calculator(job["target"], job["arguments"]),
        stress=job["stress"],
        energy_is_free=job["energy_is_free"],
    )


def _write(name: str, content: dict[str, Any]) -> None:
    """Write a file, whole or not at all; under MPI one rank alone does it."""
    from ase.parallel import world

    if world.rank == 0:
        with open(name + ".part", "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(content, file)
        os.replace(name + ".part", name)  # noqa: PTH105


if __name__ == "__main__":
    sys.exit(main())
