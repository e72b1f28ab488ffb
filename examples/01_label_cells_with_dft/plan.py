"""The doped-Mo cells to label with DFT: 16-atom bcc cells with one or two substitutional dopants.

They are ordered so that a list cut short stays balanced over the dopants: first the host and every
dopant alone, then pairs of equal dopants in three neighbour shells, then displaced and strained
cells, with pairs of different dopants in between. Every cell has a name of its own, and its random
displacements are seeded from that name: any cell can be made again on its own, on any machine.

Run this file to print the list. To label other cells, change `cells` and keep the names unique.
Needs ASE alone.
"""

import zlib
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from ase import Atoms
from ase.build import bulk

HOST = "Mo"
LATTICE_PARAMETER = 3.1625  # Å, bcc Mo with PBE: a 4x4x4 cell has an edge of 12.65 Å
DOPANTS = ("W", "Re", "Ta", "Nb", "Ti", "V", "Zr", "Hf")


def host_cell() -> Atoms:
    """2x2x2 conventional bcc cells of the host, 16 atoms."""
    return bulk(HOST, "bcc", a=LATTICE_PARAMETER, cubic=True).repeat((2, 2, 2))


def site_in_shell(atoms: Atoms, shell: int) -> int:
    """Index of the first site in neighbour shell `shell` (1 to 3) of atom 0 in the host cell."""
    radius = LATTICE_PARAMETER * (np.sqrt(3) / 2, 1.0, np.sqrt(2))[shell - 1]
    distances = atoms.get_distances(0, range(len(atoms)), mic=True)
    return int(np.flatnonzero(np.isclose(distances, radius, atol=0.05))[0])


def doped_cell(
    name: str,
    dopants: Sequence[str] = (),
    *,
    shell: int = 0,
    rattle: float = 0.0,
    strain: float = 0.0,
    shear: float = 0.0,
) -> Atoms:
    """Make one cell and say in its ``info`` what it is.

    Parameters
    ----------
    name
        Unique; its checksum seeds the displacements. All up to the last ``-`` names the group:
        the decoration of the sites, whose cells must not stand on both sides of a split.
    dopants
        Chemical symbols: the first goes to atom 0, the second to a neighbour of it.
    shell
        Neighbour shell (1 to 3) of the second dopant; 0 without one.
    rattle
        Standard deviation of the displacement of each coordinate, Å.
    strain
        Relative change of all three edges.
    shear
        Shear: y of every point grows by `shear` times its x.
    """
    atoms = host_cell()
    sites = [0, site_in_shell(atoms, shell)] if shell else [0]
    for site, dopant in zip(sites, dopants, strict=False):  # no dopants: the pure host
        atoms.symbols[site] = dopant
    if strain or shear:
        deformation = np.eye(3) * (1 + strain)
        deformation[0, 1] += shear
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    if rattle:
        atoms.rattle(rattle, seed=zlib.crc32(name.encode()))
    on_lattice = not (rattle or strain or shear)
    atoms.info.update(
        name=name,
        host=HOST,
        group=name.rsplit("-", 1)[0],
        state="ideal" if on_lattice else "noneq",
        shell=shell,
    )
    return atoms


def cells() -> Iterator[Atoms]:
    """All planned cells, most wanted first."""
    yield from host_at_three_volumes()
    yield from ideal_cells_of_one_kind()
    yield from displaced_cells()
    yield from ideal_pairs_of_two_kinds()


def host_at_three_volumes() -> Iterator[Atoms]:
    """Pure Mo at its lattice parameter and 3 % to either side."""
    for k, strain in enumerate((0.0, -0.03, 0.03)):
        yield doped_cell(f"Mo16-vol{k}", strain=strain)


def ideal_cells_of_one_kind() -> Iterator[Atoms]:
    """One dopant, then two of the same in each of three shells, all on lattice sites."""
    for x in DOPANTS:
        yield doped_cell(f"{x}1-ideal", [x])
    for shell in (1, 2, 3):
        for x in DOPANTS:
            yield doped_cell(f"{x}2-shell{shell}-ideal", [x, x], shell=shell)


def displaced_cells() -> Iterator[Atoms]:
    """Rattled and strained cells: the host, one dopant, two unequal ones, two equal ones."""
    pairs = list(combinations(DOPANTS, 2))
    for k, rattle in enumerate((0.06, 0.10, 0.14)):
        yield doped_cell(f"Mo16-rattle{k}", rattle=rattle)
    for x in DOPANTS:
        yield doped_cell(f"{x}1-rattle06", [x], rattle=0.06)
    for k, (x, y) in enumerate(pairs[::3]):
        shell = k % 3 + 1
        yield doped_cell(f"{x}{y}-shell{shell}-rattle06", [x, y], shell=shell, rattle=0.06)
    for i, x in enumerate(DOPANTS):
        strain = 0.02 if i % 2 else -0.02
        yield doped_cell(f"{x}1-rattle12", [x], rattle=0.12)
        yield doped_cell(f"{x}1-strain", [x], rattle=0.04, strain=strain, shear=0.02)
    for k, (x, y) in enumerate(pairs[1::3]):
        shell = (k + 1) % 3 + 1
        yield doped_cell(f"{x}{y}-shell{shell}-rattle10", [x, y], shell=shell, rattle=0.10)
    for i, x in enumerate(DOPANTS):
        shell = i % 3 + 1
        yield doped_cell(f"{x}2-shell{shell}-rattle08", [x, x], shell=shell, rattle=0.08)


def ideal_pairs_of_two_kinds() -> Iterator[Atoms]:
    """Two unequal dopants on lattice sites, shells in turn."""
    pairs = list(combinations(DOPANTS, 2))
    for k, (x, y) in enumerate(pairs[2::3]):
        shell = (k + 2) % 3 + 1
        yield doped_cell(f"{x}{y}-shell{shell}-ideal", [x, y], shell=shell)


def main() -> None:
    """Print the list."""
    for number, atoms in enumerate(cells(), start=1):
        info = atoms.info
        print(f"{number:3d}  {info['name']:24s} {info['state']:6s} group {info['group']}")


if __name__ == "__main__":
    main()
