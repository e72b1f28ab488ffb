"""Phonons of a crystal by finite displacement, with phonopy.

Frequencies are in THz; an imaginary one, ``i ν``, is given as ``-ν``, as phonopy does.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.dft.kpoints import parse_path_string
from numpy.typing import NDArray

from moalloy_md.errors import DataError

#: What is above this counts as real: near Γ the acoustic branches are zero up to rounding.
IMAGINARY_BELOW_THZ = -0.05

_POINTS_PER_SECTION = 51
_MESH = 24
_DOS_POINTS = 301


@dataclass(frozen=True)
class Phonons:
    """Phonons along the standard path and over the whole zone.

    Attributes
    ----------
    path
        Sections of the path, such as ``("G", "H")``.
    section_distances
        Along each section, ``(n_points,)`` each, wave number over 2π in 1/Å from the
        beginning of the path.
    section_frequencies_thz
        ``(n_points, 3 n_atoms)`` each.
    special_points_thz
        Frequencies at the named points of the path, ascending.
    dos_frequencies_thz, dos_per_thz
        Density of states, ``(n,)`` each, states per THz and primitive cell.
    lowest_thz
        The lowest frequency on the path and on the mesh of the density of states.
    lowest_at
        Where it is, in fractions of the reciprocal vectors of the primitive cell, ``(3,)``.
    imaginary_fraction
        Part of the modes on the mesh that are imaginary.
    supercell_atoms, n_displacements, displacement_angstrom
        What was computed.
    """

    path: tuple[tuple[str, str], ...]
    section_distances: tuple[list[float], ...]
    section_frequencies_thz: tuple[list[list[float]], ...]
    special_points_thz: dict[str, list[float]]
    dos_frequencies_thz: list[float]
    dos_per_thz: list[float]
    lowest_thz: float
    lowest_at: list[float]
    imaginary_fraction: float
    supercell_atoms: int
    n_displacements: int
    displacement_angstrom: float

    @property
    def is_stable(self) -> bool:
        """Whether no mode is imaginary."""
        return self.lowest_thz >= IMAGINARY_BELOW_THZ

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def phonons(
    primitive: Atoms,
    calculator: Calculator,
    *,
    repeat: int,
    displacement_angstrom: float,
    path: str | None = None,
) -> Phonons:
    """Compute phonons from the forces in supercells with one displaced atom.

    The force constants obey the crystal's symmetry and the acoustic sum rule. Waves that fit into
    the supercell are exact, however far the forces reach; those between are interpolated, well
    where the supercell is larger than twice the range of the forces (L r_max for a MACE of L
    layers).

    Parameters
    ----------
    primitive
        Primitive cell at its energy's minimum.
    calculator
        With forces, in double precision: their differences are small.
    repeat
        Primitive cells along each of the three vectors of the supercell.
    displacement_angstrom
        How far an atom is moved, Å.
    path
        Names of points as ASE knows them for the lattice; the standard path where None
        (W. Setyawan, S. Curtarolo, Comput. Mater. Sci. 49 (2010) 299).

    Raises
    ------
    DataError
        If the calculator gives forces that are not finite.
    """
    from phonopy import Phonopy

    engine = Phonopy(
        _as_phonopy(primitive),
        supercell_matrix=np.diag([repeat] * 3),
        primitive_matrix="P",  # the cell is primitive, and its path is ASE's
        log_level=0,
    )
    engine.generate_displacements(distance=displacement_angstrom)
    cells = [_as_ase(cell) for cell in engine.supercells_with_displacements or ()]
    engine.forces = [_forces(cell, calculator) for cell in cells]
    engine.produce_force_constants(show_drift=False)
    engine.symmetrize_force_constants()
    sections, special = _sections(primitive, path)
    lines = [points for *_, points in sections]
    band = engine.run_band_structure(lines)
    return Phonons(
        path=tuple((begin, end) for begin, end, _ in sections),
        section_distances=tuple(list(map(float, d)) for d in band.distances),
        section_frequencies_thz=tuple(f.tolist() for f in band.frequencies),
        special_points_thz={
            name: sorted(map(float, engine.run_qpoints([point.tolist()]).frequencies[0]))
            for name, point in special.items()
        },
        **_over_the_zone(engine, lines, band.frequencies),
        supercell_atoms=len(cells[0]),
        n_displacements=len(cells),
        displacement_angstrom=displacement_angstrom,
    )


def _over_the_zone(
    engine: Any, lines: list[NDArray[np.float64]], frequencies: list[NDArray[np.float64]]
) -> dict[str, Any]:
    """Density of states on a mesh, and the lowest frequency on it and on the lines."""
    mesh = engine.run_mesh([_MESH] * 3, is_gamma_center=True)
    points = np.concatenate([mesh.qpoints, *lines])
    lowest = np.concatenate([mesh.frequencies, *frequencies]).min(axis=1)
    where = int(np.argmin(lowest))
    imaginary = (mesh.frequencies < IMAGINARY_BELOW_THZ).mean(axis=1)
    top = 1.05 * float(np.max(mesh.frequencies))
    bottom = min(0.0, 1.1 * float(np.min(mesh.frequencies)))
    dos = engine.run_total_dos(
        freq_min=bottom, freq_max=top, freq_pitch=(top - bottom) / (_DOS_POINTS - 1)
    )
    return {
        "dos_frequencies_thz": list(map(float, dos.frequency_points)),
        "dos_per_thz": list(map(float, dos.dos)),
        "lowest_thz": float(lowest[where]),
        "lowest_at": [float(x) for x in points[where]],
        "imaginary_fraction": float(np.average(imaginary, weights=mesh.weights)),
    }


def _sections(
    primitive: Atoms, path: str | None
) -> tuple[list[tuple[str, str, NDArray[np.float64]]], dict[str, NDArray[np.float64]]]:
    """Return begin, end and points of each section of the path, and the named points."""
    band = primitive.cell.bandpath(path, npoints=0)
    sections = []
    for part in parse_path_string(band.path):
        for begin, end in pairwise(part):
            a, b = band.special_points[begin], band.special_points[end]
            sections.append((begin, end, np.linspace(a, b, _POINTS_PER_SECTION)))
    used = {name for section in sections for name in section[:2]}
    return sections, {name: band.special_points[name] for name in sorted(used)}


def _as_phonopy(atoms: Atoms) -> Any:
    from phonopy.structure.atoms import PhonopyAtoms

    return PhonopyAtoms(
        symbols=list(atoms.symbols),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
    )


def _as_ase(cell: Any) -> Atoms:
    return Atoms(
        list(cell.symbols), scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True
    )


def _forces(atoms: Atoms, calculator: Calculator) -> NDArray[np.float64]:
    atoms.calc = calculator
    forces: NDArray[np.float64] = np.asarray(atoms.get_forces(), dtype=np.float64)
    if not np.isfinite(forces).all():
        raise DataError(
            "expected finite forces in the supercell with a displaced atom, found nan or inf: the "
            "model is broken"
        )
    return forces
