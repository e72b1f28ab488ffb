"""The cells that moalloy-base is pretrained on: crystals of Mo and its 20 dopants, from a seed.

    python cells.py OUT.extxyz

writes the first 4,795 unlabelled; more_cells.py adds to them. Nothing here depends on the order in which cells are made: each one is
drawn by a random generator that its own name seeds, so any part can be made again by itself.
"""

import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bcc100, bcc110, bcc111, bulk, fcc111
from ase.data import covalent_radii
from ase.io import write
from ase.neighborlist import neighbor_list

from moalloy_md.elements import ALL_DOPANTS, HOST

ELEMENTS = (HOST, *ALL_DOPANTS)

#: Volume of an atom in its crystal near room temperature, Å³ (textbook values). Each cell is drawn
#: with volumes around these, so they need not be exact.
ATOMIC_VOLUME = {
    "Mo": 15.6, "Cr": 11.9, "Fe": 11.6, "Mn": 11.3, "Nb": 18.1, "Re": 14.8, "Ta": 18.1, "Ti": 17.4,
    "V": 13.6, "W": 15.9, "Y": 32.7, "Zr": 23.4, "Al": 16.5, "Zn": 15.2, "Cu": 11.9, "Ag": 17.4,
    "Au": 17.6, "Hg": 26.0, "Co": 10.9, "Ni": 10.9, "Hf": 22.3,
}  # fmt: skip

#: The teacher has seen nothing closer than this fraction of the sum of two covalent radii.
CLOSEST = 0.75

#: Alloys of Mo that form solid solutions over all compositions get more cells of their own.
MISCIBLE = ("W", "Ta", "Nb")

LATTICES = ("bcc", "fcc", "hcp")

#: Primitive cell of fcc with a conventional edge of one.
FCC = 0.5 * (np.ones((3, 3)) - np.eye(3))


@dataclass(frozen=True)
class Recipe:
    """How a cell is changed before it is labelled: ranges that its generator draws from."""

    volume: tuple[float, float] = (0.9, 1.1)
    """Volume over the sum of the atomic volumes."""
    strain: float = 0.0
    """Standard deviation of each component of a symmetric strain."""
    rattle: tuple[float, float] = (0.0, 0.0)
    """Standard deviation of a coordinate's displacement, Å."""


IDEAL = Recipe(volume=(0.9, 1.12))
STRAINED = Recipe(volume=(0.88, 1.14), strain=0.04)
WARM = Recipe(volume=(0.92, 1.1), strain=0.015, rattle=(0.03, 0.16))
HOT = Recipe(volume=(0.9, 1.16), strain=0.02, rattle=(0.15, 0.36))
DENSE = Recipe(volume=(0.5, 0.85), strain=0.03, rattle=(0.0, 0.15))


def make_cells() -> Iterator[Atoms]:
    """Yield the first cells.

    Their ``info`` has name, group, category, host and state (``ideal`` or ``noneq``).
    """
    for part in (
        _elements, _binaries, _ternaries, _dilute, _solutions, _molybdenum, _vacancies, _surfaces,
        _dense,
    ):  # fmt: skip
        yield from part()


def is_too_close(atoms: Atoms, fraction: float = CLOSEST) -> bool:
    """Say whether two atoms are closer than `fraction` of the sum of their covalent radii."""
    numbers = sorted(set(atoms.numbers))
    limits = {
        (a, b): fraction * (covalent_radii[a] + covalent_radii[b]) for a in numbers for b in numbers
    }
    return bool(len(neighbor_list("i", atoms, limits)))


def _elements() -> Iterator[Atoms]:
    for x in ELEMENTS:
        copies = 3 if x == HOST or x in MISCIBLE else 1
        for lattice in LATTICES:
            primitive = crystal(x, lattice)
            for k, volume in enumerate((0.75, 0.84, 0.91, 0.96, 1.0, 1.05, 1.12, 1.25)):
                exact = Recipe(volume=(volume, volume))
                yield make_cell(primitive, exact, f"element-{x}-{lattice}-volume-{k}", "element")
            for k in range(4 * copies):
                yield make_cell(primitive, STRAINED, f"element-{x}-{lattice}-strain-{k}", "element")
            larger = primitive.repeat((2, 2, 2) if len(primitive) == 1 else (2, 2, 1))
            for k in range(2 * copies):
                recipe = (WARM, HOT)[k % 2]
                yield make_cell(larger, recipe, f"element-{x}-{lattice}-rattle-{k}", "element")


def _binaries() -> Iterator[Atoms]:
    for a, b in combinations(ELEMENTS, 2):
        copies = 4 if a == HOST else 1
        for label, ordered in ordered_cells(a, b):
            for k in range(copies):
                yield ordered_alloy(ordered, f"{a}{b}", label, k)
        for k in range(2 * copies):
            name = f"binary-{a}{b}-random-{k}"
            recipe = (WARM, HOT)[k % 2]
            yield make_cell(random_alloy((a, b), name), recipe, name, "binary")


def _ternaries() -> Iterator[Atoms]:
    for triple in triples()[0]:
        name = f"ternary-{''.join(triple)}"
        yield make_cell(random_alloy(triple, name), WARM, name, "ternary")


def triples() -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """260 triples of elements, drawn at random, and all others."""
    triples = list(combinations(ELEMENTS, 3))
    drawn = _rng("ternaries").choice(len(triples), size=260, replace=False)
    others = sorted(set(range(len(triples))) - {int(i) for i in drawn})
    return [triples[i] for i in drawn], [triples[i] for i in others]


def _dilute() -> Iterator[Atoms]:
    """Mo with one or two dopants: what it is all for."""
    host = bulk(HOST, "bcc", a=3.16, cubic=True).repeat(2)
    ideal = Recipe(volume=(1.0, 1.02))
    for x in ALL_DOPANTS:
        atoms = host.copy()
        atoms.symbols[0] = x
        for k, recipe in enumerate((ideal, STRAINED, WARM, WARM, HOT, HOT)):
            yield make_cell(atoms, recipe, f"dilute-{x}-{k}", "dilute")
    shells = {n: nth_neighbour(host, n) for n in (1, 2, 3)}
    equal = [(x, x) for x in ALL_DOPANTS]
    for i, (x, y) in enumerate([*equal, *combinations(ALL_DOPANTS, 2)]):
        for k in range(3):
            atoms = host.copy()
            shell = (i + k) % 3 + 1
            atoms.symbols[0], atoms.symbols[shells[shell]] = x, y
            recipe = (ideal, WARM, HOT)[(i // 3 + k) % 3]
            yield make_cell(atoms, recipe, f"dilute-{x}{y}-shell{shell}-{k}", "dilute")


def _solutions() -> Iterator[Atoms]:
    host = bulk(HOST, "bcc", a=3.16, cubic=True).repeat(2)
    for x in MISCIBLE:
        for k in range(24):
            name = f"solution-Mo{x}-{k}"
            rng = _rng(name + "-sites")
            atoms = host.copy()
            for site in rng.permutation(16)[: 1 + k % 15]:
                atoms.symbols[site] = x
            recipe = Recipe(volume=(0.97, 1.04), rattle=(0.0, 0.0) if k % 2 else (0.02, 0.12))
            yield make_cell(atoms, recipe, name, "solution")


def _molybdenum() -> Iterator[Atoms]:
    """Pure Mo as hot and as large as it gets in a simulation."""
    for size, copies in ((2, 40), (3, 14)):
        host = bulk(HOST, "bcc", a=3.16, cubic=True).repeat(size)
        for k in range(copies):
            recipe = (WARM, HOT, Recipe(volume=(0.9, 1.1), rattle=(0.2, 0.42)))[k % 3]
            yield make_cell(host, recipe, f"molybdenum-{len(host)}-{k}", "molybdenum")


def _vacancies() -> Iterator[Atoms]:
    host = bulk(HOST, "bcc", a=3.16, cubic=True).repeat(2)
    for x in ELEMENTS:
        for k in range(6 if x == HOST else 3):
            atoms = host.copy()
            atoms.symbols[nth_neighbour(host, k % 2 + 1)] = x
            del atoms[0]
            recipe = (Recipe(volume=(1.0, 1.08)), WARM, HOT)[k % 3]
            volume = 16 * ATOMIC_VOLUME[HOST]
            yield make_cell(atoms, recipe, f"vacancy-Mo{x}-{k}", "vacancy", volume=volume)
        if x != HOST:
            own = bulk(x, "bcc", a=3.0, cubic=True).repeat(2)
            del own[0]
            volume = 16 * ATOMIC_VOLUME[x]
            yield make_cell(own, WARM, f"vacancy-{x}-own", "vacancy", volume=volume)


def _surfaces() -> Iterator[Atoms]:
    for x in ELEMENTS:
        edge = (2 * ATOMIC_VOLUME[x]) ** (1 / 3)
        slabs = {
            "110": bcc110(x, (1, 1, 6), a=edge, vacuum=6.0),
            "100": bcc100(x, (1, 1, 7), a=edge, vacuum=6.0),
            "111": bcc111(x, (1, 1, 10), a=edge, vacuum=6.0),
            "fcc111": fcc111(x, (1, 1, 5), a=(4 * ATOMIC_VOLUME[x]) ** (1 / 3), vacuum=6.0),
        }
        for face, slab in slabs.items():
            for k in range(4 if x == HOST else 1):
                yield make_slab(slab, f"surface-{x}-{face}-{k}", rattle_angstrom=0.12 if k else 0.0)
    edge = (2 * ATOMIC_VOLUME[HOST]) ** (1 / 3)
    for x in ALL_DOPANTS:
        for face, build, size in (
            ("110", bcc110, (1, 2, 5)), ("100", bcc100, (2, 1, 5)), ("111", bcc111, (1, 1, 9)),
        ):  # fmt: skip
            slab = build(HOST, size, a=edge, vacuum=6.0)
            name = f"surface-Mo{x}-{face}"
            site = int(_rng(name + "-site").integers(len(slab)))
            slab.symbols[site] = x
            yield make_slab(slab, name, rattle_angstrom=0.06)


def _dense() -> Iterator[Atoms]:
    """Compressed until atoms are as close as the teacher may be asked about."""
    pairs = [(x, x) for x in ELEMENTS] + list(combinations(ELEMENTS, 2))
    for i, (a, b) in enumerate(pairs):
        name = f"dense-{a}{b}"
        elements = (a, b) if i % 2 else (a, b, HOST)
        yield make_cell(random_alloy(elements, name), DENSE, name, "dense")


def ordered_cells(a: str, b: str) -> Iterator[tuple[str, Atoms]]:
    """B2, L1_0, L1_2 and D0_3 in their primitive cells, with edges of one: volumes come later."""
    yield "B2", Atoms([a, b], scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=np.eye(3))
    tetragonal = np.diag([1, 1, np.sqrt(2)])
    yield "L10", Atoms([a, b], scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=tetragonal)
    for many, few in ((a, b), (b, a)):
        faces = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        yield f"L12-{many}3{few}", Atoms([few, *[many] * 3], scaled_positions=faces, cell=np.eye(3))
        quarters = [(0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (0.75, 0.75, 0.75)]
        yield f"D03-{many}3{few}", Atoms([few, *[many] * 3], scaled_positions=quarters, cell=FCC)


def ordered_alloy(ordered: Atoms, pair: str, label: str, k: int) -> Atoms:
    """Make the k-th cell of an order, as it is, strained or warm."""
    recipe = (IDEAL, STRAINED, WARM)[zlib.crc32(f"{pair}{label}{k}".encode()) % 3]
    return make_cell(ordered, recipe, f"binary-{pair}-{label}-{k}", "binary")


def random_alloy(elements: tuple[str, ...], name: str) -> Atoms:
    """Eight atoms on a bcc, fcc or hcp lattice, all elements among them."""
    rng = _rng(name + "-alloy")
    lattice = rng.choice(LATTICES, p=(0.5, 0.3, 0.2))
    primitive = crystal(HOST, lattice)
    atoms = primitive.repeat((2, 2, 2) if len(primitive) == 1 else (2, 2, 1))
    symbols = [*elements, *rng.choice(elements, size=len(atoms) - len(elements))]
    atoms.symbols = list(rng.permutation(symbols))
    return atoms


def crystal(element: str, lattice: str) -> Atoms:
    """Primitive cell of a lattice, to be scaled: volumes come later."""
    return bulk(element, lattice, a=3.0, **({"c": 4.9} if lattice == "hcp" else {}))


def make_cell(
    atoms: Atoms, recipe: Recipe, name: str, category: str, *, volume: float | None = None
) -> Atoms:
    """Change a cell by a recipe; draw again, looser, until no atoms are too close.

    `volume`, Å³, is what the recipe's volumes are relative to: that of the atoms unless given.
    """
    start = atoms.copy()
    start.pbc = True
    volume = volume or sum(ATOMIC_VOLUME[x] for x in start.symbols)
    for attempt in range(200):
        rng = _rng(f"{name}#{attempt}")
        changed = start.copy()
        strain = rng.normal(scale=recipe.strain, size=(3, 3)) if recipe.strain else np.zeros((3, 3))
        cell = changed.cell.array @ (np.eye(3) + (strain + strain.T) / 2)
        wanted = volume * rng.uniform(*recipe.volume) * 1.003**attempt
        cell *= (wanted / abs(np.linalg.det(cell))) ** (1 / 3)
        changed.set_cell(cell, scale_atoms=True)
        amplitude = rng.uniform(*recipe.rattle) * 0.97**attempt
        if amplitude and len(changed) > 1:
            changed.positions += rng.normal(scale=amplitude, size=(len(changed), 3))
        if not is_too_close(changed):
            return _named(changed, name, category, ideal=not (amplitude or recipe.strain))
    raise RuntimeError(f"{name}: no cell without atoms that are too close in 200 attempts")


def make_slab(slab: Atoms, name: str, *, rattle_angstrom: float) -> Atoms:
    """Displace the atoms of a slab whose cell stays as it is."""
    recipe = Recipe(volume=(1.0, 1.0), rattle=(rattle_angstrom, rattle_angstrom))
    return make_cell(slab, recipe, name, "surface", volume=slab.get_volume())


def _named(atoms: Atoms, name: str, category: str, *, ideal: bool) -> Atoms:
    symbols, counts = np.unique(atoms.get_chemical_symbols(), return_counts=True)
    host = HOST if HOST in symbols else str(symbols[np.argmax(counts)])
    atoms.info = {
        "name": name,
        "group": _group(name, category),
        "category": category,
        "host": host,
        "state": "ideal" if ideal else "noneq",
    }
    atoms.wrap()
    return atoms


def _group(name: str, category: str) -> str:
    """Cells that differ in nothing but strain and displacements stay on one side of a split."""
    start, _, number = name.rpartition("-")
    repeated = category in {"element", "binary", "dilute", "vacancy", "surface"}
    return start if repeated and number.isdigit() else name


def nth_neighbour(host: Atoms, shell: int) -> int:
    """Index of a neighbour of atom 0 in its first, second or third shell."""
    distances = np.round(host.get_distances(0, range(len(host)), mic=True), 3)
    return int(np.argmin(np.abs(distances - np.unique(distances)[shell])))


def _rng(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def write_cells(cells: Iterable[Atoms], out: Path) -> None:
    """Write cells and print how many there are of each category."""
    cells = list(cells)
    names = [atoms.info["name"] for atoms in cells]
    if len(set(names)) != len(names):
        raise RuntimeError("two cells have one name")
    write(out, cells, format="extxyz")
    for category in dict.fromkeys(atoms.info["category"] for atoms in cells):
        of_it = [len(atoms) for atoms in cells if atoms.info["category"] == category]
        print(f"{category:12s} {len(of_it):5d} cells {sum(of_it):6d} atoms")
    print(f"{'all':12s} {len(cells):5d} cells {sum(map(len, cells)):6d} atoms")


if __name__ == "__main__":
    write_cells(make_cells(), Path(sys.argv[1]))
