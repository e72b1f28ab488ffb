"""Small cells with vacancies and surfaces, pure and with one dopant, on the sites of the crystal."""

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms

from moalloy_md.structures.host import HostCell, HostCrystal, host_atoms
from moalloy_md.structures.pairs import pair_sites
from moalloy_md.structures.planes import layers
from moalloy_md.structures.slabs import SlabConfig, slab

#: Densest faces of each lattice, the densest first.
_FACES = {
    "bcc": ((1, 1, 0), (1, 0, 0), (1, 1, 1)),
    "fcc": ((1, 1, 1), (1, 0, 0), (1, 1, 0)),
}

#: Enough for a surface that does not feel the other one's relaxation much; small, to be quick.
_SLAB_ANGSTROM = 10.0
_VACUUM_ANGSTROM = 12.0


def vacancies_and_surfaces(crystal: HostCrystal, dopants: Sequence[str]) -> Iterator[Atoms]:
    """Yield cells with a vacancy, and slabs.

    Parameters
    ----------
    crystal
        The host.
    dopants
        Chemical symbols. Each takes the place of a first and of a second neighbour of a vacancy, and of an atom
        at the surface and in the middle of each slab.

    Yields
    ------
    Atoms
        With ``info``: ``name``, ``host``, ``group`` and ``state`` (``ideal``). 15 atoms of bcc or 31 of fcc and a
        vacancy; slabs of about 10 Å.
    """
    cell = HostCell(
        host=crystal.host,
        lattice=crystal.lattice,
        lattice_parameter_angstrom=crystal.edge_angstrom,
        repeat=(2, 2, 2),
    )
    bulk = host_atoms(cell)
    neighbours = [pair.site for pair in pair_sites(cell, shells=(1, 2))]
    yield _named(_without_first(bulk), crystal, "vacancy")
    for dopant in dopants:
        for shell, site in enumerate(neighbours, start=1):
            atoms = _with(bulk, site, dopant)
            yield _named(_without_first(atoms), crystal, f"vacancy-{dopant}-shell{shell}")
    for face in _FACES[crystal.lattice]:
        pure = _slab(crystal, face)
        name = "surface" + "".join(map(str, face))
        yield _named(pure, crystal, name)
        order = np.argsort(pure.positions[:, 2])
        for dopant in dopants:
            for place, site in (("top", order[-1]), ("middle", order[len(order) // 2])):
                yield _named(_with(pure, int(site), dopant), crystal, f"{name}-{dopant}-{place}")


def _slab(crystal: HostCrystal, face: tuple[int, int, int]) -> Atoms:
    spacing = layers(crystal.lattice, face).spacing * crystal.edge_angstrom
    config = SlabConfig(
        host=crystal.host,
        lattice=crystal.lattice,
        lattice_parameter_angstrom=crystal.edge_angstrom,
        plane=face,
        n_layers=round(_SLAB_ANGSTROM / spacing) + 1,
        vacuum_angstrom=_VACUUM_ANGSTROM,
    )
    return slab(config)


def _with(atoms: Atoms, site: int, dopant: str) -> Atoms:
    changed = atoms.copy()
    changed.symbols[site] = dopant
    return changed


def _without_first(atoms: Atoms) -> Atoms:
    changed = atoms.copy()
    del changed[0]
    return changed


def _named(atoms: Atoms, crystal: HostCrystal, what: str) -> Atoms:
    name = f"{crystal.host}-{crystal.lattice}-{what}"
    atoms.info = {"name": name, "host": crystal.host, "group": name, "state": "ideal"}
    return atoms
