"""Close atoms, of which the teacher knows nothing: labels from the repulsion of the nuclei.

A pair of atoms is pressed together, in vacuum and in Mo. Down to CLOSEST times the sum of its covalent
radii the teacher labels it; closer, the Ziegler-Biersack-Littmark (ZBL) potential does, which is
part of the model as well: the network learns to add next to nothing there, and cannot undo the
repulsion.

    python core.py starts STARTS.extxyz                        # pairs in Mo, for the teacher
    python core.py cells DATA.extxyz STARTS-LABELLED.extxyz OUT.extxyz
"""

import sys
import zlib
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from ase.io import read, write
from ase.neighborlist import neighbor_list
from cells import CLOSEST, ELEMENTS, nth_neighbour
from numpy.typing import NDArray
from repulsion import repulsion

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.elements import HOST, atomic_number
from moalloy_md.potentials.reference_energies import average_e0s

#: Nearest distance that is trained on, Å.
NEAREST = 0.7

#: Weight of these cells beside 1 for the teacher's. Their forces are up to 10⁴ times larger.
WEIGHT = 0.1

_IN_VACUUM, _BOX = 3, 14.0  # cells a pair; edge of the box, Å


def starts() -> list[Atoms]:
    """Each pair of elements as first neighbours in Mo, pressed to the limit of the teacher."""
    cells = []
    for a, b in combinations_with_replacement(ELEMENTS, 2):
        atoms = bulk(HOST, "bcc", a=3.16, cubic=True).repeat(2)
        other = nth_neighbour(atoms, 1)
        atoms.symbols[0], atoms.symbols[other] = a, b
        atoms.rattle(0.03, seed=zlib.crc32(f"{a}{b}".encode()))
        atoms = pressed(atoms, 0, other, 1.03 * CLOSEST * contact(a, b))
        name = f"pressed-{a}{b}"
        atoms.info.update(name=name, group=name, category="pressed", host=HOST, state="noneq")
        atoms.info["partner"] = other
        cells.append(atoms)
    return cells


def core_cells(e0s: dict[str, float], labelled: list[Atoms]) -> list[Atoms]:
    """Closer pairs with labels: in vacuum from ZBL alone, in Mo continuing the teacher's by ZBL."""
    cells = []
    for start in labelled:
        a, b = (start.symbols[i] for i in (0, start.info["partner"]))
        rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"core-{a}{b}".encode())))
        limit = CLOSEST * contact(a, b)
        edges = np.geomspace(NEAREST, limit, _IN_VACUUM + 1)
        for k in range(_IN_VACUUM):
            cells.append(_in_vacuum(a, b, rng.uniform(edges[k], edges[k + 1]), e0s))
            cells[-1].info["name"] += f"-{k}"
        for k in range(2 if HOST in (a, b) else 1):
            distance = NEAREST * (0.95 * limit / NEAREST) ** rng.uniform()
            cells.append(_in_host(start, distance))
            cells[-1].info["name"] += f"-{k}"
    return cells


def zbl(atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
    """Energy (eV) and forces (eV/Å, ``(n_atoms, 3)``) of the model's own ZBL term."""
    sender, receiver, vectors = neighbor_list("ijD", atoms, 2 * covalent_radii[atoms.numbers].max())
    numbers, species = np.unique(atoms.numbers, return_inverse=True)
    with torch.enable_grad():
        edges = torch.tensor(vectors, requires_grad=True)
        energy = _ZBL(
            edges.norm(dim=1, keepdim=True),
            torch.nn.functional.one_hot(torch.tensor(species), len(numbers)).double(),
            torch.tensor(np.array([sender, receiver])),
            torch.tensor(numbers),
        ).sum()
        (slope,) = torch.autograd.grad(energy, edges)
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, sender, slope.numpy())
    np.add.at(forces, receiver, -slope.numpy())
    return float(energy.detach()), forces


def _in_vacuum(a: str, b: str, distance: float, e0s: dict[str, float]) -> Atoms:
    atoms = Atoms([a, b], [(0, 0, 0), (0, 0, distance)], cell=[_BOX] * 3, pbc=True)
    atoms.rotate(37.0, (1.0, 2.0, 3.0))
    energy, forces = zbl(atoms)
    name = f"core-{a}{b}-vacuum"
    return _labelled(atoms, name, energy + e0s[a] + e0s[b], forces)


def _in_host(start: Atoms, distance: float) -> Atoms:
    """Continue below the teacher's limit: all but ZBL stays as it is at the limit.

    What stays of the force between the two is left out: its energy does not change either.
    """
    other = int(start.info["partner"])
    atoms = pressed(start, 0, other, distance)
    energy_before, forces_before = zbl(start)
    energy, forces = zbl(atoms)
    rest = start.arrays["REF_forces"] - forces_before
    line = start.get_distance(0, other, mic=True, vector=True)
    line /= np.linalg.norm(line)
    between = ((rest[other] - rest[0]) @ line) / 2 * line
    rest[other] -= between
    rest[0] += between
    symbols = "".join(start.symbols[i] for i in (0, other))
    return _labelled(
        atoms, f"core-{symbols}-host", start.info["REF_energy"] + energy - energy_before,
        rest + forces,
    )  # fmt: skip


def _labelled(atoms: Atoms, name: str, energy: float, forces: NDArray[np.float64]) -> Atoms:
    host = HOST if HOST in atoms.symbols else atoms.symbols[0]
    atoms.info = {"name": name, "group": name, "category": "core", "host": host, "state": "noneq"}
    atoms.info["REF_energy"] = energy
    atoms.info["config_energy_weight"] = atoms.info["config_forces_weight"] = WEIGHT
    atoms.arrays["REF_forces"] = forces
    return atoms


def pressed(atoms: Atoms, first: int, second: int, distance: float) -> Atoms:
    """Move two atoms along their line, around its middle, to a distance."""
    moved = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    line = atoms.get_distance(first, second, mic=True, vector=True)
    length = np.linalg.norm(line)
    step = (distance - length) / 2 * line / length
    moved.positions[first] -= step
    moved.positions[second] += step
    return moved


def contact(a: str, b: str) -> float:
    """Sum of two covalent radii, Å."""
    return float(covalent_radii[atomic_number(a)] + covalent_radii[atomic_number(b)])


_ZBL = repulsion(torch.float64)


def main(verb: str, *paths: str) -> None:
    """Write the starts, or the labelled cells."""
    if verb == "starts":
        cells = starts()
        write(paths[0], cells, format="extxyz")
    else:
        e0s, _ = average_e0s(read_dataset(Path(paths[0])))
        labelled = read(paths[1], ":")
        cells = labelled + core_cells(e0s, labelled)
        write(paths[2], cells, format="extxyz")
    print(f"{len(cells)} cells, {sum(map(len, cells))} atoms: {paths[-1]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
