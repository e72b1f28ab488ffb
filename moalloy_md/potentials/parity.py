"""Does an exported model say what its source says? The gate that every export passes."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from moalloy_md.config import DType
from moalloy_md.elements import HOST
from moalloy_md.structures.host import MO_EDGE_ANGSTROM

_SEED = 20261123


@dataclass(frozen=True)
class Evaluated:
    """Energy, forces and stress of one structure.

    Attributes
    ----------
    energy_ev
        eV.
    forces
        ``(n_atoms, 3)``, eV/Å.
    stress
        ``(6,)``, eV/Å³, Voigt xx yy zz yz xz xy.
    """

    energy_ev: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


@dataclass(frozen=True)
class Parity:
    """Largest deviations of an exported model from its source, beside their limits.

    Attributes
    ----------
    n_atoms
        Atoms of the cell on which both were evaluated.
    force_rms_ev_per_angstrom
        Root mean square of the source's force components.
    energy_ev_per_atom, force_ev_per_angstrom, stress_ev_per_angstrom3
        Largest absolute deviation.
    energy_limit_ev_per_atom, force_limit_ev_per_angstrom, stress_limit_ev_per_angstrom3
        What they may be at most.
    passed
        Whether all three are within their limits.
    """

    n_atoms: int
    force_rms_ev_per_angstrom: float
    energy_ev_per_atom: float
    force_ev_per_angstrom: float
    stress_ev_per_angstrom3: float
    energy_limit_ev_per_atom: float
    force_limit_ev_per_angstrom: float
    stress_limit_ev_per_angstrom3: float
    passed: bool

    def as_dict(self) -> dict[str, float | int | bool]:
        """JSON-compatible form."""
        return asdict(self)


def parity_cell(elements: list[str]) -> Atoms:
    """Build a rattled, triclinic, doped cell in which every element of a model occurs.

    Parameters
    ----------
    elements
        Symbols that the model knows. The host is Mo if it is among them, else the first.

    Returns
    -------
    Atoms
        bcc, 54 atoms or as many as give each element one site in three; lower triangular.
    """
    rng = np.random.default_rng(_SEED)
    n = 3
    while 2 * n**3 < 3 * len(elements):
        n += 1
    atoms = bulk(HOST, "bcc", a=MO_EDGE_ANGSTROM["bcc"], cubic=True).repeat((n, n, n))
    strain = np.array([[1.01, 0.0, 0.0], [0.06, 0.98, 0.0], [-0.04, 0.05, 1.02]])
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    host = HOST if HOST in elements else elements[0]
    dopants = [element for element in elements if element != host]
    symbols = [host] * len(atoms)
    for k, site in enumerate(rng.permutation(len(atoms))[: max(len(dopants), len(atoms) // 3)]):
        symbols[site] = dopants[k % len(dopants)] if dopants else host
    atoms.set_chemical_symbols(symbols)
    atoms.positions += rng.normal(scale=0.08, size=(len(atoms), 3))
    atoms.wrap()
    return atoms


Route = Literal["torchscript", "native"]


def compare(
    reference: Evaluated, found: Evaluated, *, dtype: DType, route: Route = "torchscript"
) -> Parity:
    """Compare an exported model with its source.

    TorchScript in double precision has to agree to 1e-9 eV/atom, and forces and stress to 1e-9 per
    unit of the force's root mean square; single precision with the double-precision evaluation of
    the same weights to 1e-5 eV/atom, to 1e-4 eV/Å + 1e-4 of the force's root mean square, and to a
    tenth of that in eV/Å³.

    The native engine has tables and sums of its own. In double precision it has to agree to 1e-7
    eV/atom, 1e-6 eV/Å and 1e-7 eV/Å³, the latter two per unit of the force's root mean square where
    that is above 1 eV/Å; in single precision like TorchScript, but to 2e-4 eV/Å + 2e-4 of the
    largest force component.

    Parameters
    ----------
    reference
        The source, evaluated in double precision.
    found
        The exported model.
    dtype
        Precision of the exported model.
    route
        Which of the exported files was evaluated.
    """
    n_atoms = len(reference.forces)
    rms = float(np.sqrt(np.mean(reference.forces**2)))
    energy_limit, force_limit, stress_limit = _limits(reference.forces, rms, dtype, route)
    energy = abs(found.energy_ev - reference.energy_ev) / n_atoms
    force = float(np.max(np.abs(found.forces - reference.forces)))
    stress = float(np.max(np.abs(found.stress - reference.stress)))
    # written so that a NaN fails
    passed = energy <= energy_limit and force <= force_limit and stress <= stress_limit
    return Parity(
        n_atoms=n_atoms,
        force_rms_ev_per_angstrom=rms,
        energy_ev_per_atom=energy,
        force_ev_per_angstrom=force,
        stress_ev_per_angstrom3=stress,
        energy_limit_ev_per_atom=energy_limit,
        force_limit_ev_per_angstrom=force_limit,
        stress_limit_ev_per_angstrom3=stress_limit,
        passed=bool(passed),
    )


def _limits(
    forces: NDArray[np.float64], rms: float, dtype: DType, route: Route
) -> tuple[float, float, float]:
    """Largest deviations that are allowed: eV/atom, eV/Å, eV/Å³."""
    if dtype == "float64":
        if route == "native":
            return 1e-7, 1e-6 * max(1.0, rms), 1e-7 * max(1.0, rms)
        return 1e-9, 1e-9 * rms, 1e-9 * rms
    of_torchscript = 1e-4 + 1e-4 * rms
    if route == "native":
        largest = float(np.max(np.abs(forces)))
        return 1e-5, 2e-4 + 2e-4 * largest, 0.1 * of_torchscript
    return 1e-5, of_torchscript, 0.1 * of_torchscript
