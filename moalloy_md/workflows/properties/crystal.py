"""Static properties of a host crystal from a potential: the check before any simulation.

Everything is at 0 K without zero-point motion, from an ASE calculator. `static_properties` does
all in one call; ``moalloy properties`` does the same in steps, with more
(`moalloy_md.workflows.properties.workflow`).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bcc100, bcc110, bcc111, bulk
from ase.calculators.calculator import Calculator
from ase.optimize import FIRE
from scipy.optimize import minimize_scalar

from moalloy_md.analysis.segregation import boundary_energy
from moalloy_md.elements import HOST
from moalloy_md.errors import MoAlloyError
from moalloy_md.units import GPA_PER_EV_A3

#: Largest force that is left by a relaxation, eV/Å.
FMAX_EV_PER_ANGSTROM = 0.01

_MAX_STEPS = 500
_VACUUM_ANGSTROM = 8.0  # on either side of a slab: farther than two cutoffs in all

#: By Miller indices, slabs that are thick enough for their two sides not to feel each other.
SLABS: dict[str, Callable[[str, float], Atoms]] = {
    "110": lambda x, a: bcc110(x, (1, 1, 12), a=a, vacuum=_VACUUM_ANGSTROM),
    "100": lambda x, a: bcc100(x, (1, 1, 16), a=a, vacuum=_VACUUM_ANGSTROM),
    "111": lambda x, a: bcc111(x, (1, 1, 30), a=a, vacuum=_VACUUM_ANGSTROM),
}


@dataclass(frozen=True)
class StaticProperties:
    """Properties of a bcc crystal at 0 K."""

    element: str
    lattice_parameter_angstrom: float
    energy_ev_per_atom: float
    """Energy of the perfect crystal."""
    bulk_modulus_gpa: float
    """(C11 + 2 C12) / 3."""
    c11_gpa: float
    c12_gpa: float
    c44_gpa: float
    fcc_minus_bcc_ev_per_atom: float
    """Both at their own equilibrium volume."""
    vacancy_formation_ev: float
    """E(N - 1 atoms) - (N - 1)/N E(N atoms), positions relaxed in the perfect crystal's cell."""
    vacancy_cell_atoms: int
    """N."""
    surface_energies_j_per_m2: dict[str, float]
    """Relaxed, by Miller indices."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def static_properties(
    calculator: Calculator, *, element: str = HOST, vacancy_repeat: int = 4
) -> StaticProperties:
    """Compute the static properties of a bcc element.

    Parameters
    ----------
    calculator
        With energies, forces and stresses.
    element
        Its symbol.
    vacancy_repeat
        Cubic cells along an edge of the cell with the vacancy.

    Raises
    ------
    MoAlloyError
        If the energy has no minimum near the element's density, or a relaxation does not end.
    """
    bcc = bcc_crystal(element, calculator)
    fcc = fcc_crystal(element, calculator)
    edge = float(bcc.cell.lengths()[0])
    energy = bcc.get_potential_energy() / len(bcc)
    c11, c12, c44 = cubic_elastic_constants(bcc, calculator)
    n_atoms = 2 * vacancy_repeat**3
    vacancy = bcc.repeat(vacancy_repeat)[1:]
    surfaces = {
        face: surface_energy(build(element, edge), calculator, energy)
        for face, build in SLABS.items()
    }
    return StaticProperties(
        element=element,
        lattice_parameter_angstrom=edge,
        energy_ev_per_atom=energy,
        bulk_modulus_gpa=(c11 + 2 * c12) / 3,
        c11_gpa=c11,
        c12_gpa=c12,
        c44_gpa=c44,
        fcc_minus_bcc_ev_per_atom=fcc.get_potential_energy() / len(fcc) - energy,
        vacancy_formation_ev=relaxed_energy(vacancy, calculator) - (n_atoms - 1) * energy,
        vacancy_cell_atoms=n_atoms,
        surface_energies_j_per_m2=surfaces,
    )


def bcc_crystal(element: str, calculator: Calculator) -> Atoms:
    """Return the cubic bcc cell (2 atoms) at its energy's minimum; errors as `crystal_at_minimum`."""
    return crystal_at_minimum(bulk(element, "bcc", a=3.0, cubic=True), calculator)


def fcc_crystal(element: str, calculator: Calculator) -> Atoms:
    """Return the cubic fcc cell (4 atoms) at its energy's minimum; errors as `crystal_at_minimum`."""
    return crystal_at_minimum(bulk(element, "fcc", a=4.0, cubic=True), calculator)


def cubic_elastic_constants(
    atoms: Atoms, calculator: Calculator, *, strain: float = 0.005
) -> tuple[float, float, float]:
    """Return C11, C12 and C44 of a cubic crystal in GPa, from stresses under small strains.

    Central differences of the Cauchy stress: ``C_ij ≈ (σ_i(+e_j) - σ_i(-e_j)) / 2e_j`` in Voigt
    notation, with e_4 the engineering shear γ_yz. The atoms of the cell must lie on centres of inversion, so
    that nothing inside it relaxes.

    Parameters
    ----------
    atoms
        A cell along the cubic axes, at its equilibrium volume.
    calculator
        With stresses.
    strain
        Largest strain.
    """
    stresses = {
        (j, sign): _strained(atoms, j, sign * strain, calculator).get_stress()
        for j in (0, 3)
        for sign in (1, -1)
    }
    tension = (stresses[0, 1] - stresses[0, -1]) / (2 * strain) * GPA_PER_EV_A3
    shear = (stresses[3, 1] - stresses[3, -1]) / (2 * strain) * GPA_PER_EV_A3
    return float(tension[0]), float((tension[1] + tension[2]) / 2), float(shear[3])


def _strained(atoms: Atoms, component: int, strain: float, calculator: Calculator) -> Atoms:
    deformation = np.eye(3)
    if component < 3:
        deformation[component, component] += strain
    else:  # half of the engineering shear each way: no rotation
        deformation[1, 2] = deformation[2, 1] = strain / 2
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    strained.calc = calculator
    return strained


def crystal_at_minimum(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Scale a cubic cell to its energy's minimum.

    Parameters
    ----------
    atoms
        A cell along the cubic axes.
    calculator
        With energies.

    Raises
    ------
    MoAlloyError
        If the energy has no minimum between 0.75 and 1.45 times the edge of `atoms`.
    """
    start = float(atoms.cell.lengths()[0])
    range_ = (0.75 * start, 1.45 * start)

    def scaled(edge: float) -> Atoms:
        other = atoms.copy()
        other.set_cell(atoms.cell.array * (edge / start), scale_atoms=True)
        other.calc = calculator
        return other

    edges = np.linspace(*range_, 36)
    energies = np.array([scaled(edge).get_potential_energy() for edge in edges])
    lowest = int(np.argmin(energies))
    if lowest in {0, len(edges) - 1}:
        raise MoAlloyError(
            f"expected an energy minimum of {atoms.symbols[0]} between edges of {range_[0]:.2f} and "
            f"{range_[1]:.2f} Å, found the lowest energy at {edges[lowest]:.2f} Å: the model does not "
            "describe this crystal"
        )
    best = minimize_scalar(
        lambda edge: scaled(edge).get_potential_energy(),
        bracket=tuple(edges[lowest - 1 : lowest + 2]),
        options={"xtol": 1e-6},
    )
    return scaled(float(best.x))


def relaxed_energy(atoms: Atoms, calculator: Calculator) -> float:
    """Relax the positions of `atoms`, which are changed; return the energy, eV.

    Raises
    ------
    MoAlloyError
        If forces above `FMAX_EV_PER_ANGSTROM` are left after 500 steps.
    """
    atoms.calc = calculator
    optimiser = FIRE(atoms, logfile=None)
    if not optimiser.run(fmax=FMAX_EV_PER_ANGSTROM, steps=_MAX_STEPS):
        raise MoAlloyError(
            f"{atoms.get_chemical_formula()}: expected a relaxation to forces below "
            f"{FMAX_EV_PER_ANGSTROM} eV/Å, found {np.abs(atoms.get_forces()).max():.3f} eV/Å after "
            f"{_MAX_STEPS} steps: the model does not describe this cell"
        )
    return float(atoms.get_potential_energy())


def surface_energy(slab: Atoms, calculator: Calculator, energy_per_atom: float) -> float:
    """Energy of a slab's surfaces over their area, J/m²; the slab is relaxed and so changed."""
    slab.pbc = True
    return boundary_energy(
        relaxed_energy(slab, calculator),
        n_atoms=len(slab),
        bulk_energy_ev_per_atom=energy_per_atom,
        area_angstrom2=float(np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))),
        n_boundaries=2,
    )
