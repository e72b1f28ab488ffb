"""More cells, of the kinds that the first training had learnt worse than it could: 7,266 beside the first 4,795.

    python more_cells.py OUT.extxyz

Binaries in more orders and at random, all other ternaries, more faces of surfaces, vacancies, dense and strained
cells. Where a cell is one more of a kind that cells.py has (other strain, other displacements) it belongs to
the same group, so a split puts both on one side.
"""

import sys
import zlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bcc100, bcc110, bcc111, bulk, surface
from cells import (
    ATOMIC_VOLUME,
    DENSE,
    ELEMENTS,
    FCC,
    HOT,
    IDEAL,
    LATTICES,
    MISCIBLE,
    STRAINED,
    WARM,
    Recipe,
    crystal,
    make_cell,
    make_slab,
    nth_neighbour,
    ordered_alloy,
    ordered_cells,
    random_alloy,
    triples,
    write_cells,
)

from moalloy_md.elements import ALL_DOPANTS, HOST


def make_cells() -> Iterator[Atoms]:
    """Yield the cells; ``info`` as in cells.py."""
    for part in (_elements, _binaries, _ternaries, _vacancies, _surfaces, _dense):
        yield from part()


def _elements() -> Iterator[Atoms]:
    for x in ELEMENTS:
        copies = 4 * (3 if x == HOST or x in MISCIBLE else 1)  # as many as the first cells have
        for lattice in LATTICES:
            primitive = crystal(x, lattice)
            for k in range(copies, copies + 6):
                yield make_cell(primitive, STRAINED, f"element-{x}-{lattice}-strain-{k}", "element")
            larger = primitive.repeat((2, 2, 2) if len(primitive) == 1 else (2, 2, 1))
            for k in range(copies // 2, copies // 2 + 3):
                recipe = (WARM, HOT)[k % 2]
                yield make_cell(larger, recipe, f"element-{x}-{lattice}-rattle-{k}", "element")


def _binaries() -> Iterator[Atoms]:
    for a, b in combinations(ELEMENTS, 2):
        first = 4 if a == HOST else 1
        for label, ordered in ordered_cells(a, b):
            for k in range(first, first + 2):
                yield ordered_alloy(ordered, f"{a}{b}", label, k)
        for label, ordered in _other_ordered(a, b):
            recipe = (IDEAL, STRAINED, WARM)[zlib.crc32(f"{a}{b}{label}".encode()) % 3]
            yield make_cell(ordered, recipe, f"binary-{a}{b}-{label}-0", "binary")
        for k, recipe in enumerate((IDEAL, STRAINED, STRAINED, WARM, WARM, HOT)):
            name = f"binary-{a}{b}-random{k}-0"
            yield make_cell(random_alloy((a, b), name), recipe, name, "binary")


def _ternaries() -> Iterator[Atoms]:
    for i, triple in enumerate(triples()[1]):
        name = f"ternary-{''.join(triple)}"
        recipe = (STRAINED, WARM, WARM, HOT)[i % 4]
        yield make_cell(random_alloy(triple, name), recipe, name, "ternary")


def _vacancies() -> Iterator[Atoms]:
    host = bulk(HOST, "bcc", a=3.16, cubic=True).repeat(2)
    volume = 16 * ATOMIC_VOLUME[HOST]
    for x in ELEMENTS:
        for k in range(10 if x == HOST else 4):
            atoms = host.copy()
            atoms.symbols[nth_neighbour(host, k % 3 + 1)] = x
            # every fourth is a pair of vacancies, first or second neighbours
            del atoms[[0, nth_neighbour(host, k // 4 % 2 + 1)] if k % 4 == 3 else [0]]
            recipe = (WARM, Recipe(volume=(0.97, 1.08), strain=0.02), HOT)[k % 3]
            yield make_cell(atoms, recipe, f"vacancy-Mo{x}-more-{k}", "vacancy", volume=volume)
        for lattice in LATTICES:
            own = crystal(x, lattice)
            own = own.repeat((2, 2, 2) if len(own) == 1 else (2, 2, 1))
            own_volume = len(own) * ATOMIC_VOLUME[x]
            del own[0]
            name = f"vacancy-{x}-{lattice}-0"
            yield make_cell(own, WARM, name, "vacancy", volume=own_volume)


def _surfaces() -> Iterator[Atoms]:
    for x in ELEMENTS:
        edge = (2 * ATOMIC_VOLUME[x]) ** (1 / 3)
        conventional = bulk(x, "bcc", a=edge, cubic=True)
        faces = [(1, 1, 0), (1, 0, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (3, 1, 0)]
        if x == HOST:
            faces += [(2, 2, 1), (3, 2, 0), (3, 1, 1), (3, 2, 1), (3, 3, 2)]
        for face in faces:
            slab = surface(conventional, face, 4 if face == (1, 1, 0) else 6, vacuum=6.0)
            slab = slab[: 14 if len(slab) > 20 else len(slab)]
            label = "".join(map(str, face))
            for k in range(5 if x == HOST else 2):
                name = f"surface-{x}-{label}-more-{k}"
                yield make_slab(slab, name, rattle_angstrom=(0.0, 0.08, 0.03, 0.12, 0.2)[k])
    edge = (2 * ATOMIC_VOLUME[HOST]) ** (1 / 3)
    for x in ALL_DOPANTS:
        for face, build, size in (
            ("110", bcc110, (1, 2, 4)), ("100", bcc100, (2, 1, 5)), ("111", bcc111, (1, 1, 8)),
        ):  # fmt: skip
            for k in range(2):
                slab = build(HOST, size, a=edge, vacuum=6.0)
                slab.symbols[(-1, -2)[k]] = x  # where dopants segregate to: the outermost layers
                name = f"surface-Mo{x}-{face}-more-{k}"
                yield make_slab(slab, name, rattle_angstrom=(0.04, 0.1)[k])


def _dense() -> Iterator[Atoms]:
    pairs = [(x, x) for x in ELEMENTS] + list(combinations(ELEMENTS, 2))
    for i, (a, b) in enumerate(pairs):
        name = f"dense-{a}{b}-more"
        elements = (a, b, HOST) if i % 2 else (a, b)
        yield make_cell(random_alloy(elements, name), DENSE, name, "dense")


def _other_ordered(a: str, b: str) -> Iterator[tuple[str, Atoms]]:
    """B32, C11_b and D0_19 in their primitive cells."""
    quarters = [(0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5), (0.75, 0.75, 0.75)]
    yield "B32", Atoms([a, a, b, b], scaled_positions=quarters, cell=FCC)
    hexagonal = crystal(HOST, "hcp").repeat((2, 2, 1))
    # one atom of four in each of two layers, as far from each other as they can be
    few_at = [0, int(np.argmax(hexagonal.get_distances(0, range(len(hexagonal)), mic=True)))]
    for many, few in ((a, b), (b, a)):
        body = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 1.5]])
        positions = np.array([(0, 0, 0), (0.5, 0.5, 0.5), (0, 0, 1)])
        yield f"C11b-{many}2{few}", Atoms([few, many, many], positions=positions, cell=body)
        symbols = [few if i in few_at else many for i in range(len(hexagonal))]
        ordered = hexagonal.copy()
        ordered.symbols = symbols
        yield f"D019-{many}3{few}", ordered


if __name__ == "__main__":
    write_cells(make_cells(), Path(sys.argv[1]))
