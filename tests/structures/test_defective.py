"""Small cells with vacancies and surfaces."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from moalloy_md.structures.defective import vacancies_and_surfaces
from moalloy_md.structures.host import HostCrystal

#: Nearest neighbours that an atom at the surface has left (cutting bcc and fcc; textbook).
LEFT = {
    "bcc": {"surface110": 6, "surface100": 4, "surface111": 4},
    "fcc": {"surface111": 9, "surface100": 8, "surface110": 7},
}
FULL = {"bcc": 8, "fcc": 12}


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
def test_bonds_are_cut_as_they_should_be(lattice):
    crystal = HostCrystal(lattice=lattice)
    near = crystal.edge_angstrom * {"bcc": 0.75**0.5, "fcc": 0.5**0.5}[lattice]
    found = {atoms.info["name"]: atoms for atoms in vacancies_and_surfaces(crystal, ("W", "Hf"))}
    assert len(found) == 1 + 2 * 2 + 3 * (1 + 2 * 2)
    for name, atoms in found.items():
        i = neighbor_list("i", atoms, 1.05 * near)
        bonds = np.bincount(i, minlength=len(atoms))
        what = name.split("-")[2]
        if what == "vacancy":
            assert (bonds == FULL[lattice] - 1).sum() == FULL[lattice]
        else:
            assert bonds.min() == LEFT[lattice][what]
            assert bonds.max() == FULL[lattice]
        dopants = [s for s in atoms.symbols if s != "Mo"]
        assert dopants == ([name.split("-")[3]] if name.count("-") > 2 else [])
        assert atoms.info["state"] == "ideal"
        assert atoms.pbc.all()


def test_dopants_sit_beside_the_vacancy_and_at_the_surface():
    found = {a.info["name"]: a for a in vacancies_and_surfaces(HostCrystal(), ("W",))}
    edge = HostCrystal().edge_angstrom
    for shell, distance in ((1, edge * 0.75**0.5), (2, edge)):
        atoms = found[f"Mo-bcc-vacancy-W-shell{shell}"]
        atoms.append("X")
        atoms.positions[-1] = 0.0  # where the atom is missing
        w = int(np.flatnonzero(atoms.symbols == "W")[0])
        assert atoms.get_distance(w, len(atoms) - 1, mic=True) == pytest.approx(distance)
    top = found["Mo-bcc-surface110-W-top"]
    assert top.positions[top.symbols == "W", 2] == pytest.approx(top.positions[:, 2].max())
