"""Still more binaries, which the trainings had learnt worst: 3,140 cells with 17,760 atoms, for the larger size.

    python binary_cells.py OUT.extxyz

Each pair of elements in orders that the other cells do not have (L1_1, B19, D0_22, MoPt2, A15 and C15), and four
more random alloys. None of these groups is in the earlier splits, so all can be trained on.
"""

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from cells import (
    ELEMENTS,
    FCC,
    HOT,
    IDEAL,
    STRAINED,
    WARM,
    make_cell,
    ordered_alloy,
    random_alloy,
    write_cells,
)

from moalloy_md.elements import HOST


def make_cells() -> Iterator[Atoms]:
    """Yield the cells; ``info`` as in cells.py."""
    for a, b in combinations(ELEMENTS, 2):
        for label, ordered in _ordered(a, b):
            for k in range(2 if a == HOST else 1):
                yield ordered_alloy(ordered, f"{a}{b}", label, k)
        for k, recipe in enumerate((IDEAL, STRAINED, WARM, HOT), start=6):
            name = f"binary-{a}{b}-random{k}-0"
            yield make_cell(random_alloy((a, b), name), recipe, name, "binary")


def _ordered(a: str, b: str) -> Iterator[tuple[str, Atoms]]:
    """Primitive cells with edges near one: volumes come later."""
    # layers of fcc along [111]: alternating
    layers = np.array([(1, 0.5, 0.5), (0.5, 1, 0.5), (0.5, 0.5, 1)])
    yield "L11", Atoms([a, b], positions=[(0, 0, 0), (1, 1, 1)], cell=layers)
    # rows of hcp within its layers: alternating
    rows = bulk(HOST, "hcp", a=3.0, c=4.9, orthorhombic=True)
    first_rows = np.isin(np.round(6 * rows.get_scaled_positions()[:, 1]), (0, 1))
    rows.symbols = [a if first else b for first in first_rows]
    yield "B19", rows
    for many, few in ((a, b), (b, a)):
        tetragonal = np.array([(1, 0, 0), (0, 1, 0), (0.5, 0.5, 1)])
        sites = [(0, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5)]
        yield f"D022-{many}3{few}", Atoms([few, *[many] * 3], positions=sites, cell=tetragonal)
        # planes (110) of fcc: one of three
        planes = np.array([(0, 0, 1), (0.5, -0.5, 0), (1, 0.5, 0.5)])
        sites = [(0, 0, 0), (0.5, 0, 0.5), (0.5, 0.5, 0)]
        yield f"MoPt2-{many}2{few}", Atoms([few, many, many], positions=sites, cell=planes)
        chains = [
            (0.25, 0, 0.5), (0.75, 0, 0.5), (0.5, 0.25, 0), (0.5, 0.75, 0), (0, 0.5, 0.25),
            (0, 0.5, 0.75),
        ]  # fmt: skip
        sites = [(0, 0, 0), (0.5, 0.5, 0.5), *chains]
        yield f"A15-{many}3{few}", Atoms([few] * 2 + [many] * 6, positions=sites, cell=np.eye(3))
        tetrahedron = [(0.5, 0.5, 0.5), (0.5, 0.25, 0.25), (0.25, 0.5, 0.25), (0.25, 0.25, 0.5)]
        sites = [(0.125,) * 3, (0.875,) * 3, *tetrahedron]
        yield f"C15-{many}2{few}", Atoms([few] * 2 + [many] * 4, positions=sites, cell=FCC)


if __name__ == "__main__":
    write_cells(make_cells(), Path(sys.argv[1]))
